#include "client/check/readers.h"

#include <algorithm>

#include "client/check/semantics.h"

namespace raftkv::client::check {

Readers::Readers(const Problem& problem, const OpOrder& order, const States& states)
    : states_(states) {
  for (uint32_t i = 0; i < order.known_count(); ++i) {
    known_.push_back(roles_of(problem, order.known(i)));
    apply(known_.back(), 1);
  }
  for (uint32_t i = 0; i < order.kind_count(); ++i) {
    optional_.push_back(roles_of(problem, order.optional(i)));
    for (Role& role : optional_.back()) role.needs = kNoCell;  // nobody has to wait for it
    apply(optional_.back(), static_cast<int64_t>(order.size_of_kind(i)));
  }
}

std::vector<Readers::Role> Readers::roles_of(const Problem& problem, const Entry& entry) {
  CellTable& cells = problem.history->cells;
  std::vector<Role> roles;
  for (const Action& action : problem.history->actions_of(*entry.operation)) {
    auto role = std::find_if(roles.begin(), roles.end(),
                             [&](const Role& other) { return other.key == action.key; });
    if (role == roles.end()) {
      // Only the first command on a key sees what was there before.
      roles.push_back({.key = action.key});
      role = roles.end() - 1;
      if (entry.check_reply) role->needs = required_cell(action, cells);
    }
    const bool looks = action.kind == ActionKind::kGet || action.kind == ActionKind::kLrange ||
                       action.kind == ActionKind::kSmembers;
    if (looks || (entry.check_reply && is_read(action))) continue;
    // The last one that writes decides, unless it may leave what an earlier one wrote.
    const bool second = role->leaves != kNoCell || role->wild;
    role->leaves = produced_cell(action, entry.check_reply, cells);
    role->wild = role->leaves == kNoCell || (second && action.kind == ActionKind::kCas);
    // An optional transaction passes over a command that would be refused.
    if (second && !entry.check_reply) role->wild = true;
  }
  return roles;
}

void Readers::apply(const std::vector<Role>& roles, int64_t change) {
  for (const Role& role : roles) {
    if (role.needs != kNoCell) counts_[content(role.key, role.needs)].readers += change;
    if (role.leaves != kNoCell) counts_[content(role.key, role.leaves)].writers += change;
    if (role.wild) wild_[role.key] += change;
  }
}

bool Readers::may_leave(StateId from, StateId to, uint32_t number, bool optional) const {
  for (const Role& role : (optional ? optional_ : known_)[number]) {
    const CellId cell = states_.cell(from, role.key);
    if (cell == states_.cell(to, role.key)) continue;
    const auto wild = wild_.find(role.key);
    if (wild != wild_.end() && wild->second > 0) continue;
    const auto found = counts_.find(content(role.key, cell));
    if (found == counts_.end() || found->second.writers > 0) continue;
    if (found->second.readers > (role.needs == cell ? 1 : 0)) return false;
  }
  return true;
}

}  // namespace raftkv::client::check
