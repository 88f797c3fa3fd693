// What a store remembers of itself between writes, and what follows from a Persist: the rules that
// both stores share.
#pragma once

#include <string_view>

#include "raft/node.h"
#include "raft/ready.h"

namespace raftkv::storage {

struct LogExtent {
  raft::Index last_index = 0;  // 0 while the log is empty
  raft::Term last_term = 0;

  friend bool operator==(const LogExtent&, const LogExtent&) = default;
};

// Ends the process unless the entries of `persist` fit a log that ends at `extent`: contiguous,
// beginning at most one behind the end, terms not falling.
void check_fits(const raft::Persist& persist, const LogExtent& extent);

// The commit index is a hint, so a Persist that says nothing else need not reach the disk by
// itself.
bool needs_sync(const raft::Persist& persist, const raft::HardState& stored);

// Collects what recover() returns, entry by entry in order of index, and notices what can't be.
class RestoredLog {
 public:
  // False with error() set if `entry` can't follow what came before.
  bool add(const raft::Entry& entry);
  const std::string& error() const { return error_; }
  raft::Restored finish(const raft::HardState& hard_state) &&;
  raft::Index last_index() const { return restored_.last_index; }
  raft::Term last_term() const {
    return restored_.term_starts.empty() ? 0 : restored_.term_starts.back().term;
  }

 private:
  raft::Restored restored_;
  std::string error_;
};

}  // namespace raftkv::storage
