#include "client/check/words.h"

#include <fmt/format.h>

namespace raftkv::client::check {
namespace {

constexpr size_t kValueShown = 40;

std::string command_of(const History& history, const Action& action) {
  const CellTable& cells = history.cells;
  std::string name = name_of(action.kind);
  switch (action.kind) {
    case ActionKind::kSet:
    case ActionKind::kAppend:
    case ActionKind::kRpush:
    case ActionKind::kSadd:
    case ActionKind::kSrem:
      return name + " " + cells.display(action.value, kValueShown);
    case ActionKind::kCas:
      return fmt::format("cas {} -> {}", cells.display(action.expect, kValueShown),
                         cells.display(action.value, kValueShown));
    case ActionKind::kIncr:
      return fmt::format("incr by {}", action.amount);
    default:
      return name;
  }
}

std::string reply_of(const History& history, const Action& action) {
  switch (action.kind) {
    case ActionKind::kSet:
      return "ok";
    case ActionKind::kGet:
      return history.cells.display(action.value, kValueShown);
    case ActionKind::kLrange:
      return action.value == kAbsent ? "[]" : history.cells.display(action.value, kValueShown);
    case ActionKind::kSmembers:
      return action.value == kAbsent ? "{}" : history.cells.display(action.value, kValueShown);
    case ActionKind::kCas:
      if (!action.has_result) return "not recorded";
      return action.result == 1 ? "swapped" : "not swapped";
    default:
      return action.has_result ? std::to_string(action.result) : "not recorded";
  }
}

}  // namespace

std::string command_text(const History& history, const Operation& operation, bool with_key) {
  std::string text;
  for (const Action& action : history.actions_of(operation)) {
    if (!text.empty()) text += "; ";
    if (with_key) text += history.keys[action.key] + ": ";
    text += command_of(history, action);
  }
  return operation.action_count > 1 ? "txn(" + text + ")" : text;
}

std::string reply_text(const History& history, const Operation& operation) {
  if (operation.outcome == Outcome::kUnknown) return "unknown";
  if (operation.outcome == Outcome::kFailed) return "failed";
  std::string text;
  for (const Action& action : history.actions_of(operation)) {
    text += (text.empty() ? "" : "; ") + reply_of(history, action);
  }
  return text;
}

std::string time_text(int64_t time, int64_t origin) {
  if (time == kNever) return "never";
  return fmt::format("{:.3f} ms", (static_cast<double>(time) - static_cast<double>(origin)) / 1e6);
}

}  // namespace raftkv::client::check
