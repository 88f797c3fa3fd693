// When the next snapshot is due, and how much of the log is kept behind it: both follow from what
// has been applied since the last one. Single-threaded, no I/O.
#pragma once

#include <cstdint>
#include <deque>

#include "raft/types.h"

namespace raftkv::server {

struct SnapshotLimits {
  // A snapshot is due when the entries applied since the last one hold so many bytes, or are so
  // many. 0: that measure does not count. Both 0: only when somebody asks for one.
  uint64_t log_bytes = uint64_t{1} << 30;
  uint64_t log_entries = 0;
  // Of the first that a node takes, after none or after one that came from elsewhere: with values
  // that differ between the nodes they don't take all theirs at the same time. 0: as log_bytes.
  uint64_t first_log_bytes = 0;
  // Kept in the log before a snapshot, for followers that are a little behind: no more than either.
  uint64_t tail_entries = 100'000;
  uint64_t tail_bytes = uint64_t{64} << 20;
  // After a snapshot failed, the next attempt waits so long.
  uint64_t retry_us = 10'000'000;
};

class SnapshotPace {
 public:
  // `snapshot`: the newest one's index, from which this process starts.
  SnapshotPace(SnapshotLimits limits, raft::Index snapshot);

  void applied(const raft::Entry& entry);
  // The state is that of a snapshot which came from elsewhere.
  void restored(raft::Index index);

  bool due() const;
  raft::Index applied_index() const { return applied_; }
  uint64_t bytes_applied() const { return bytes_total_; }  // in this life of the process
  uint64_t bytes_since() const { return bytes_total_ - bytes_at_snapshot_; }
  uint64_t entries_since() const { return applied_ - snapshot_; }

  // A snapshot of the present moment begins: what is applied from now on counts for the next one.
  void begun();
  // It failed: what counted for it counts again.
  void failed();

  // The first entry that is to be kept in the log, given that there is a snapshot at `snapshot`.
  raft::Index first_kept(raft::Index snapshot) const;

 private:
  uint64_t log_bytes() const {
    return first_ && limits_.first_log_bytes != 0 ? limits_.first_log_bytes : limits_.log_bytes;
  }

  // Where in the stream of applied bytes an entry ended; one for every kMarkBytes or so.
  struct Mark {
    raft::Index index = 0;
    uint64_t bytes_end = 0;
  };
  static constexpr uint64_t kMarkBytes = uint64_t{1} << 18;

  SnapshotLimits limits_;
  raft::Index applied_;
  raft::Index snapshot_;         // the last one that was begun
  raft::Index before_snapshot_;  // the one before that
  bool first_;                   // none was begun here since
  bool before_first_ = false;
  uint64_t bytes_total_ = 0;
  uint64_t bytes_at_snapshot_ = 0;
  uint64_t bytes_before_snapshot_ = 0;
  std::deque<Mark> marks_;
};

}  // namespace raftkv::server
