#include "server/replica/save_wait.h"

#include "server/replica/replica.h"
#include "server/replica/session.h"

namespace raftkv::server {

std::expected<SaveWait, std::string> SaveWait::begin(const Replica& replica) {
  if (replica.loading()) return std::unexpected(std::string(kLoadingError));
  const raft::Index applied = replica.state().applied_index();
  if (applied == 0) return std::unexpected(std::string("ERR this node has nothing to save yet"));
  return SaveWait(applied, replica.snapshot_status().failures);
}

bool SaveWait::over(Replica& replica) {
  if (over_) return true;
  const SnapshotStatus& status = replica.snapshot_status();
  if (status.recorded_index >= wanted_) return over_ = true;
  // That an older one failed, which was under way before, says nothing of ours.
  if (status.failures > failures_ && status.failed_index >= wanted_) {
    outcome_ = "ERR the snapshot failed: " + status.error;
    return over_ = true;
  }
  if (status.index < wanted_ && !status.in_progress && !status.requested) {
    replica.request_snapshot();
  }
  return false;
}

}  // namespace raftkv::server
