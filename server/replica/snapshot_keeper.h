// A replica's own snapshots. When one is due, the dataset is cut at the applied index and walked in
// slices between turns; when the file is durable, the core may forget the log before it.
//
// The newest file and the one before it are kept: should the newest turn out damaged at a start,
// the older one and the log behind it may still be complete. Single-threaded: the replica's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "raft/node.h"
#include "server/command/host.h"
#include "server/replica/slice_pace.h"
#include "server/replica/snapshot_pace.h"
#include "server/replica/state_machine.h"
#include "storage/snapshot/snapshot_cut_job.h"
#include "storage/snapshot/snapshot_store.h"

namespace raftkv::server {

struct SnapshotKeeperOptions {
  SnapshotLimits limits;
  storage::SnapshotCutOptions cut;
  std::string cluster_id;
  // What a turn may spend on walking the dataset, at most.
  uint64_t slice_us = 500;
};

class SnapshotKeeper {
 public:
  using Clock = std::function<uint64_t()>;  // monotonic, microseconds

  // `store` must outlive the keeper. `newest`: recorded in the log's metadata, index 0 if there is
  // none. `lost`: the index of a later one that is recorded and whose file is lost, or 0; none is
  // taken before it, since the log's metadata never go back.
  SnapshotKeeper(SnapshotKeeperOptions options, storage::SnapshotStore& store,
                 const raft::SnapshotMeta& newest, raft::Index lost, Clock clock);

  void entry_applied(const raft::Entry& entry) { pace_.applied(entry); }
  // Whether begin() should be called now, between two entries.
  bool wants_to_begin(const StateMachine& state) const;
  void begin(const raft::Node& node, StateMachine& state, uint64_t wall_us);
  // Bytes a second at which the file of so large a dataset is written, at most `most`; 0: no limit.
  static uint64_t write_rate(uint64_t dataset_bytes, uint64_t most);
  // Once a turn: walks on, and tells the core of a finished snapshot. True if there is more to do
  // at once; what waits for the disk is announced by SnapshotWriterOptions::on_progress.
  bool advance(raft::Node& node, StateMachine& state, uint64_t wall_us);
  // So much is waiting for the disk that nothing more may be applied before it has been written.
  bool stalled() const;

  // Somebody asks for a snapshot of the state as it is, or as it will be when the present one is
  // finished. False if there is nothing new to save.
  bool request(const StateMachine& state);
  // Ends the walk, if one is under way: the dataset is about to be replaced.
  void abandon();
  // Ends it and waits until nothing of it moves.
  void end() { job_.reset(); }
  // It was replaced by a snapshot from elsewhere, whose file is in the store. What the log had of
  // it is cut, as behind one of its own.
  void restored(raft::Node& node, const raft::SnapshotMeta& meta, uint64_t wall_us);
  // The log's metadata now name the snapshot at `index` as the newest one. What was not durable
  // when the log was cut behind it is by now, and is cut too.
  void recorded(raft::Node& node, raft::Index index);

  // The newest one, whose file can be sent to others. Index 0: none.
  const raft::SnapshotMeta& newest() const { return newest_; }
  // While `to` is being sent the snapshot at `index`, the log behind that is kept, until it has
  // grown to several times what makes a snapshot due.
  void hold(raft::NodeId to, raft::Index index);
  void release(raft::NodeId to) { held_.erase(to); }

  const SnapshotStatus& status() const { return status_; }

 private:
  struct Hold {
    raft::Index index = 0;
    uint64_t bytes = 0;  // that had been applied when it began
  };

  bool overstays(const Hold& hold) const;
  void finished(raft::Node& node, uint64_t wall_us);
  void failed(const std::string& why);
  void see_off();
  void replace_newest(const raft::SnapshotMeta& meta, uint64_t wall_us);
  void remove_old_files();
  raft::Index first_kept(raft::Index snapshot) const;

  SnapshotKeeperOptions options_;
  storage::SnapshotStore& store_;
  Clock clock_;
  SnapshotPace pace_;
  SlicePace slices_;
  std::unique_ptr<storage::SnapshotCutJob> job_;
  raft::SnapshotMeta meta_;  // of the job
  raft::SnapshotMeta newest_;
  const raft::Index lost_;
  storage::SnapshotId previous_;
  bool recorded_ = true;    // newest_ in the log's metadata; until then those name previous_
  bool abandoned_ = false;  // job_ is only seen off
  uint64_t began_us_ = 0;
  uint64_t retry_at_us_ = 0;
  std::map<raft::NodeId, Hold> held_;
  SnapshotStatus status_;
};

}  // namespace raftkv::server
