// Which disk writes are on their way, and what is surely behind a sync. A crash takes the disk back
// to the state after some completed write, so nothing else may be promised to others.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>

#include "raft/node.h"
#include "raft/ready.h"
#include "raft/types.h"

namespace raftkv::raft {

class Durability {
 public:
  Durability(const HardState& restored, Index last_index)
      : handed_state_(restored),
        durable_state_(restored),
        handed_index_(last_index),
        durable_index_(last_index) {}

  // What the host was given to write, done or not.
  const HardState& handed_state() const { return handed_state_; }
  Index handed_index() const { return handed_index_; }
  // What survives a crash: this state, and our log up to this index.
  const HardState& durable_state() const { return durable_state_; }
  Index durable_index() const { return durable_index_; }

  // A write is handed to the host; it brings the disk to `state` and to a log that ends with this
  // entry. `carries_entries` says whether the token names them.
  PersistToken hand_out(const HardState& state, Term last_term, Index last_index,
                        bool carries_entries, MonotonicUs now);

  // The log was cut: entries from `index` on will be replaced. A write on its way may still bring
  // the old ones to the disk, and even if the same entry returns to the same place later, that
  // write must not count for it, because the disk forgets it in between (the ABA race).
  void truncated_from(Index index);

  // The log begins anew behind a snapshot at `snapshot`, which the next write brings to the disk.
  // Until then the disk holds the log as it was, which agrees with the group up to `agreed` only;
  // writes of the old log that are on their way count for no more than that.
  void replaced(Index agreed, Index snapshot);
  // Entries up to `index` need not be written any more: the snapshot of the next write covers them.
  void covered_up_to(Index index) { handed_index_ = std::max(handed_index_, index); }

  // This write and all before it are done.
  void complete(const PersistToken& token);

  bool idle() const { return pending_.empty(); }
  uint64_t handed_sequence() const { return handed_sequence_; }
  uint64_t completed_sequence() const { return completed_sequence_; }
  // When the oldest write on its way was handed out.
  std::optional<MonotonicUs> oldest_pending() const {
    if (pending_.empty()) return std::nullopt;
    return pending_.front().handed_at;
  }

 private:
  struct Pending {
    PersistToken token;
    HardState state;
    Index valid_index;  // up to here the log is what this write leaves on the disk
    MonotonicUs handed_at;
  };

  HardState handed_state_;
  HardState durable_state_;
  Index handed_index_;
  Index durable_index_;
  uint64_t handed_sequence_ = 0;
  uint64_t completed_sequence_ = 0;
  std::deque<Pending> pending_;
};

}  // namespace raftkv::raft
