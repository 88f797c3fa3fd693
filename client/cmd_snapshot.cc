// snapshot, export: a node's data on its disk, and in a file of ours.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "client/commands.h"
#include "client/export.h"
#include "client/snapshot.h"

namespace raftkv::client {
namespace {

using Json = nlohmann::json;

std::string dump(const Json& object) {
  return object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// One line that is written again and again, for people at a terminal only.
class ProgressLine {
 public:
  explicit ProgressLine(const Console& console) : console_(console) {}
  ~ProgressLine() {
    if (used_) console_.err("\r\x1b[K");
  }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  std::function<void(uint64_t, uint64_t)> of(const char* what) {
    if (!console_.err_is_terminal) return {};
    return [this, what](uint64_t done, uint64_t all) {
      used_ = true;
      console_.err(fmt::format("\r\x1b[K{}: {} of {}", what, done, all));
    };
  }

 private:
  const Console& console_;
  bool used_ = false;
};

// What the two commands have in common.
class SnapshotCommand : public CliCommand {
 public:
  void declare(Flags& flags) override {
    flags.text("node", &plan_.node, "which node, by its id or as host:port; default: the leader");
    flags.number("deadline", &deadline_s_, 1, 86'400, "seconds until it must be done");
  }

  int run(const Console& console, const std::vector<Address>& nodes,
          const CommonFlags& common) override {
    begun_ = Clock::now();
    plan_.nodes = nodes;
    plan_.deadline = begun_ + std::chrono::seconds(deadline_s_);
    plan_.find_timeout = std::chrono::milliseconds(common.timeout_ms);
    return carry_out(console, common.json);
  }

 protected:
  virtual int carry_out(const Console& console, bool json) const = 0;

  double seconds() const { return std::chrono::duration<double>(Clock::now() - begun_).count(); }
  int fail(const Console& console, bool json, std::string_view command,
           const std::string& why) const {
    if (json) {
      console.out(dump({{"ok", false}, {"error", why}}));
    } else {
      console.err(fmt::format("raftkv-cli {}: {}\n", command, why));
    }
    return kExitFailed;
  }

  SnapshotPlan plan_;

 private:
  int64_t deadline_s_ = 3600;
  Clock::time_point begun_;
};

Json json_of(const TakenSnapshot& snapshot, double seconds) {
  return {{"ok", true},
          {"node", snapshot.facts.node},
          {"address", snapshot.node.to_string()},
          {"index", snapshot.facts.index},
          {"term", snapshot.facts.term},
          {"time_ms", snapshot.facts.time_ms},
          {"bytes", snapshot.facts.bytes},
          {"seconds", seconds}};
}

class TakeCommand : public SnapshotCommand {
 protected:
  int carry_out(const Console& console, bool json) const override {
    const auto taken = take(console);
    if (!taken) return fail(console, json, "snapshot", taken.error());
    if (json) {
      console.out(dump(json_of(*taken, seconds())));
    } else {
      console.out(fmt::format("n{} {}: snapshot_index={} bytes={} elapsed={:.2f}s\n",
                              taken->facts.node, taken->node.to_string(), taken->facts.index,
                              taken->facts.bytes, seconds()));
    }
    return kExitOk;
  }

 private:
  std::expected<TakenSnapshot, std::string> take(const Console& console) const {
    ProgressLine progress(console);
    return take_snapshot(plan_, progress.of("keys saved"));
  }
};

class ExportCommand : public SnapshotCommand {
 public:
  void declare(Flags& flags) override {
    flags.required_text("out", &file_, "the RDB file to write");
    flags.toggle("replace", &replace_, "overwrite the file if it is there already");
    SnapshotCommand::declare(flags);
  }

 protected:
  int carry_out(const Console& console, bool json) const override {
    const auto outcome = write(console);
    if (!outcome) return fail(console, json, "export", outcome.error());
    const TakenSnapshot& snapshot = outcome->snapshot;
    if (json) {
      Json object = json_of(snapshot, seconds());
      object.update({{"file", file_}, {"keys", outcome->keys}});
      console.out(dump(object));
    } else {
      console.out(fmt::format("{}: keys={} bytes={} snapshot_index={} node=n{} elapsed={:.2f}s\n",
                              file_, outcome->keys, snapshot.facts.bytes, snapshot.facts.index,
                              snapshot.facts.node, seconds()));
    }
    return kExitOk;
  }

 private:
  std::expected<ExportOutcome, std::string> write(const Console& console) const {
    ProgressLine progress(console);
    return run_export({.snapshot = plan_, .file = file_, .replace = replace_},
                      {.saving = progress.of("keys saved by the node"),
                       .loading = progress.of("bytes downloaded")});
  }

  std::string file_;
  bool replace_ = false;
};

}  // namespace

std::unique_ptr<CliCommand> make_snapshot_command() {
  return std::make_unique<TakeCommand>();
}
std::unique_ptr<CliCommand> make_export_command() {
  return std::make_unique<ExportCommand>();
}

}  // namespace raftkv::client
