// Counts who still needs a content of a key, and who can still write it: a search need not leave a
// state that can't come back and that somebody still has to see.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <vector>

#include "client/check/op_order.h"
#include "client/check/states.h"

namespace raftkv::client::check {

class Readers {
 public:
  // `states` outlives this.
  Readers(const Problem& problem, const OpOrder& order, const States& states);

  // `number`: of the operation that would lead from one to the other, or its kind if it is
  // optional.
  [[nodiscard]] bool may_leave(StateId from, StateId to, uint32_t number, bool optional) const;

  void done(uint32_t number, bool optional) { count(number, optional, -1); }
  void undone(uint32_t number, bool optional) { count(number, optional, 1); }

 private:
  // What an operation has to do with one key.
  struct Role {
    uint32_t key = 0;
    CellId needs = kNoCell;   // what it must find; of operations that surely happened
    CellId leaves = kNoCell;  // what it writes
    bool wild = false;        // may write something else
  };
  struct Counts {
    int64_t readers = 0;
    int64_t writers = 0;
  };

  static std::vector<Role> roles_of(const Problem& problem, const Entry& entry);
  static uint64_t content(uint32_t key, CellId cell) { return uint64_t{key} << 32 | cell; }
  void count(uint32_t number, bool optional, int64_t change) {
    apply((optional ? optional_ : known_)[number], change);
  }
  void apply(const std::vector<Role>& roles, int64_t change);

  const States& states_;
  std::vector<std::vector<Role>> known_;
  std::vector<std::vector<Role>> optional_;  // by kind
  absl::flat_hash_map<uint64_t, Counts> counts_;
  absl::flat_hash_map<uint32_t, int64_t> wild_;  // by key
};

}  // namespace raftkv::client::check
