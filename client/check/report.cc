#include "client/check/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "client/check/words.h"

namespace raftkv::client::check {
namespace {

constexpr size_t kRowsShown = 40;

std::string keys_text(const Violation& violation) {
  std::string text;
  for (const uint32_t key : violation.whole.keys) {
    if (text.size() > 100) return text + ", ...";
    text += (text.empty() ? "" : ", ") + ("'" + violation.whole.history->keys[key] + "'");
  }
  return text;
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths(rows[0].size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line = " ";
    for (size_t i = 0; i < row.size(); ++i) line += fmt::format(" {:<{}} ", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace

std::string violation_text(const Violation& violation) {
  const History& history = *violation.whole.history;
  const int64_t origin = violation.core.empty() ? 0 : violation.core.front().operation->call;
  std::vector<std::vector<std::string>> rows = {
      {"line", "client", "called", "returned", "operation", "saw"}};
  for (const Entry& entry : violation.core) {
    if (rows.size() > kRowsShown) break;
    const Operation& operation = *entry.operation;
    rows.push_back({std::to_string(operation.line), std::to_string(operation.client),
                    time_text(operation.call, origin), time_text(operation.returned, origin),
                    command_text(history, operation, violation.whole.keys.size() > 1),
                    reply_text(history, operation)});
  }
  std::string text = fmt::format("Key {}: {}.\n", keys_text(violation), explain(violation));
  const CellId initial = history.initial[violation.whole.keys[0]];
  if (initial != kAbsent) text += fmt::format("It began as {}.\n", history.cells.display(initial));
  text += fmt::format("{} operations that contradict each other{}:\n", violation.core.size(),
                      violation.minimal ? "" : " (not all of them may be needed)");
  text += table(rows);
  if (violation.core.size() > kRowsShown) {
    text +=
        fmt::format("  ... and {} more; --json lists all\n", violation.core.size() - kRowsShown);
  }
  return text;
}

std::string violation_json(const Violation& violation) {
  using Json = nlohmann::ordered_json;
  const History& history = *violation.whole.history;
  Json keys = Json::array();
  for (const uint32_t key : violation.whole.keys) keys.push_back(history.keys[key]);
  Json operations = Json::array();
  for (const Entry& entry : violation.core) {
    const Operation& operation = *entry.operation;
    Json one = {{"line", operation.line},
                {"client", operation.client},
                {"call", operation.call},
                {"return", nullptr},
                {"operation", command_text(history, operation, true)},
                {"saw", reply_text(history, operation)}};
    if (operation.returned != kNever) one["return"] = operation.returned;
    operations.push_back(std::move(one));
  }
  const Json object = {{"keys", std::move(keys)},
                       {"reason", explain(violation)},
                       {"violated_at", violation.at},
                       {"minimal", violation.minimal},
                       {"operations", std::move(operations)}};
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace raftkv::client::check
