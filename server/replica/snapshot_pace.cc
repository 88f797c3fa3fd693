#include "server/replica/snapshot_pace.h"

#include <algorithm>
#include <utility>

namespace raftkv::server {

SnapshotPace::SnapshotPace(SnapshotLimits limits, raft::Index snapshot)
    : limits_(limits),
      applied_(snapshot),
      snapshot_(snapshot),
      before_snapshot_(snapshot),
      first_(snapshot == 0) {}

void SnapshotPace::applied(const raft::Entry& entry) {
  applied_ = entry.index;
  bytes_total_ += entry.bytes();
  if (marks_.empty() || bytes_total_ - marks_.back().bytes_end >= kMarkBytes) {
    marks_.push_back({entry.index, bytes_total_});
    // One mark before the tail is enough.
    while (marks_.size() > 1 && bytes_total_ - marks_[1].bytes_end > limits_.tail_bytes) {
      marks_.pop_front();
    }
  }
}

void SnapshotPace::restored(raft::Index index) {
  applied_ = snapshot_ = before_snapshot_ = index;
  first_ = true;
  bytes_at_snapshot_ = bytes_before_snapshot_ = bytes_total_;
  marks_.clear();
}

bool SnapshotPace::due() const {
  return (limits_.log_entries != 0 && entries_since() >= limits_.log_entries) ||
         (limits_.log_bytes != 0 && bytes_since() >= log_bytes());
}

void SnapshotPace::begun() {
  before_snapshot_ = snapshot_;
  before_first_ = std::exchange(first_, false);
  bytes_before_snapshot_ = bytes_at_snapshot_;
  snapshot_ = applied_;
  bytes_at_snapshot_ = bytes_total_;
}

void SnapshotPace::failed() {
  snapshot_ = before_snapshot_;
  first_ = before_first_;
  bytes_at_snapshot_ = bytes_before_snapshot_;
}

raft::Index SnapshotPace::first_kept(raft::Index snapshot) const {
  const raft::Index by_count =
      snapshot > limits_.tail_entries ? snapshot - limits_.tail_entries + 1 : 1;
  // What was applied before this process began is not marked: only its number is known.
  raft::Index by_bytes = 1;
  for (const Mark& mark : marks_) {
    if (bytes_total_ - mark.bytes_end <= limits_.tail_bytes) break;
    by_bytes = mark.index + 1;
  }
  return std::min(std::max(by_count, by_bytes), snapshot + 1);
}

}  // namespace raftkv::server
