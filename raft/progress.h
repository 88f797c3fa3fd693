// What a leader knows of one follower: where its log agrees, what is on its way to it, and when it
// last answered.
//
// While the leader does not know where the logs agree it probes: one Append at a time, until one is
// accepted. Then it replicates: Appends go out one behind the other, `next` runs ahead of the
// answers, bounded by a window in messages and bytes. Whatever is lost on the way shows in one of
// three ways, each of which leads back to a probe or to a window that opens:
//   - the follower refuses an Append that stands behind the gap;
//   - it answers a heartbeat with a log that ends before what was sent ahead of that heartbeat;
//   - nothing new was acknowledged for a heartbeat interval: an empty Append at the end of all that
//     was sent then asks, and is either accepted or refused.
// Messages that come late or twice can set off the same, which costs a repetition and no more.
//
// A follower that needs what the leader's log no longer holds is sent a snapshot, and no Appends
// until it has it or the transfer has failed.
#pragma once

#include <cstdint>
#include <vector>

#include "raft/node.h"
#include "raft/types.h"

namespace raftkv::raft {

class Progress {
 public:
  enum class Mode : uint8_t { kProbe, kReplicate, kSnapshot };

  Progress(NodeId id, Index next, const Options& options, MonotonicUs now);

  NodeId id() const { return id_; }
  Mode mode() const { return mode_; }
  // The follower has our log durably up to here.
  Index match() const { return match_; }
  Index next() const { return next_; }
  size_t inflight_messages() const { return inflight_count_; }
  size_t inflight_bytes() const { return inflight_bytes_; }

  // Whether an Append may leave now, for a log that ends at `last`.
  bool wants_append(Index last) const;
  // Entries up to `last` left with it, `bytes` in all. last = next() - 1 if there were none.
  void append_sent(Index last, size_t bytes);

  // The follower has our log up to `match`. True if this is news.
  bool accepted(Index match);
  // The follower's log does not fit at `rejected_prev`. `agreeing` is the last index of our log
  // that the follower may have, as far as its answer tells. Old refusals are recognised and
  // ignored.
  void rejected(Index rejected_prev, Index agreeing);

  // A snapshot is on its way to the follower.
  void snapshot_asked();
  // It has installed one at `index`, which is in our log: go on behind it.
  void snapshot_installed(Index index);
  // The transfer failed. It may be tried again at the next heartbeat, see retry_snapshot().
  void snapshot_failed() { snapshot_failed_ = mode_ == Mode::kSnapshot; }
  // If the last transfer has failed, leaves the mode and probes at the beginning of our log:
  // perhaps the follower was ahead of the snapshot. If not, its refusal leads to the next one.
  void retry_snapshot(Index first_index);
  // Leaves the mode because the follower has got far enough in another way.
  void snapshot_needless() { probe_from(match_ + 1); }

  // A heartbeat of this round leaves.
  void heartbeat_sent(uint64_t round);
  // Its answer: the follower's log ends at `last_index`. If that is less than it had acknowledged
  // before the heartbeat left, its disk has lost the rest, and it starts from nothing.
  void heartbeat_answered(uint64_t round, Index last_index);
  uint64_t answered_round() const { return answered_round_; }

  // Once a heartbeat interval: whether to send an empty Append at next() - 1, because what was sent
  // before the last interval is still not acknowledged.
  bool wants_check();

  void heard(MonotonicUs now) { last_heard_ = now; }
  MonotonicUs last_heard() const { return last_heard_; }

  // What must hold, see invariants.h. Empty if it does.
  std::string broken_invariant(Index last) const;

 private:
  struct Inflight {
    Index last;
    size_t bytes;
  };

  void probe_from(Index next);
  void forget_inflight();

  NodeId id_;
  Mode mode_ = Mode::kProbe;
  bool probe_outstanding_ = false;
  bool snapshot_failed_ = false;
  bool acknowledged_since_check_ = true;
  Index match_ = 0;
  Index next_;
  MonotonicUs last_heard_;

  size_t inflight_bytes_max_;
  size_t inflight_bytes_ = 0;
  // A ring of constant size.
  std::vector<Inflight> inflight_;
  size_t inflight_head_ = 0;
  size_t inflight_count_ = 0;

  uint64_t answered_round_ = 0;
  // One unanswered heartbeat, and what had been sent and acknowledged ahead of it.
  uint64_t marked_round_ = 0;
  Index marked_end_ = 0;
  Index marked_match_ = 0;
};

}  // namespace raftkv::raft
