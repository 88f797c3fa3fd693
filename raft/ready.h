// What the core asks of its host, in one value. Order is in the data: a message that must not leave
// before a disk write travels inside that write (Persist::sealed), so that no host can send it
// too early.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "raft/types.h"

namespace raftkv::raft {

// Names one disk write. Term and index are those of the last entry in it, so that a completion that
// comes after the tail was replaced at the same index is recognised as stale (the ABA race).
struct PersistToken {
  uint64_t sequence = 0;  // grows by one with each Persist of a node, from 1
  Term last_term = 0;     // both 0 if the write carries no entries
  Index last_index = 0;
};

// What a write does to the log's beginning. A cut that replaces the log is carried out before the
// write's entries are appended; any other one after, for its snapshot may stand for some of them.
struct LogCut {
  // The snapshot that stands for what is dropped. Its file is durable already (the host saw to that
  // before it told the core); this write records it as the newest one.
  SnapshotMeta snapshot;
  // Entries before this index may be forgotten; at most snapshot.index + 1. Those from here to the
  // snapshot are kept for followers that are a little behind.
  Index first_index = 0;
  // The snapshot came from the leader and contradicts or overtakes our log: every entry is dropped,
  // and the log begins anew behind the snapshot (first_index = snapshot.index + 1).
  bool replaces_log = false;
};

// One atomic disk write. Persists must become durable in the order of their sequence; any number of
// consecutive ones may share one sync.
struct Persist {
  PersistToken token;
  std::optional<HardState> hard_state;
  std::optional<LogCut> cut{};
  // Contiguous. The stored log from entries.front().index on is replaced by them; what the store
  // held beyond them is gone.
  std::vector<Entry> entries;
  // Released to the network when, and only when, this write and all before it are durable.
  std::vector<Message> sealed;
};

// The reads numbered `first` to `last` (inclusive, see Node::read) may run once the state machine
// has applied `index`.
struct ReadGrant {
  uint64_t first = 0;
  uint64_t last = 0;
  Index index = 0;
};

// A follower needs what the log no longer holds: the host is to send it its newest snapshot, on a
// way of its own, and to tell Node::snapshot_sent() how it ended. Asked once for each transfer.
struct SnapshotRequest {
  NodeId to = 0;
};

struct Ready {
  std::vector<Message> send_now;  // needs no local disk: appends, heartbeats, pre-votes, refusals
  std::optional<Persist> persist;
  std::vector<Entry> apply;  // committed, in order, each handed out once
  std::vector<ReadGrant> reads;
  std::vector<SnapshotRequest> snapshots;

  bool empty() const {
    return send_now.empty() && !persist && apply.empty() && reads.empty() && snapshots.empty();
  }
};

}  // namespace raftkv::raft
