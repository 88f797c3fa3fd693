// The contract of a durable Raft log: what RocksDB's and the simulator's store both promise, tested
// by one contract test (tests/contract).
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <vector>

#include "raft/log_reader.h"
#include "raft/node.h"
#include "raft/ready.h"

namespace raftkv::storage {

// Facts of the disk that INFO and the metrics show.
struct LogStoreStats {
  uint64_t bytes_on_disk = 0;
  raft::Index first_index = 0;  // 0 while the log is empty
  raft::Index last_index = 0;   // of the snapshot while the log is empty
};

struct WriteError {
  // Nothing of the batch is durable, nothing else was harmed, and the same batch may be written
  // again once the disk has room. Otherwise: the store is unusable, the process must end.
  bool disk_full = false;
  std::string text;  // one line
};

// Threads: write() from one thread at a time (the log writer's), read() from another (the
// replica's) concurrently, but only of entries whose write() has returned and that no cut has been
// asked to drop. recover() once, before either.
class LogStore : public raft::LogReader {
 public:
  // What is in the store: hard state, extent and terms of the log, the newest snapshot, after every
  // record's checksum was verified. A torn tail (the last write was cut off by a crash) is dropped,
  // because it was never durable.
  //
  // Entries that are damaged or missing are no error either: damage() then names them, the log is
  // emptied, durably, and begins behind the newest snapshot, and Restored::lost_up_to is set, also
  // in later lives, until the log has reached that index again. Damage to the facts themselves
  // (hard state, position, snapshots) is an error that says in one line what to do.
  virtual std::expected<raft::Restored, std::string> recover() = 0;

  // What was damaged in the log, in one line, for the operator; empty if nothing. After recover().
  virtual const std::string& damage() const = 0;

  // The recorded snapshots, newest first: the newest, and the one before it. Valid after recover(),
  // on the thread that writes, or before anything is written.
  virtual std::vector<raft::SnapshotMeta> snapshots() const = 0;

  // The files of all recorded snapshots turned out to be damaged: empties the log durably as if it
  // had never been cut, with lost_up_to = its last index and no snapshot. After recover() and
  // before the first write. recover() may then be called once more, for what there is now.
  virtual std::expected<void, std::string> discard_log() = 0;

  // Makes all of `batch` durable, in order, with one sync: after a crash either a prefix of the
  // Persists is there or all are, each whole. Returns only when it is behind the sync. (Only a
  // commit index that nothing else comes with may wait for the next write: it is a hint.) What a
  // cut drops is never seen again, and its space is given back in the background.
  [[nodiscard]] virtual std::expected<void, WriteError> write(
      std::span<const raft::Persist* const> batch) = 0;

  // Any thread: room on the disk is running out. What is on its way can still be written, no more
  // should be accepted.
  virtual bool disk_full() const = 0;

  virtual LogStoreStats stats() const = 0;
};

}  // namespace raftkv::storage
