#include "client/check/op_order.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>

namespace raftkv::client::check {
namespace {

// Equal for operations that do the same and, where it counts, replied the same.
std::vector<int64_t> kind_of(const History& history, const Entry& entry) {
  std::vector<int64_t> words = {entry.check_reply ? 1 : 0};
  for (const Action& action : history.actions_of(*entry.operation)) {
    const bool replied = entry.check_reply && action.has_result;
    words.insert(words.end(),
                 {static_cast<int64_t>(action.kind), action.key, action.value, action.expect,
                  action.amount, replied ? 1 : 0, replied ? action.result : 0});
  }
  return words;
}

}  // namespace

OpOrder::OpOrder(const Problem& problem) {
  const History& history = *problem.history;
  absl::flat_hash_map<std::vector<int64_t>, uint32_t> kinds;
  for (const Entry& entry : problem.entries) {
    if (is_idle(history, entry)) continue;
    if (!entry.optional) {
      known_.push_back({.entry = entry, .read = check::is_read(history, entry)});
      continue;
    }
    const auto [place, is_new] = kinds.try_emplace(kind_of(history, entry), kind_count());
    if (is_new) kinds_.push_back({.example = entry, .calls = {}});
    kinds_[place->second].calls.push_back(entry.call);
  }
  const uint32_t count = known_count();
  for (uint32_t i = 0; i < count; ++i) {
    known_[i].before = i == 0 ? count : i - 1;
    known_[i].behind = i + 1;
  }
}

void OpOrder::find_candidates(Candidates& candidates) const {
  candidates.known.clear();
  candidates.horizon = kNever;
  for (uint32_t i = first_; i < known_count(); i = known_[i].behind) {
    const Entry& entry = known_[i].entry;
    if (entry.call > candidates.horizon) break;
    candidates.horizon = std::min(candidates.horizon, entry.returned);
    candidates.known.push_back(i);
  }
}

void OpOrder::find_optional(Candidates& candidates) const {
  candidates.optional.clear();
  for (uint32_t i = 0; i < kind_count(); ++i) {
    const Kind& kind = kinds_[i];
    if (kind.done < kind.calls.size() && kind.calls[kind.done] <= candidates.horizon) {
      candidates.optional.push_back(i);
    }
  }
}

void OpOrder::sort_by_return(std::vector<uint32_t>& numbers) const {
  std::stable_sort(numbers.begin(), numbers.end(), [this](uint32_t a, uint32_t b) {
    return known_[a].entry.returned < known_[b].entry.returned;
  });
}

void OpOrder::do_known(uint32_t number) {
  const Known& known = known_[number];
  (known.before == known_count() ? first_ : known_[known.before].behind) = known.behind;
  if (known.behind < known_count()) known_[known.behind].before = known.before;
  ++done_count_;
  reach_.push_back(std::max(reach_.empty() ? 0 : reach_.back(), number + 1));
}

void OpOrder::undo_known(uint32_t number) {
  const Known& known = known_[number];
  (known.before == known_count() ? first_ : known_[known.before].behind) = number;
  if (known.behind < known_count()) known_[known.behind].before = number;
  --done_count_;
  reach_.pop_back();
}

void OpOrder::append_done(std::vector<uint64_t>& words) const {
  const uint32_t reach = reach_.empty() ? 0 : reach_.back();
  const size_t header = words.size();
  words.push_back(0);
  // Below the reach only the few that are still open are named.
  for (uint32_t i = first_; i < reach; i = known_[i].behind) words.push_back(i);
  const uint64_t open = words.size() - header - 1;
  words[header] = reach | open << 32;
  for (uint32_t i = 0; i < kind_count(); ++i) {
    if (kinds_[i].done != 0) words.push_back(uint64_t{i} << 32 | kinds_[i].done);
  }
}

}  // namespace raftkv::client::check
