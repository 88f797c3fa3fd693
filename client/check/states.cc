#include "client/check/states.h"

#include "client/check/semantics.h"

namespace raftkv::client::check {

States::States(const Problem& problem) : problem_(problem) {
  const History& history = *problem.history;
  if (problem.keys.size() == 1) {
    initial_ = history.initial[problem.keys[0]];
    return;
  }
  places_.resize(problem.keys.back() - problem.keys.front() + 1);
  std::vector<CellId> cells;
  for (const uint32_t key : problem.keys) {
    places_[key - problem.keys.front()] = static_cast<uint32_t>(cells.size());
    cells.push_back(history.initial[key]);
  }
  initial_ = intern(std::move(cells));
}

StateId States::intern(std::vector<CellId> cells) {
  const auto id = static_cast<StateId>(states_.size());
  const auto [place, is_new] = ids_.try_emplace(cells, id);
  if (is_new) {
    memory_bytes_ += 2 * (cells.size() * sizeof(CellId) + 40);
    states_.push_back(std::move(cells));
  }
  return place->second;
}

std::optional<StateId> States::after(const Entry& entry, StateId state) {
  History& history = *problem_.history;
  const auto actions = history.actions_of(*entry.operation);
  if (problem_.keys.size() == 1 && actions.size() == 1) {
    return apply(actions[0], entry.check_reply, state, history.cells);
  }
  const bool single = problem_.keys.size() == 1;
  std::vector<CellId> cells = single ? std::vector<CellId>{state} : states_[state];
  for (const Action& action : actions) {
    CellId& cell = cells[single ? 0 : places_[action.key - problem_.keys.front()]];
    const auto next = apply(action, entry.check_reply, cell, history.cells);
    if (next) {
      cell = *next;
    } else if (entry.check_reply || actions.size() == 1) {
      return std::nullopt;
    }
  }
  return single ? cells[0] : intern(std::move(cells));
}

}  // namespace raftkv::client::check
