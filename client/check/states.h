// The states that a search passes through: what all keys of a problem hold, as one number.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <optional>
#include <vector>

#include "client/check/problem.h"

namespace raftkv::client::check {

using StateId = uint32_t;

class States {
 public:
  // `problem` outlives this. A problem with one key needs no table: its states are cells.
  explicit States(const Problem& problem);

  [[nodiscard]] StateId initial() const { return initial_; }
  // The state after the entry took effect in `state`, or nothing if it can't have there. A command
  // of an optional transaction without a reply that would be refused is passed over, as Redis does.
  std::optional<StateId> after(const Entry& entry, StateId state);

  // What `key` holds in `state`.
  [[nodiscard]] CellId cell(StateId state, uint32_t key) const {
    return problem_.keys.size() == 1 ? state : states_[state][places_[key - problem_.keys.front()]];
  }

  [[nodiscard]] size_t memory_bytes() const { return memory_bytes_; }

 private:
  StateId intern(std::vector<CellId> cells);

  const Problem& problem_;
  std::vector<std::vector<CellId>> states_;
  absl::flat_hash_map<std::vector<CellId>, StateId> ids_;
  std::vector<uint32_t> places_;  // key number less the first key's -> place in the state
  StateId initial_ = 0;
  size_t memory_bytes_ = 0;
};

}  // namespace raftkv::client::check
