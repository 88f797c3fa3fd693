// What the core may read back from the host's durable log.
#pragma once

#include <vector>

#include "raft/types.h"

namespace raftkv::raft {

// Called in the core's own thread, possibly while another thread writes later entries. There is no
// error to return: an entry that was reported durable is there and intact, or the process ends.
class LogReader {
 public:
  virtual ~LogReader() = default;

  // Appends the entries [first, last] to `out`, in order, and stops early once `bytes_limit` is
  // reached; at least one entry is delivered. All of them were persisted before.
  virtual void read(Index first, Index last, size_t bytes_limit, std::vector<Entry>& out) const = 0;
};

}  // namespace raftkv::raft
