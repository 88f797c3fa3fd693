// The Raft log in RocksDB: column family `log` holds the entries, `meta` the hard state, the
// position and the recorded snapshots (record.h). A group of Persists is one write with one sync.
//
// A full disk: while there is too little room nothing is written. If RocksDB runs into the end of
// the disk all the same, it refuses every further write for ever; it is then closed and opened
// again once there is room, and its write-ahead log tells what is durable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "storage/log/log_store.h"

namespace rocksdb {
class Env;
}

namespace raftkv::storage {

struct RocksLogOptions {
  // RocksDB gathers this much in memory before it makes a table file of it. Up to three times as
  // much may be in memory, and about as much stands in the write-ahead log to be replayed at start.
  size_t memtable_bytes = size_t{32} << 20;
  // The first flush after opening comes after so many bytes already. The nodes of a cluster write
  // the same log, so they would all flush at the same moment, and no majority would be quick just
  // then; with values that differ between them, less than memtable_bytes, they do not. 0: no such
  // flush.
  size_t first_flush_bytes = 0;
  // Files of 1.25 * memtable_bytes that are kept ready for the write-ahead log (wal_space.h),
  // besides the one or two in use. 0: none.
  size_t spare_wal_files = 2;
  // Writes wait while the disk has less room than this: what RocksDB may still have to flush, and
  // some more. 0: seven times memtable_bytes.
  uint64_t disk_reserve_bytes = 0;
  // disk_full() is told this much before: for what is on its way already.
  uint64_t disk_slack_bytes = uint64_t{128} << 20;
  // Called by recover() every so many entries with the index it has come to. May be empty.
  std::function<void(raft::Index)> progress = {};
  // Where files are; for tests of failing disks. Null: the machine's. Must outlive the store.
  rocksdb::Env* env = nullptr;
};

class RocksLogStore : public LogStore {
 public:
  // Opens or creates the store in the directory `path`, whose parent exists. Nothing on disk is
  // changed if the write-ahead log turns out to be damaged. The error is one line.
  static std::expected<std::unique_ptr<RocksLogStore>, std::string> open(
      const std::string& path, const RocksLogOptions& options = {});

  ~RocksLogStore() override;
  RocksLogStore(const RocksLogStore&) = delete;
  RocksLogStore& operator=(const RocksLogStore&) = delete;

  std::expected<raft::Restored, std::string> recover() override;
  const std::string& damage() const override;
  std::vector<raft::SnapshotMeta> snapshots() const override;
  std::expected<void, std::string> discard_log() override;

  // A group whose Persists do nothing but move the commit index needs no sync: that index is a
  // hint, and is written with the next group. A group with nothing in it is not written at all.
  [[nodiscard]] std::expected<void, WriteError> write(
      std::span<const raft::Persist* const> batch) override;
  bool disk_full() const override;

  // An entry that is missing or damaged ends the process with the facts; the next start repairs
  // the log.
  void read(raft::Index first, raft::Index last, size_t bytes_limit,
            std::vector<raft::Entry>& out) const override;

  // Any thread. Walks the directory: not for every turn.
  LogStoreStats stats() const override;

 private:
  class Impl;
  explicit RocksLogStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace raftkv::storage
