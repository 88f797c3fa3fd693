#include "raft/progress.h"

#include <algorithm>
#include <string>

#include "raft/check.h"

namespace raftkv::raft {

Progress::Progress(NodeId id, Index next, const Options& options, MonotonicUs now)
    : id_(id),
      next_(next),
      last_heard_(now),
      inflight_bytes_max_(options.inflight_bytes_max),
      inflight_(options.inflight_messages_max) {}

bool Progress::wants_append(Index last) const {
  // A probe is worth sending even without entries: its answer tells where the logs agree.
  if (mode_ == Mode::kProbe) return !probe_outstanding_;
  if (mode_ == Mode::kSnapshot) return false;
  return next_ <= last && inflight_count_ < inflight_.size() &&
         inflight_bytes_ < inflight_bytes_max_;
}

void Progress::append_sent(Index last, size_t bytes) {
  RAFT_CHECK(last + 1 >= next_, "an Append up to " + std::to_string(last) + " goes back behind " +
                                    std::to_string(next_));
  RAFT_CHECK(mode_ != Mode::kSnapshot, "an Append to a follower that waits for a snapshot");
  if (mode_ == Mode::kProbe) {
    // `next` stays where the logs may agree; the answer says how much has been taken.
    probe_outstanding_ = true;
    return;
  }
  if (last + 1 == next_) return;
  RAFT_CHECK(inflight_count_ < inflight_.size(), "the window is full");
  inflight_[(inflight_head_ + inflight_count_) % inflight_.size()] = {last, bytes};
  inflight_count_++;
  inflight_bytes_ += bytes;
  next_ = last + 1;
}

bool Progress::accepted(Index match) {
  while (inflight_count_ > 0 && inflight_[inflight_head_].last <= match) {
    inflight_bytes_ -= inflight_[inflight_head_].bytes;
    inflight_head_ = (inflight_head_ + 1) % inflight_.size();
    inflight_count_--;
  }
  const bool news = match > match_;
  match_ = std::max(match_, match);
  if (news) acknowledged_since_check_ = true;
  if (mode_ == Mode::kProbe && match + 1 >= next_) {
    mode_ = Mode::kReplicate;
    probe_outstanding_ = false;
  }
  next_ = std::max(next_, match_ + 1);
  return news;
}

void Progress::rejected(Index rejected_prev, Index agreeing) {
  if (mode_ == Mode::kSnapshot) return;
  const bool stale = mode_ == Mode::kProbe ? rejected_prev + 1 != next_
                                           : rejected_prev <= match_ || rejected_prev >= next_;
  if (stale) return;
  probe_from(std::min(agreeing + 1, rejected_prev));
}

void Progress::probe_from(Index next) {
  mode_ = Mode::kProbe;
  probe_outstanding_ = false;
  snapshot_failed_ = false;
  acknowledged_since_check_ = true;
  marked_end_ = 0;
  next_ = std::max(next, match_ + 1);
  forget_inflight();
}

void Progress::forget_inflight() {
  inflight_head_ = 0;
  inflight_count_ = 0;
  inflight_bytes_ = 0;
}

void Progress::snapshot_asked() {
  probe_from(next_);
  mode_ = Mode::kSnapshot;
}

void Progress::snapshot_installed(Index index) {
  if (mode_ == Mode::kSnapshot) probe_from(index + 1);
}

void Progress::retry_snapshot(Index first_index) {
  if (snapshot_failed_) probe_from(first_index);
}

void Progress::heartbeat_sent(uint64_t round) {
  if (answered_round_ < marked_round_) return;
  marked_round_ = round;
  marked_end_ = next_ - 1;
  marked_match_ = match_;
}

void Progress::heartbeat_answered(uint64_t round, Index last_index) {
  answered_round_ = std::max(answered_round_, round);
  if (round >= marked_round_ && last_index < marked_match_) {
    match_ = marked_match_ = 0;
    if (mode_ != Mode::kSnapshot) probe_from(last_index + 1);
    return;
  }
  const bool lost = mode_ == Mode::kReplicate && round >= marked_round_ &&
                    last_index < marked_end_ && match_ < marked_end_;
  if (lost) probe_from(last_index + 1);
}

bool Progress::wants_check() {
  const bool waiting = mode_ == Mode::kProbe ? probe_outstanding_ : inflight_count_ > 0;
  return !std::exchange(acknowledged_since_check_, !waiting) && waiting;
}

std::string Progress::broken_invariant(Index last) const {
  const std::string who = "follower " + std::to_string(id_) + ": ";
  if (match_ > last) return who + "match is behind the end of the log";
  if (next_ <= match_ || next_ > last + 1) return who + "next is not in (match, last + 1]";
  if (inflight_count_ > inflight_.size()) return who + "too many messages in flight";
  if (mode_ != Mode::kReplicate && inflight_count_ > 0) return who + "a window without its mode";
  if (mode_ != Mode::kSnapshot && snapshot_failed_) return who + "no snapshot could have failed";
  size_t bytes = 0;
  for (size_t i = 0; i < inflight_count_; i++) {
    const Inflight& sent = inflight_[(inflight_head_ + i) % inflight_.size()];
    if (sent.last <= match_ || sent.last >= next_) return who + "in flight, but not in between";
    bytes += sent.bytes;
  }
  if (bytes != inflight_bytes_) return who + "the window's bytes do not add up";
  return "";
}

}  // namespace raftkv::raft
