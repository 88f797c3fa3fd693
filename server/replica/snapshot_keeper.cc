#include "server/replica/snapshot_keeper.h"

#include <algorithm>
#include <utility>

namespace raftkv::server {

namespace {

// Entries walked between two looks at the clock.
constexpr size_t kStep = 16;
// A follower that takes its time with a snapshot keeps the log behind it only up to so many times
// what makes a snapshot due.
constexpr uint64_t kHoldFactor = 4;
// A snapshot takes about so long, if that is not slower than the gentlest rate or faster than the
// one that is allowed: what nobody waits for should cost those who wait for something little, and
// yet a large dataset's snapshot must be over before the log has grown out of all proportion.
constexpr uint64_t kSecondsWanted = 60;
constexpr uint64_t kGentleBytesPerSecond = uint64_t{16} << 20;

storage::SnapshotId id_of(const raft::SnapshotMeta& meta) {
  return {.term = meta.term, .index = meta.index};
}

}  // namespace

SnapshotKeeper::SnapshotKeeper(SnapshotKeeperOptions options, storage::SnapshotStore& store,
                               const raft::SnapshotMeta& newest, raft::Index lost, Clock clock)
    : options_(std::move(options)),
      store_(store),
      clock_(std::move(clock)),
      pace_(options_.limits, newest.index),
      slices_(options_.slice_us),
      newest_(newest),
      lost_(lost) {
  status_.index = status_.recorded_index = newest.index;
}

bool SnapshotKeeper::wants_to_begin(const StateMachine& state) const {
  if (job_ != nullptr || !recorded_ || !(status_.requested || pace_.due())) return false;
  if (!status_.requested && clock_() < retry_at_us_) return false;
  return state.applied_index() > newest_.index && state.applied_index() >= lost_ &&
         state.keyspace().cut_may_begin(data::CutKind::kSnapshot);
}

void SnapshotKeeper::begin(const raft::Node& node, StateMachine& state, uint64_t wall_us) {
  meta_ = node.snapshot_meta(state.applied_index());
  const storage::SnapshotFacts facts{
      .meta = meta_, .cluster_id = options_.cluster_id, .parts = state.encode_parts()};
  storage::SnapshotCutOptions cut = options_.cut;
  cut.writer.bytes_per_second_max =
      write_rate(state.keyspace().memory_used(), options_.cut.writer.bytes_per_second_max);
  job_ = std::make_unique<storage::SnapshotCutJob>(state.keyspace(), store_, facts, cut);
  status_.requested = false;
  pace_.begun();
  began_us_ = clock_();
  status_.in_progress = true;
  status_.keys_done = 0;
  status_.keys_total = job_->keys_total();
  status_.began_wall_us = wall_us;
}

uint64_t SnapshotKeeper::write_rate(uint64_t dataset_bytes, uint64_t most) {
  if (most == 0) return 0;
  return std::min(most, std::max(dataset_bytes / kSecondsWanted, kGentleBytesPerSecond));
}

bool SnapshotKeeper::advance(raft::Node& node, StateMachine& state, uint64_t wall_us) {
  if (job_ == nullptr) {
    if (!wants_to_begin(state)) return false;
    begin(node, state, wall_us);
  }
  if (abandoned_) {
    see_off();
    return false;
  }
  uint64_t now = clock_();
  const uint64_t end = now + slices_.slice_us(now);
  bool more = true;
  while ((more = job_->advance(kStep)) && (now = clock_()) < end) {
  }
  slices_.ended(now);
  status_.keys_done = job_->keys_done();
  if (job_->state() == storage::SnapshotCutJob::State::kDone) {
    finished(node, wall_us);
    return false;
  }
  if (job_->state() == storage::SnapshotCutJob::State::kFailed) {
    failed(job_->error());
    return false;
  }
  return more;
}

// A job ends without waiting only when its writer has ended.
void SnapshotKeeper::see_off() {
  if (!job_->may_end()) return;
  job_.reset();
  abandoned_ = false;
}

bool SnapshotKeeper::stalled() const {
  return job_ != nullptr && !abandoned_ && job_->must_stall();
}

bool SnapshotKeeper::request(const StateMachine& state) {
  if (job_ == nullptr && state.applied_index() <= newest_.index) return false;
  status_.requested = true;
  return true;
}

void SnapshotKeeper::finished(raft::Node& node, uint64_t wall_us) {
  replace_newest(meta_, wall_us);
  status_.bytes = job_->bytes_written();
  status_.took_us = clock_() - began_us_;
  ++status_.saves;
  job_.reset();
  node.compact(meta_.index, first_kept(meta_.index));
}

void SnapshotKeeper::replace_newest(const raft::SnapshotMeta& meta, uint64_t wall_us) {
  previous_ = id_of(std::exchange(newest_, meta));
  recorded_ = false;
  status_.in_progress = false;
  status_.index = meta.index;
  status_.saved_wall_us = wall_us;
  status_.error.clear();
}

void SnapshotKeeper::recorded(raft::Node& node, raft::Index index) {
  if (recorded_ || index < newest_.index) return;
  recorded_ = true;
  status_.recorded_index = newest_.index;
  node.compact(newest_.index, first_kept(newest_.index));
  remove_old_files();
}

void SnapshotKeeper::failed(const std::string& why) {
  status_.in_progress = false;
  status_.took_us = clock_() - began_us_;
  status_.error = why;
  status_.failed_index = meta_.index;
  ++status_.failures;
  abandoned_ = true;
  see_off();
  pace_.failed();
  retry_at_us_ = clock_() + options_.limits.retry_us;
}

raft::Index SnapshotKeeper::first_kept(raft::Index snapshot) const {
  raft::Index first = pace_.first_kept(snapshot);
  for (const auto& [to, hold] : held_) {
    if (!overstays(hold)) first = std::min(first, hold.index + 1);
  }
  return first;
}

bool SnapshotKeeper::overstays(const Hold& hold) const {
  const SnapshotLimits& limits = options_.limits;
  return (limits.log_bytes != 0 &&
          pace_.bytes_applied() - hold.bytes > kHoldFactor * limits.log_bytes) ||
         (limits.log_entries != 0 &&
          pace_.applied_index() > hold.index + kHoldFactor * limits.log_entries);
}

void SnapshotKeeper::hold(raft::NodeId to, raft::Index index) {
  held_[to] = {.index = index, .bytes = pace_.bytes_applied()};
}

// What can't be removed now is tried again behind the next snapshot. A newer file has come from
// another node, and is about to be installed; if it never is, a later snapshot finds it older.
void SnapshotKeeper::remove_old_files() {
  const auto files = store_.list();
  if (!files) return;
  for (const storage::SnapshotInfo& file : *files) {
    if (file.id >= id_of(newest_) || file.id == previous_) continue;
    if (auto removed = store_.remove(file.id); !removed) status_.error = removed.error();
  }
}

void SnapshotKeeper::abandon() {
  if (job_ == nullptr || abandoned_) return;
  job_->abandon();
  abandoned_ = true;
  status_.in_progress = false;
}

void SnapshotKeeper::restored(raft::Node& node, const raft::SnapshotMeta& meta, uint64_t wall_us) {
  status_.requested = false;
  pace_.restored(meta.index);
  held_.clear();
  replace_newest(meta, wall_us);
  ++status_.installs;
  node.compact(meta.index, first_kept(meta.index));
}

}  // namespace raftkv::server
