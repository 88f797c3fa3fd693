// Where the dataset comes from when it does not come from the log, and what becomes of the log
// then.
#include <utility>

#include "server/replica/check.h"
#include "server/replica/replica.h"

namespace raftkv::server {

void Replica::loaded(storage::LoadedSnapshot snapshot) {
  touch();
  if (!awaits_dataset_) return;
  RAFTKV_CHECK(snapshot.facts.meta.index == awaited_index_,
               "another snapshot was loaded than was due");
  state_.restore(std::move(snapshot));
  awaits_dataset_ = false;
  node_.set_electable(true);
}

bool Replica::install(storage::LoadedSnapshot snapshot) {
  touch();
  const raft::SnapshotMeta meta = snapshot.facts.meta;
  if (!wants_snapshot(meta)) return false;
  snapshots_.abandon();
  if (!node_.restore(meta)) return false;
  digests_.forget(state_);
  // What was handed out to be applied, or is to be loaded, is part of the snapshot.
  unapplied_.clear();
  unapplied_next_ = 0;
  state_.restore(std::move(snapshot));
  snapshots_.restored(node_, meta, ports_.now_wall_us());
  if (std::exchange(awaits_dataset_, false)) node_.set_electable(true);
  return true;
}

bool Replica::request_snapshot() {
  touch();
  return !awaits_dataset_ && !taken_out_ && snapshots_.request(state_);
}

void Replica::snapshot_sent(raft::NodeId to, raft::Index index) {
  touch();
  snapshots_.release(to);
  node_.snapshot_sent(to, index);
}

// A snapshot that was just finished may not be recorded yet: its file is whole all the same.
void Replica::send_snapshots(const std::vector<raft::SnapshotRequest>& requests) {
  if (taken_out_) return;  // what it has is wrong; whoever leads next has another
  for (const raft::SnapshotRequest& request : requests) {
    const raft::SnapshotMeta& newest = snapshots_.newest();
    RAFTKV_CHECK(newest.index + 1 >= node_.first_index(), "the log was cut without a snapshot");
    snapshots_.hold(request.to, newest.index);
    ports_.send_snapshot(request.to, newest);
  }
}

}  // namespace raftkv::server
