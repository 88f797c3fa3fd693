#include "client/check/semantics.h"

#include <algorithm>

namespace raftkv::client::check {
namespace {

using Next = std::optional<CellId>;

bool contradicts(const Action& action, bool check_reply, int64_t result) {
  return check_reply && action.has_result && action.result != result;
}

Next apply_cas(const Action& action, bool check_reply, CellId cell) {
  const bool swaps = cell == action.expect;
  if (contradicts(action, check_reply, swaps ? 1 : 0)) return std::nullopt;
  return swaps ? action.value : cell;
}

Next apply_incr(const Action& action, bool check_reply, CellId cell, CellTable& cells) {
  const std::optional<int64_t> number = cell == kAbsent ? 0 : cells.integer(cell);
  int64_t sum = 0;
  if (!number || __builtin_add_overflow(*number, action.amount, &sum)) return std::nullopt;
  if (contradicts(action, check_reply, sum)) return std::nullopt;
  return cells.with_integer(sum);
}

Next apply_append(const Action& action, bool check_reply, CellId cell, CellTable& cells) {
  if (cell != kAbsent && !cells.is_string(cell)) return std::nullopt;
  const std::string_view before = cell == kAbsent ? std::string_view() : cells.bytes(cell);
  const std::string_view more = cells.bytes(action.value);
  if (contradicts(action, check_reply, static_cast<int64_t>(before.size() + more.size()))) {
    return std::nullopt;
  }
  std::string text;
  text.reserve(before.size() + more.size());
  text.append(before).append(more);
  return cells.string(text);
}

Next apply_rpush(const Action& action, bool check_reply, CellId cell, CellTable& cells) {
  if (cell != kAbsent && !cells.is_list(cell)) return std::nullopt;
  const size_t length = cells.element_count(cell) + cells.element_count(action.value);
  if (contradicts(action, check_reply, static_cast<int64_t>(length))) return std::nullopt;
  std::vector<CellId> elements = cells.elements(cell);
  const std::vector<CellId> more = cells.elements(action.value);
  elements.insert(elements.end(), more.begin(), more.end());
  return cells.list(elements);
}

Next apply_sadd_or_srem(const Action& action, bool check_reply, CellId cell, CellTable& cells) {
  if (cell != kAbsent && !cells.is_set(cell)) return std::nullopt;
  std::vector<CellId> members = cells.elements(cell);  // sorted
  int64_t changed = 0;
  for (const CellId element : cells.elements(action.value)) {
    const auto place = std::lower_bound(members.begin(), members.end(), element);
    const bool there = place != members.end() && *place == element;
    if (there == (action.kind == ActionKind::kSadd)) continue;
    if (there) {
      members.erase(place);
    } else {
      members.insert(place, element);
    }
    ++changed;
  }
  if (contradicts(action, check_reply, changed)) return std::nullopt;
  return cells.set(std::move(members));
}

}  // namespace

const char* name_of(ActionKind kind) {
  constexpr const char* kNames[] = {"get",   "set",    "del",  "cas",  "incr",    "append",
                                    "rpush", "lrange", "sadd", "srem", "smembers"};
  return kNames[static_cast<size_t>(kind)];
}

Next apply(const Action& action, bool check_reply, CellId cell, CellTable& cells) {
  switch (action.kind) {
    case ActionKind::kGet:
    case ActionKind::kLrange:
    case ActionKind::kSmembers:
      return !check_reply || action.value == cell ? Next(cell) : std::nullopt;
    case ActionKind::kSet:
      return action.value;
    case ActionKind::kDel:
      if (contradicts(action, check_reply, cell == kAbsent ? 0 : 1)) return std::nullopt;
      return kAbsent;
    case ActionKind::kCas:
      return apply_cas(action, check_reply, cell);
    case ActionKind::kIncr:
      return apply_incr(action, check_reply, cell, cells);
    case ActionKind::kAppend:
      return apply_append(action, check_reply, cell, cells);
    case ActionKind::kRpush:
      return apply_rpush(action, check_reply, cell, cells);
    case ActionKind::kSadd:
    case ActionKind::kSrem:
      return apply_sadd_or_srem(action, check_reply, cell, cells);
  }
  return std::nullopt;
}

bool is_read(const Action& action) {
  switch (action.kind) {
    case ActionKind::kGet:
    case ActionKind::kLrange:
    case ActionKind::kSmembers:
      return true;
    case ActionKind::kDel:
    case ActionKind::kCas:
    case ActionKind::kSadd:
    case ActionKind::kSrem:
      return action.has_result && action.result == 0;
    default:
      return false;
  }
}

CellId required_cell(const Action& action, CellTable& cells) {
  switch (action.kind) {
    case ActionKind::kGet:
    case ActionKind::kLrange:
    case ActionKind::kSmembers:
      return action.value;
    case ActionKind::kDel:
      return action.has_result && action.result == 0 ? kAbsent : kNoCell;
    case ActionKind::kCas:
      return action.has_result && action.result == 1 ? action.expect : kNoCell;
    case ActionKind::kIncr: {
      int64_t before = 0;
      if (!action.has_result || action.result == action.amount ||  // nothing, or "0"
          __builtin_sub_overflow(action.result, action.amount, &before)) {
        return kNoCell;
      }
      return cells.with_integer(before);
    }
    default:
      return kNoCell;
  }
}

CellId produced_cell(const Action& action, bool check_reply, CellTable& cells) {
  switch (action.kind) {
    case ActionKind::kSet:
    case ActionKind::kCas:  // one that does not swap leaves what is there, and produces nothing
      return action.value;
    case ActionKind::kDel:
      return kAbsent;
    case ActionKind::kIncr:
      return check_reply && action.has_result ? cells.with_integer(action.result) : kNoCell;
    default:
      return kNoCell;
  }
}

bool reply_names_cell(const Action& action, bool check_reply) {
  switch (action.kind) {
    case ActionKind::kGet:
    case ActionKind::kLrange:
    case ActionKind::kSmembers:
    case ActionKind::kSet:
      return true;
    case ActionKind::kDel:
      return !check_reply || !action.has_result || action.result == 0;
    case ActionKind::kCas:
      return !check_reply || (action.has_result && action.result == 1);
    default:
      return false;
  }
}

}  // namespace raftkv::client::check
