// When a leader's next batch waits for company. Each entry costs a sync on every node, and a sync
// costs the same for one write as for a hundred: the disk's time, and on a virtual machine some of
// its processor's, outside of it. Proposed as soon as the last batch leaves room, writes that come
// evenly make more syncs than the machine needs to keep up, and take from it what it lacks when it
// must catch up.
//
// So the next batch waits, until twice the time that one takes to commit has passed since the last
// one, and only while there is somebody to wait for: while most of the clients that are at work
// have not sent yet, and some are about to. Clients that all wait for their answers, one or a
// thousand, never wait for this. (PostgreSQL's commit_delay and commit_siblings have the same aim,
// with fixed figures.)
#pragma once

#include <algorithm>
#include <cstdint>

namespace raftkv::server {

// Times in microseconds on the monotonic clock. Loop thread.
class WriteGathering {
 public:
  // When a client sent a command while it waited for no other the last time, in periods: kept by
  // its session. 0: never.
  using Seen = uint64_t;

  // No pause is longer than that. 0: none at all.
  explicit WriteGathering(uint64_t longest_us) : longest_us_(longest_us) {}

  // A client that waits for no answer sends a command.
  void client_asks(Seen& seen, uint64_t now) {
    roll(now);
    ++waiting_;
    ++asked_;
    if (seen != period_) ++active_;
    seen = period_;
  }
  // It has all its answers.
  void client_is_answered() { --waiting_; }

  void proposed(uint64_t now) { proposed_us_ = now; }
  // A batch that was proposed when nothing else was on its way took so long to commit.
  void committed_in(uint64_t us) {
    us = std::min(us, longest_us_);  // a stall tells nothing of the next commit
    commit_us_ = commit_us_ == 0 ? us : (commit_us_ * (kWeight - 1) + us) / kWeight;
  }

  // Whether to wait now, for the next command or until_us().
  bool waits(uint64_t now) {
    roll(now);
    return now < until_us() && waiting_ * 2 < std::max(active_, active_before_) &&
           asked_before_ * pause_us() >= kWorthwhile * kPeriodUs;
  }
  uint64_t until_us() const { return proposed_us_ + pause_us(); }

 private:
  static constexpr uint64_t kPeriodUs = 10'000;  // clients that sent within it are at work
  static constexpr uint64_t kWeight = 8;         // of the past against one commit
  static constexpr uint64_t kWorthwhile = 4;     // clients expected to send within a pause

  uint64_t pause_us() const { return std::min(longest_us_, 2 * commit_us_); }

  void roll(uint64_t now) {
    const uint64_t period = now / kPeriodUs + 1;
    if (period == period_) return;
    const bool next = period == period_ + 1;
    active_before_ = next ? active_ : 0;
    asked_before_ = next ? asked_ : 0;
    active_ = asked_ = 0;
    period_ = period;
  }

  const uint64_t longest_us_;
  uint64_t period_ = 0;
  uint64_t waiting_ = 0;  // clients with commands that are not answered
  // Within this period and the last one: clients that sent, and how often they did when they waited
  // for no answer.
  uint64_t active_ = 0;
  uint64_t asked_ = 0;
  uint64_t active_before_ = 0;
  uint64_t asked_before_ = 0;

  uint64_t proposed_us_ = 0;
  uint64_t commit_us_ = 0;  // as it was lately
};

}  // namespace raftkv::server
