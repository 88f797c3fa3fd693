// import: a Redis RDB file into the cluster.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "client/commands.h"
#include "client/import.h"

namespace raftkv::client {
namespace {

std::string join(const std::vector<std::string>& names, uint64_t of) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return names.size() < of ? text + ", ..." : text;
}

class ImportCommand : public CliCommand {
 public:
  void declare(Flags& flags) override {
    flags.argument("file", &plan_.file,
                   "the RDB file: a dump of any Redis up to 7.2, or a snapshot");
    flags.toggle("replace", &plan_.replace, "overwrite keys that the cluster has already");
    flags.number("pipeline", &plan_.pipeline, 1, 100'000, "keys sent without waiting in between");
    flags.number("patience_s", &patience_s_, 1, 3600,
                 "stop when nothing has succeeded for so many seconds");
  }

  int run(const Console& console, const std::vector<Address>& nodes,
          const CommonFlags& common) override {
    plan_.nodes = nodes;
    plan_.client.command_timeout = std::chrono::milliseconds(common.timeout_ms);
    plan_.patience = std::chrono::seconds(patience_s_);
    const auto keys = check_import(plan_.file);
    if (!keys) {
      ImportOutcome nothing;
      nothing.error = keys.error();
      return conclude(console, common.json, nothing, "nothing was sent");
    }
    std::function<void(uint64_t)> progress;
    if (console.err_is_terminal) {
      progress = [&console, all = *keys](uint64_t done) {
        console.err(fmt::format("\r{} of {} keys", done, all));
      };
    }
    const ImportOutcome outcome = run_import(plan_, progress);
    if (console.err_is_terminal) console.err("\r                                        \r");
    return conclude(console, common.json, outcome,
                    outcome.doubt ? "the last keys sent may or may not be there; importing the "
                                    "file again is safe"
                                  : "importing the file again is safe");
  }

 private:
  int conclude(const Console& console, bool json, const ImportOutcome& outcome,
               std::string_view advice) const {
    if (json) {
      const nlohmann::json object = {{"ok", outcome.error.empty() && outcome.existing == 0},
                                     {"keys", outcome.keys},
                                     {"imported", outcome.imported},
                                     {"expired", outcome.expired},
                                     {"existing", outcome.existing},
                                     {"bytes", outcome.bytes},
                                     {"elapsed_s", outcome.elapsed.count()},
                                     {"error", outcome.error}};
      console.out(object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    } else if (outcome.error.empty()) {
      console.out(fmt::format("keys={} imported={} expired={} existing={} elapsed={:.2f}s\n",
                              outcome.keys, outcome.imported, outcome.expired, outcome.existing,
                              outcome.elapsed.count()));
    }
    if (!outcome.error.empty()) {
      console.err(fmt::format("raftkv-cli import: {}; {} keys were imported; {}\n", outcome.error,
                              outcome.imported, advice));
      return outcome.doubt ? kExitUnknown : kExitFailed;
    }
    if (outcome.existing == 0) return kExitOk;
    console.err(fmt::format(
        "raftkv-cli import: {} keys are there with another value and were left alone ({}); "
        "--replace overwrites them\n",
        outcome.existing, join(outcome.some_existing, outcome.existing)));
    return kExitFailed;
  }

  ImportPlan plan_;
  int64_t patience_s_ = 30;
};

}  // namespace

std::unique_ptr<CliCommand> make_import_command() {
  return std::make_unique<ImportCommand>();
}

}  // namespace raftkv::client
