#include "client/check/append_only.h"

#include <algorithm>

namespace raftkv::client::check {
namespace {

bool all_of_kinds(const Problem& problem, ActionKind write, ActionKind read) {
  return std::all_of(problem.entries.begin(), problem.entries.end(), [&](const Entry& entry) {
    const auto actions = problem.history->actions_of(*entry.operation);
    return std::all_of(actions.begin(), actions.end(), [&](const Action& action) {
      return action.kind == write || action.kind == read;
    });
  });
}

// Single increments of more than nothing, and reads.
bool counts_up(const Problem& problem) {
  return std::all_of(problem.entries.begin(), problem.entries.end(), [&](const Entry& entry) {
    const auto actions = problem.history->actions_of(*entry.operation);
    if (actions.size() != 1) return false;
    const Action& action = actions[0];
    int64_t before = 0;
    return action.kind == ActionKind::kGet ||
           (action.kind == ActionKind::kIncr && action.amount > 0 &&
            !__builtin_sub_overflow(action.result, action.amount, &before));
  });
}

}  // namespace

AppendOnly::AppendOnly(const Problem& problem, const OpOrder& order)
    : cells_(problem.history->cells) {
  counts_ = problem.keys.size() == 1 && counts_up(problem);
  enabled_ = counts_ || (problem.keys.size() == 1 &&
                         (all_of_kinds(problem, ActionKind::kRpush, ActionKind::kLrange) ||
                          all_of_kinds(problem, ActionKind::kAppend, ActionKind::kGet)));
  if (!enabled_) return;
  for (uint32_t i = 0; i < order.known_count(); ++i) {
    const auto actions = problem.history->actions_of(*order.known(i).operation);
    // A transaction's reads may see its own writes: they say nothing of the state before it.
    seen_.push_back(order.is_read(i) ? actions[0].value : kNoCell);
    if (counts_ && actions[0].kind == ActionKind::kIncr && actions[0].has_result) {
      seen_.back() = problem.history->cells.with_integer(actions[0].result - actions[0].amount);
    }
    count(i, 1);
  }
}

void AppendOnly::count(uint32_t number, int change) {
  if (!enabled_ || seen_[number] == kNoCell) return;
  const Sized sized = {counts_ ? cells_.integer(seen_[number]).value_or(0)
                               : static_cast<int64_t>(cells_.content_bytes(seen_[number])),
                       seen_[number]};
  const auto place = open_.try_emplace(sized, 0).first;
  place->second += change;
  if (place->second == 0) open_.erase(place);
}

bool AppendOnly::may_enter(StateId state, uint32_t number) const {
  if (!enabled_ || open_.empty()) return true;
  if (counts_) {
    auto least = open_.begin();
    // What the operation itself must find, it has found.
    const bool own = number != UINT32_MAX && seen_[number] == least->first.second;
    if (own && least->second == 1) ++least;
    if (least == open_.end()) return true;
    return cells_.integer(state).value_or(0) <= least->first.first;
  }
  // The shortest one must still be reached, the longest one tells the most about the order.
  return cells_.begins_with(open_.begin()->first.second, state) &&
         cells_.begins_with(open_.rbegin()->first.second, state);
}

}  // namespace raftkv::client::check
