// When a leader's next batch waits for company. Each entry costs a sync on every node, and a sync
// costs the same for one write as for a hundred: the disk's time, and on a virtual machine some of
// its processor's, outside of it. Proposed as soon as the last batch leaves room, writes that come
// evenly make more syncs than the machine needs to keep up, and take from it what it lacks when it
// must catch up.
//
// So the next batch waits, until twice the time that one takes to commit has passed since the last
// one, and only while there is somebody to wait for: while less than a third of the clients that
// write wait for an answer, and some of the others are about to send. Clients that send only after
// an answer soon are that third, and one alone is all of them. (PostgreSQL's commit_delay and
// commit_siblings have the same aim, with fixed figures.)
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace raftkv::server {

// Times in microseconds on the monotonic clock. Loop thread.
class WriteGathering {
 public:
  // The period in which a client wrote last, kept by its session. 0: it never did.
  using Wrote = uint64_t;

  // No pause is longer than that. 0: none at all.
  explicit WriteGathering(uint64_t longest_us) : longest_us_(longest_us) {}

  // A client's first write in a batch has come.
  void client_writes(Wrote& wrote, uint64_t now) {
    roll(now);
    ++writes_;
    if (wrote != period_) ++writers_;
    wrote = period_;
  }

  void proposed(uint64_t now) { proposed_us_ = now; }
  // A batch that was proposed when nothing else was on its way took so long to commit.
  void committed_in(uint64_t us) {
    us = std::min(us, longest_us_);  // a stall tells nothing of the next commit
    commit_us_ = commit_us_ == 0 ? us : (commit_us_ * (kWeight - 1) + us) / kWeight;
  }

  // Whether to wait now, for the next write or until_us(), while the writes of `waiting` clients
  // are not answered.
  bool waits(uint64_t now, size_t waiting) {
    roll(now);
    return now < until_us() && waiting * kShareThatWaits < std::max(writers_, writers_before_) &&
           writes_before_ * pause_us() >= kWorthwhile * kPeriodUs;
  }
  uint64_t until_us() const { return proposed_us_ + pause_us(); }

 private:
  static constexpr uint64_t kPeriodUs = 10'000;   // clients that wrote within it will write again
  static constexpr uint64_t kShareThatWaits = 3;  // a third
  static constexpr uint64_t kWeight = 8;          // of the past against one commit
  static constexpr uint64_t kWorthwhile = 4;      // writes expected within a pause

  uint64_t pause_us() const { return std::min(longest_us_, 2 * commit_us_); }

  void roll(uint64_t now) {
    const uint64_t period = now / kPeriodUs + 1;
    if (period == period_) return;
    if (period != period_ + 1) writers_ = writes_ = 0;  // that was before the last one
    writers_before_ = writers_;
    writes_before_ = writes_;
    writers_ = writes_ = 0;
    period_ = period;
  }

  const uint64_t longest_us_;
  uint64_t period_ = 0;  // counted from 1
  // In this period and in the one before it: clients that wrote, and to how many batches in all.
  uint64_t writers_ = 0;
  uint64_t writes_ = 0;
  uint64_t writers_before_ = 0;
  uint64_t writes_before_ = 0;

  uint64_t proposed_us_ = 0;
  uint64_t commit_us_ = 0;  // as it was lately
};

}  // namespace raftkv::server
