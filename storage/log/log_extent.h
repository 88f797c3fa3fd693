// Where a log begins and ends.
#pragma once

#include "raft/types.h"

namespace raftkv::storage {

struct LogExtent {
  raft::Index first_index = 1;
  raft::Term base_term = 0;    // of the entry before first_index
  raft::Index last_index = 0;  // first_index - 1 if the log is empty
  raft::Term last_term = 0;    // base_term if the log is empty
  // Entries up to here were lost to damage and are not there again; 0: none.
  raft::Index lost_up_to = 0;

  bool empty() const { return last_index < first_index; }
  friend bool operator==(const LogExtent&, const LogExtent&) = default;
};

}  // namespace raftkv::storage
