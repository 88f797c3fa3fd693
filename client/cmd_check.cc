// check: is a recorded history linearizable?
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "client/check/checker.h"
#include "client/check/reader.h"
#include "client/check/report.h"
#include "client/check/sessions.h"
#include "client/check/words.h"
#include "client/commands.h"

namespace raftkv::client {
namespace {

using Json = nlohmann::ordered_json;

// Of check alone; 0 and 1 are those of all commands.
constexpr int kExitNoVerdict = 2;
constexpr size_t kKeysNamed = 10;

std::string dump(const Json& object) {
  return object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string names_of(const check::History& history, const std::vector<uint32_t>& keys) {
  std::string text;
  for (size_t i = 0; i < std::min(keys.size(), kKeysNamed); ++i) {
    text += (i == 0 ? "'" : ", '") + history.keys[keys[i]] + "'";
  }
  if (keys.size() > kKeysNamed) text += fmt::format(" and {} more", keys.size() - kKeysNamed);
  return text;
}

// What is told of a verdict, in all three forms.
struct Told {
  int exit_code = kExitOk;
  std::string headline;
  Json json;
  std::optional<check::Violation> violation;
};

class CheckCommand : public CliCommand {
 public:
  void declare(Flags& flags) override {
    flags.argument("HISTORY", &path_, "the file to check, as docs/history-format.md has it");
    flags.toggle("stale", &stale_,
                 "reads may be stale: only that what they saw was really written, and that no\n"
                 "      client goes back in time (read your writes, monotonic reads)");
    flags.text("html", &html_, "also write a page with a timeline of the violation to this file");
    flags.number("limit-seconds", &limit_seconds_, 1, 86'400,
                 "give up after this long and say UNDECIDED");
    flags.number("limit-mib", &limit_mib_, 16, 1 << 20,
                 "give up when the search of one key needs more memory than this");
  }

  int run(const Console& console, const std::vector<Address>& /*nodes*/,
          const CommonFlags& common) override {
    const auto started = std::chrono::steady_clock::now();
    std::ifstream file(path_, std::ios::binary);
    // A folder opens, but can't be read.
    if (!file || (file.peek() == EOF && file.bad())) {
      console.err(
          fmt::format("raftkv-cli: check: can't read {}: {}\n", path_, std::strerror(errno)));
      return kExitNoVerdict;
    }
    const check::ReadHistory read = check::read_history(file);
    if (read.error_count > 0) return report_input(console, common.json, read);
    Told told = stale_ ? judge_sessions(*read.history) : judge(*read.history, started);
    told.json["elapsed_s"] =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    if (!html_.empty() && !write_page(console, told)) return kExitNoVerdict;
    std::string text = told.headline + "\n";
    if (told.violation) text += check::violation_text(*told.violation);
    console.out(common.json ? dump(told.json) : text);
    return told.exit_code;
  }

 private:
  int report_input(const Console& console, bool json, const check::ReadHistory& read) const {
    if (json) {
      Json errors = Json::array();
      for (const check::InputError& error : read.errors) {
        errors.push_back({{"line", error.line}, {"error", error.what}});
      }
      console.out(dump({{"verdict", "BAD INPUT"},
                        {"error_count", read.error_count},
                        {"errors", std::move(errors)}}));
      return kExitNoVerdict;
    }
    std::string text;
    for (const check::InputError& error : read.errors) {
      text += fmt::format("{}:{}: {}\n", path_, error.line, error.what);
    }
    if (read.error_count > read.errors.size()) {
      text += fmt::format("... and {} more lines\n", read.error_count - read.errors.size());
    }
    console.err(text + fmt::format("raftkv-cli: check: {} malformed line(s), so no verdict; "
                                   "docs/history-format.md has the format\n",
                                   read.error_count));
    return kExitNoVerdict;
  }

  Told judge(check::History& history, std::chrono::steady_clock::time_point started) const {
    const check::SearchLimits limits = {.deadline = started + std::chrono::seconds(limit_seconds_),
                                        .memory_bytes_max = static_cast<size_t>(limit_mib_) << 20};
    check::CheckReport report = check::check_linearizable(history, limits);
    Told told;
    const std::string checked = fmt::format("checked {} events", report.operations);
    told.json = {{"verdict", "PASS"},
                 {"mode", "linearizable"},
                 {"events", report.operations},
                 {"keys", report.keys},
                 {"parts", report.parts}};
    if (report.verdict == check::Verdict::kLinearizable) {
      told.headline = "PASS: " + checked + "; linearizable; no stale reads after successful writes";
    } else if (report.verdict == check::Verdict::kUndecided) {
      told.exit_code = kExitNoVerdict;
      told.headline = fmt::format(
          "UNDECIDED: {}; no violation found, but the {} limit ended the search of key {}: raise "
          "{}",
          checked, report.limit, names_of(history, report.undecided_keys),
          report.limit == "memory" ? "--limit-mib" : "--limit-seconds");
      told.json["verdict"] = "UNDECIDED";
    } else {
      told.exit_code = kExitFailed;
      told.headline = fmt::format("FAIL: {}; not linearizable: key {}", checked,
                                  names_of(history, report.violated_keys));
      told.json["verdict"] = "FAIL";
      told.violation = std::move(report.violations.front());
      told.json["violation"] = Json::parse(check::violation_json(*told.violation));
    }
    told.json["violated_keys"] = names(history, report.violated_keys);
    told.json["undecided_keys"] = names(history, report.undecided_keys);
    if (!report.limit.empty()) told.json["limit"] = report.limit;
    return told;
  }

  static Json names(const check::History& history, const std::vector<uint32_t>& keys) {
    Json array = Json::array();
    for (const uint32_t key : keys) array.push_back(history.keys[key]);
    return array;
  }

  static Told judge_sessions(const check::History& history) {
    Told told;
    const std::string checked = fmt::format("checked {} events", history.operations.size());
    told.json = {{"verdict", "PASS"},
                 {"mode", "stale"},
                 {"events", history.operations.size()},
                 {"keys", history.keys.size()}};
    const auto found = check::check_sessions(history);
    if (!found) {
      told.headline = "PASS: " + checked + "; what was read was written; no client went back";
      return told;
    }
    told.exit_code = kExitFailed;
    told.json["verdict"] = "FAIL";
    told.headline =
        fmt::format("FAIL: {}; key '{}': {}", checked, history.keys[found->key], found->reason);
    Json operations = Json::array();
    const int64_t origin = found->operations.front()->call;
    for (const check::Operation* operation : found->operations) {
      operations.push_back({{"line", operation->line},
                            {"client", operation->client},
                            {"operation", check::command_text(history, *operation, true)},
                            {"saw", check::reply_text(history, *operation)}});
      told.headline += fmt::format(
          "\n  line {}, client {}, {} to {}: {}: {}", operation->line, operation->client,
          check::time_text(operation->call, origin), check::time_text(operation->returned, origin),
          check::command_text(history, *operation, false), check::reply_text(history, *operation));
    }
    told.json["violation"] = {{"keys", {history.keys[found->key]}},
                              {"reason", found->reason},
                              {"operations", std::move(operations)}};
    return told;
  }

  bool write_page(const Console& console, const Told& told) const {
    std::ofstream page(html_, std::ios::binary | std::ios::trunc);
    page << check::html_page(told.headline, told.violation ? &*told.violation : nullptr);
    page.close();
    if (page) return true;
    console.err(
        fmt::format("raftkv-cli: check: can't write {}: {}\n", html_, std::strerror(errno)));
    return false;
  }

  std::string path_;
  std::string html_;
  bool stale_ = false;
  int64_t limit_seconds_ = 300;
  int64_t limit_mib_ = 2048;
};

}  // namespace

std::unique_ptr<CliCommand> make_check_command() {
  return std::make_unique<CheckCommand>();
}

}  // namespace raftkv::client
