#include "client/check/problem.h"

#include <algorithm>
#include <numeric>

#include "client/check/semantics.h"

namespace raftkv::client::check {
namespace {

// Union-find over key numbers.
class KeyGroups {
 public:
  explicit KeyGroups(size_t keys) : parents_(keys) {
    std::iota(parents_.begin(), parents_.end(), 0);
  }
  uint32_t root(uint32_t key) {
    while (parents_[key] != key) key = parents_[key] = parents_[parents_[key]];
    return key;
  }
  void join(uint32_t a, uint32_t b) {
    a = root(a);
    b = root(b);
    parents_[std::max(a, b)] = std::min(a, b);  // the root is the group's first key
  }

 private:
  std::vector<uint32_t> parents_;
};

void sort_by_call(std::vector<Entry>& entries) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.call < b.call; });
}

bool only_looks(ActionKind kind) {
  return kind == ActionKind::kGet || kind == ActionKind::kLrange || kind == ActionKind::kSmembers;
}

// Whether every reply in the problem names the one content that it was given in. If not, a write
// whose content nobody names may still be needed to explain a reply.
bool replies_name_cells(const Problem& problem) {
  return problem.keys.size() == 1 &&
         std::all_of(problem.entries.begin(), problem.entries.end(), [&](const Entry& entry) {
           const auto actions = problem.history->actions_of(*entry.operation);
           return actions.size() == 1 && reply_names_cell(actions[0], entry.check_reply);
         });
}

}  // namespace

Entry entry_of(const Operation& operation) {
  const bool unknown = operation.outcome == Outcome::kUnknown;
  return {.operation = &operation,
          .call = operation.call,
          .returned = unknown ? kNever : operation.returned,
          .optional = unknown,
          .check_reply = !unknown};
}

bool is_read(const History& history, const Entry& entry) {
  const auto actions = history.actions_of(*entry.operation);
  return entry.check_reply && std::all_of(actions.begin(), actions.end(),
                                          [](const Action& action) { return is_read(action); });
}

bool is_idle(const History& history, const Entry& entry) {
  if (!entry.optional) return false;
  const auto actions = history.actions_of(*entry.operation);
  return is_read(history, entry) ||
         std::all_of(actions.begin(), actions.end(),
                     [](const Action& action) { return only_looks(action.kind); });
}

std::vector<Problem> split(History& history) {
  KeyGroups groups(history.keys.size());
  for (const Operation& operation : history.operations) {
    if (operation.outcome == Outcome::kFailed) continue;
    const auto actions = history.actions_of(operation);
    for (const Action& action : actions) groups.join(actions[0].key, action.key);
  }
  std::vector<Problem> by_root(history.keys.size());
  for (uint32_t key = 0; key < history.keys.size(); ++key) {
    by_root[groups.root(key)].keys.push_back(key);
  }
  for (const Operation& operation : history.operations) {
    if (operation.outcome == Outcome::kFailed || operation.action_count == 0) continue;
    const Entry entry = entry_of(operation);
    if (is_idle(history, entry)) continue;
    by_root[groups.root(history.actions_of(operation)[0].key)].entries.push_back(entry);
  }
  std::vector<Problem> problems;
  for (Problem& problem : by_root) {
    if (problem.entries.empty()) continue;
    problem.history = &history;
    sort_by_call(problem.entries);
    problems.push_back(std::move(problem));
  }
  return problems;
}

Problem prefix(const Problem& problem, int64_t time) {
  Problem result{.history = problem.history, .keys = problem.keys, .entries = {}};
  for (Entry entry : problem.entries) {
    if (entry.call > time) break;
    if (entry.returned > time) {
      entry.optional = true;
      entry.returned = kNever;
    }
    if (!is_idle(*problem.history, entry)) result.entries.push_back(entry);
  }
  return result;
}

Problem without_unread_writes(const Problem& problem) {
  if (!replies_name_cells(problem)) return problem;
  CellTable& cells = problem.history->cells;
  Problem result = problem;
  // Taking out a cas may leave what it expects unasked for, so it goes on until nothing changes.
  for (bool changed = true; changed;) {
    std::vector<CellId> asked;
    for (const Entry& entry : result.entries) {
      const Action& action = problem.history->actions_of(*entry.operation)[0];
      const bool cas = action.kind == ActionKind::kCas;
      const CellId needs = cas ? action.expect : required_cell(action, cells);
      if (needs != kNoCell) asked.push_back(needs);
    }
    std::sort(asked.begin(), asked.end());
    const size_t before = result.entries.size();
    std::erase_if(result.entries, [&](const Entry& entry) {
      if (!entry.optional) return false;
      const Action& action = problem.history->actions_of(*entry.operation)[0];
      const CellId left = produced_cell(action, entry.check_reply, cells);
      return left != kNoCell && !std::binary_search(asked.begin(), asked.end(), left);
    });
    changed = result.entries.size() != before;
  }
  return result;
}

}  // namespace raftkv::client::check
