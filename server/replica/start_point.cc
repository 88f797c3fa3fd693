#include "server/replica/start_point.h"

#include <utility>

namespace raftkv::server {

std::expected<StartPoint, std::string> find_start_point(storage::LogStore& log,
                                                        const storage::SnapshotStore& snapshots,
                                                        raft::Restored& restored) {
  StartPoint start;
  if (restored.snapshot.index == 0) return start;
  for (const raft::SnapshotMeta& meta : log.snapshots()) {
    const storage::SnapshotId id{.term = meta.term, .index = meta.index};
    const bool log_goes_on = restored.first_index <= meta.index + 1;
    if (!log_goes_on || !snapshots.open(id)) continue;
    if (meta.index != restored.snapshot.index) {
      start.notice = "the file of the newest snapshot, at index " +
                     std::to_string(restored.snapshot.index) +
                     ", is missing or damaged; this node starts from the one at index " +
                     std::to_string(meta.index) + " and the log behind it";
      restored.lost_snapshot = restored.snapshot.index;
    }
    start.snapshot = id;
    restored.snapshot = meta;
    return start;
  }
  start.notice =
      "no recorded snapshot that the log goes on behind has a whole file: what this node held is "
      "lost. It does not vote until the others have repaired it";
  if (auto discarded = log.discard_log(); !discarded) return std::unexpected(discarded.error());
  auto recovered = log.recover();
  if (!recovered) return std::unexpected(recovered.error());
  restored = std::move(*recovered);
  return start;
}

}  // namespace raftkv::server
