// A key that only grows. A counter that only counts up passes each number once: it need not go
// beyond one that somebody must still find.
//
// A list that is only pushed to, or a string that is only appended to: whatever it holds now is the
// beginning of what every later read sees. So a search need not enter a state that a read still to
// come does not begin with; that leaves one order or few, however many writes were open at once.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "client/check/op_order.h"
#include "client/check/states.h"

namespace raftkv::client::check {

class AppendOnly {
 public:
  // For problems of other kinds it prunes nothing.
  AppendOnly(const Problem& problem, const OpOrder& order);

  // `number`: the operation that would lead there, or UINT32_MAX if it is optional.
  [[nodiscard]] bool may_enter(StateId state, uint32_t number) const;

  void done(uint32_t number) { count(number, -1); }
  void undone(uint32_t number) { count(number, 1); }

 private:
  using Sized = std::pair<int64_t, CellId>;  // the length, or the number, first

  void count(uint32_t number, int change);

  bool enabled_ = false;
  bool counts_ = false;  // the key is a counter
  const CellTable& cells_;
  std::vector<CellId> seen_;   // by each known operation; kNoCell: no read
  std::map<Sized, int> open_;  // contents that reads not done yet saw -> how many of them
};

}  // namespace raftkv::client::check
