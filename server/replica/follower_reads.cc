// Linearizable reads on a node that does not lead: the leader is asked how far its log was
// committed when they came (once it knows that it leads still), and they run here once that is
// applied. They stand in the same queue as a leader's.
//
// Only a leader can settle what its entries have not: whether a key that is due is gone. A read
// that meets such a key here waits for the next entry, which the leader proposes for that purpose
// as soon as the key is due by its own clock. If none comes (our clock may be ahead), it is sent to
// the leader.
#include <algorithm>

#include "server/replica/replica.h"
#include "server/replica/session.h"

namespace raftkv::server {

namespace {

// Longer than an election usually takes: nobody waits for ever for a leader that does not answer.
uint64_t patience_us(const raft::Options& options) {
  return 2 * options.election_timeout_us;
}
// A question or its answer may be lost.
uint64_t ask_again_us(const raft::Options& options) {
  return 2 * options.heartbeat_us;
}
// For the entry that settles a deadline.
uint64_t settle_us(const raft::Options& options) {
  return 2 * options.heartbeat_us;
}

uint64_t before(raft::MonotonicUs now, uint64_t us) {
  return now - std::min(now, us);
}

}  // namespace

void Replica::ask_leader_for_reads() {
  if (reads_.empty()) return;
  reads_.drop_older(before(monotonic_us_, patience_us(options_.raft)),
                    [this](ReadItem& item) { fail(item.origin, redirect(item.slot)); });
  if (!reads_.has_ungranted()) return;
  if (reads_.has_unregistered()) {
    reads_.register_groups([this] { return node_.read_from_leader(); });
  } else if (monotonic_us_ >= asked_leader_us_ + ask_again_us(options_.raft) ||
             node_.term() != asked_leader_in_) {
    // The answer counts for all that wait (ReadQueue::grant).
    node_.read_from_leader();
  } else {
    return;
  }
  asked_leader_us_ = monotonic_us_;
  asked_leader_in_ = node_.term();
}

void Replica::retry_postponed_reads() {
  const uint64_t since_us = before(monotonic_us_, settle_us(options_.raft));
  const bool late = reads_.oldest_us() < since_us;
  if (state_.log_time_us() == retried_at_log_us_ && !late) return;
  retried_at_log_us_ = state_.log_time_us();
  reads_.retry_postponed(since_us,
                         [this](ReadItem& item) { fail(item.origin, redirect(item.slot)); });
}

raft::MonotonicUs Replica::follower_reads_deadline() const {
  if (leading_term_ != 0 || reads_.empty()) return UINT64_MAX;
  const raft::MonotonicUs settle = reads_.oldest_us() + settle_us(options_.raft) + 1;
  const raft::MonotonicUs give_up = reads_.oldest_us() + patience_us(options_.raft) + 1;
  const raft::MonotonicUs again = asked_leader_us_ + ask_again_us(options_.raft);
  if (reads_.has_ungranted()) return std::max(monotonic_us_ + 1, std::min(again, give_up));
  return settle > monotonic_us_ ? settle : give_up;
}

}  // namespace raftkv::server
