// From which snapshot a node starts.
#pragma once

#include <expected>
#include <string>

#include "raft/node.h"
#include "storage/log/log_store.h"
#include "storage/snapshot/snapshot_store.h"

namespace raftkv::server {

struct StartPoint {
  storage::SnapshotId snapshot;  // index 0: an empty dataset
  std::string notice;            // what is not as it should be, for the operator; empty if nothing
};

// The newest snapshot that `log` has recorded, whose file is there, and behind which the log goes
// on. `restored`, as `log` recovered it, is changed to begin with that one, and to tell of a newer
// one that is lost. If none is left, the log stands on something that is lost: it is discarded, and
// `restored` says that others have to repair this node. The error is one line for the operator.
std::expected<StartPoint, std::string> find_start_point(storage::LogStore& log,
                                                        const storage::SnapshotStore& snapshots,
                                                        raft::Restored& restored);

}  // namespace raftkv::server
