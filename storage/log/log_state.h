// What a store remembers of itself between writes, and what follows from a Persist: the rules that
// both stores share.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "raft/node.h"
#include "raft/ready.h"
#include "storage/log/log_extent.h"

namespace raftkv::storage {

// The log as it will be once what was applied is durable. A cheap copy: what seldom changes is
// shared between copies.
class LogState {
 public:
  // A log without entries behind `extent.last_index`.
  LogState();
  LogState(const LogExtent& extent, std::vector<raft::TermStart> terms,
           std::vector<raft::SnapshotMeta> snapshots);

  // What `persist` does to the log. Ends the process if it can't be: a gap, a falling term, a cut
  // that does not fit.
  void apply(const raft::Persist& persist);

  const LogExtent& extent() const { return extent_; }
  // The newest one and the one before it, newest first.
  const std::vector<raft::SnapshotMeta>& snapshots() const { return *snapshots_; }
  raft::Index snapshot_index() const { return snapshots_->empty() ? 0 : snapshots_->front().index; }
  bool shares_snapshots_with(const LogState& other) const { return snapshots_ == other.snapshots_; }
  // Of an entry in [first_index - 1, last_index].
  raft::Term term_at(raft::Index index) const;

 private:
  void cut(const raft::LogCut& cut);
  void drop_before(raft::Index first_index);
  void record(const raft::SnapshotMeta& snapshot);
  void append(const std::vector<raft::Entry>& entries);
  void note_terms(const std::vector<raft::Entry>& entries);

  LogExtent extent_;
  std::shared_ptr<const std::vector<raft::TermStart>> terms_;
  std::shared_ptr<const std::vector<raft::SnapshotMeta>> snapshots_;
};

// The commit index is a hint, so a Persist that says nothing else need not reach the disk by
// itself.
bool needs_sync(const raft::Persist& persist, const raft::HardState& stored);

// Collects what recover() returns, entry by entry in order of index, and notices what can't be.
class RestoredLog {
 public:
  // For a log that begins where `extent` says.
  explicit RestoredLog(const LogExtent& extent);

  // False with error() set if `entry` can't follow what came before, or its membership makes no
  // sense.
  bool add(const raft::Entry& entry);
  const std::string& error() const { return error_; }
  // Rather than an entry that is intact and not understood.
  bool error_is_damage() const { return error_is_damage_; }
  raft::Index last_index() const { return restored_.last_index; }
  raft::Term last_term() const {
    return restored_.term_starts.empty() ? restored_.base_term : restored_.term_starts.back().term;
  }
  const std::vector<raft::TermStart>& terms() const { return restored_.term_starts; }

  raft::Restored finish(const raft::HardState& hard_state, const LogState& state) &&;

 private:
  raft::Restored restored_;
  std::string error_;
  bool error_is_damage_ = true;
};

}  // namespace raftkv::storage
