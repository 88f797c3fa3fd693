// Numbered reads (thesis 6.4). Reads are collected into batches; a batch is granted when a majority
// has answered a round of heartbeats that left after its reads were registered, or when an entry
// that was appended after them is committed: both prove that nobody else was leader at the time
// they were registered. The same rounds, judged by when they left, carry the lease.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "raft/node.h"
#include "raft/ready.h"
#include "raft/types.h"

namespace raftkv::raft {

// Reads of a follower's, up to its number: it is told the index, and answers them itself.
struct RemoteRead {
  NodeId from = 0;
  uint64_t number = 0;
};

class Reads {
 public:
  // More rounds at once would only make the batches smaller.
  static constexpr uint64_t kRoundsInFlightMax = 2;

  // `opening` is the term's no-op: before it is committed the leader does not know what is.
  explicit Reads(Index opening) : opening_(opening) {}

  // A read is registered on a log that ends at `last`.
  void add(uint64_t number, Index last);
  // The same for a follower. Of several from one follower in a batch only the newest is kept: its
  // answer speaks for those before.
  void add_remote(RemoteRead read, Index last);

  // A round leaves now and speaks for all reads so far; returns its number.
  uint64_t start_round(MonotonicUs now, Index commit);
  // Whether there are reads that no round speaks for, and one may be started.
  bool wants_round() const;
  // A majority has answered this round or later ones.
  void round_answered(uint64_t round);
  uint64_t round_last() const { return round_last_; }

  struct Granted {
    std::optional<ReadGrant> own;
    std::vector<RemoteRead> remote;
    Index index = 0;
  };
  // The oldest batch that may be granted, if there is one.
  std::optional<Granted> take_granted(Index commit, bool lease_valid);
  bool has_grants(Index commit, bool lease_valid) const;

  // When the newest round that a majority has answered left; 0 if there is none.
  MonotonicUs confirmed_at() const { return confirmed_at_; }

  // What must hold, see invariants.h. Empty if it does.
  std::string broken_invariant() const;

 private:
  struct Batch {
    uint64_t first = 0;  // 0: no reads of our own
    uint64_t last = 0;
    std::vector<RemoteRead> remote;  // at most one of each follower
    Index after = 0;  // entries behind it were appended after the last of these reads
    Index index = 0;  // what the reads must see, at least
    uint64_t round = 0;

    bool empty() const { return first == 0 && remote.empty(); }
  };
  struct Round {
    uint64_t number;
    MonotonicUs left_at;
  };

  bool may_grant(const Batch& batch, Index commit) const;

  Index opening_;
  Batch open_;                 // no round speaks for them yet
  std::deque<Batch> waiting_;  // oldest first
  uint64_t round_last_ = 0;
  uint64_t round_answered_ = 0;
  std::deque<Round> unanswered_;  // oldest first
  MonotonicUs confirmed_at_ = 0;
};

}  // namespace raftkv::raft
