#include "raft/reads.h"

#include <algorithm>
#include <string>

namespace raftkv::raft {
namespace {

// A leader without answers goes on sending rounds until it steps down. Their departures need not be
// remembered for ever: forgetting one means a shorter lease, nothing worse.
constexpr size_t kRememberedRoundsMax = 256;

}  // namespace

void Reads::add(uint64_t number, Index last) {
  if (open_.first == 0) open_.first = number;
  open_.last = number;
  open_.after = last;
}

void Reads::add_remote(RemoteRead read, Index last) {
  const auto same = std::find_if(open_.remote.begin(), open_.remote.end(),
                                 [&](const RemoteRead& other) { return other.from == read.from; });
  if (same == open_.remote.end()) {
    open_.remote.push_back(read);
  } else {
    same->number = std::max(same->number, read.number);
  }
  open_.after = last;
}

uint64_t Reads::start_round(MonotonicUs now, Index commit) {
  round_last_++;
  if (!open_.empty()) {
    // The commit index may have moved on since the reads came, never back: a later one is as good.
    open_.index = std::max(commit, opening_);
    open_.round = round_last_;
    waiting_.push_back(std::exchange(open_, {}));
  }
  unanswered_.push_back({round_last_, now});
  if (unanswered_.size() > kRememberedRoundsMax) unanswered_.pop_front();
  return round_last_;
}

bool Reads::wants_round() const {
  return !open_.empty() && round_last_ - round_answered_ < kRoundsInFlightMax;
}

void Reads::round_answered(uint64_t round) {
  round_answered_ = std::max(round_answered_, round);
  while (!unanswered_.empty() && unanswered_.front().number <= round_answered_) {
    confirmed_at_ = unanswered_.front().left_at;
    unanswered_.pop_front();
  }
}

bool Reads::may_grant(const Batch& batch, Index commit) const {
  if (batch.empty() || commit < std::max(batch.index, opening_)) return false;
  const bool round_is_answered = batch.round != 0 && batch.round <= round_answered_;
  return round_is_answered || commit > batch.after;
}

bool Reads::has_grants(Index commit, bool lease_valid) const {
  const Batch& oldest = waiting_.empty() ? open_ : waiting_.front();
  return !oldest.empty() && (lease_valid || may_grant(oldest, commit));
}

std::optional<Reads::Granted> Reads::take_granted(Index commit, bool lease_valid) {
  if (!has_grants(commit, lease_valid)) return std::nullopt;
  Batch batch;
  if (waiting_.empty()) {
    batch = std::exchange(open_, {});
    batch.index = commit;
  } else {
    batch = std::move(waiting_.front());
    waiting_.pop_front();
  }
  Granted granted{.own = {}, .remote = std::move(batch.remote), .index = batch.index};
  if (batch.first != 0) granted.own = ReadGrant{batch.first, batch.last, batch.index};
  return granted;
}

std::string Reads::broken_invariant() const {
  if (round_answered_ > round_last_) return "a round was answered that never left";
  uint64_t next = 0;
  for (const Batch& batch : waiting_) {
    if (batch.empty() || batch.first > batch.last) return "an empty batch of reads waits";
    if (batch.first != 0 && batch.first <= next) return "reads wait out of order";
    if (batch.round == 0 || batch.round > round_last_) return "reads wait for no round";
    next = std::max(next, batch.last);
  }
  return "";
}

}  // namespace raftkv::raft
