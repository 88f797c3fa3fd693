#include "server/replica/digest_taker.h"

#include <utility>

namespace raftkv::server {

namespace {

// Entries walked between two looks at the clock: values may be large.
constexpr size_t kStep = 32;

}  // namespace

void DigestTaker::begin(raft::Index index, const DigestCheck& check, StateMachine& state) {
  if (!state.keyspace().cut_may_begin(data::CutKind::kDigest)) {
    ++status_.skipped;
    return;
  }
  index_ = index;
  own_.reset();
  verdict_.reset();
  sessions_ = check.with_sessions ? state.once().digest() : Digest{};
  sum_.emplace(state.log_time_ms());
  state.keyspace().begin_cut(data::CutKind::kDigest,
                             [this](const data::Entry& entry) { sum_->add(entry); });
  status_.in_progress = true;
}

bool DigestTaker::advance(StateMachine& state, uint64_t wall_us) {
  if (!sum_) return false;
  uint64_t now = clock_();
  const uint64_t end = now + slices_.slice_us(now);
  do {
    if (state.keyspace().advance_cut(data::CutKind::kDigest, kStep)) continue;
    own_ = sum_->sum();
    own_->low += sessions_.low;
    own_->high += sessions_.high;
    sum_.reset();
    status_.in_progress = false;
    status_.last_index = index_;
    status_.last_value = *own_;
    judge(wall_us);
    return false;
  } while ((now = clock_()) < end);
  slices_.ended(now);
  return true;
}

void DigestTaker::decided(const DigestVerdict& verdict, uint64_t wall_us) {
  if (!verdict.digest) ++status_.undecided;
  if (verdict.index != index_ || verdict_) return;
  verdict_ = verdict;
  judge(wall_us);
}

void DigestTaker::judge(uint64_t wall_us) {
  if (!own_ || !verdict_ || !verdict_->digest) return;
  ++status_.checks;
  if (*own_ == *verdict_->digest) {
    status_.last_ok_index = index_;
    status_.last_ok_wall_us = wall_us;
  } else {
    ++status_.mismatches;
    difference_ = {.index = index_, .own = *own_, .majority = *verdict_->digest};
  }
}

void DigestTaker::forget(StateMachine& state) {
  if (sum_) state.keyspace().abandon_cut(data::CutKind::kDigest);
  sum_.reset();
  own_.reset();
  verdict_.reset();
  index_ = 0;
  status_.in_progress = false;
}

std::optional<DigestReport> DigestTaker::unjudged() const {
  if (!own_ || verdict_) return std::nullopt;
  return DigestReport{.index = index_, .digest = *own_};
}

}  // namespace raftkv::server
