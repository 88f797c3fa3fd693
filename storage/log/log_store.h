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
  raft::Index last_index = 0;
};

// Threads: write() from one thread at a time (the log writer's), read() from another (the
// replica's) concurrently, but only of entries whose write() has returned. recover() once, before
// either.
class LogStore : public raft::LogReader {
 public:
  // What is in the store: hard state, extent and terms of the log, after every record's checksum
  // was verified. The error says in one line what is damaged and what to do about it; a torn tail
  // (the last write was cut off by a crash) is no error, it is dropped, because it was never
  // durable.
  virtual std::expected<raft::Restored, std::string> recover() = 0;

  // Makes all of `batch` durable, in order, with one sync: after a crash either a prefix of the
  // Persists is there or all are, each whole. Returns only when it is behind the sync. (Only a
  // commit index that nothing else comes with may wait for the next write: it is a hint.) A failure
  // leaves the store unusable: the caller must end the process and never try the write again.
  [[nodiscard]] virtual std::expected<void, std::string> write(
      std::span<const raft::Persist* const> batch) = 0;

  virtual LogStoreStats stats() const = 0;
};

}  // namespace raftkv::storage
