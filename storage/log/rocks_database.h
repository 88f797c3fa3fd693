// An open RocksDB with our column families, and the facts in it.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/listener.h>

#include <cstddef>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/types.h"
#include "storage/log/record.h"

namespace raftkv::storage {

// What column family `meta` holds.
struct LogFacts {
  std::optional<Position> position;  // none before the first write
  raft::HardState hard_state;
  std::vector<raft::SnapshotMeta> snapshots;  // newest first
};

class RocksDatabase {
 public:
  enum class Mode {
    kReadWrite,      // created if it is missing
    kReadOnly,       // needs no room on the disk
    kReadOnlyFacts,  // without the family `log`, which may be damaged
  };
  struct Options {
    size_t memtable_bytes = size_t{1} << 20;
    rocksdb::Env* env = nullptr;  // must outlive the database
    std::shared_ptr<rocksdb::EventListener> listener = nullptr;
  };

  static std::expected<std::unique_ptr<RocksDatabase>, rocksdb::Status> open(
      const std::string& path, Mode mode, const Options& options);
  ~RocksDatabase();
  RocksDatabase(const RocksDatabase&) = delete;
  RocksDatabase& operator=(const RocksDatabase&) = delete;

  rocksdb::DB& db() const { return *db_; }
  rocksdb::ColumnFamilyHandle* log() const { return log_; }  // null in kReadOnlyFacts
  rocksdb::ColumnFamilyHandle* meta() const { return meta_; }
  const std::vector<rocksdb::ColumnFamilyHandle*>& families() const { return handles_; }

  // The error is one line: which fact is damaged, and how.
  std::expected<LogFacts, std::string> read_facts() const;
  // Durable when it returns.
  rocksdb::Status write_facts(const LogFacts& facts);

 private:
  RocksDatabase() = default;
  std::expected<std::optional<std::string>, std::string> read_fact(const char* key) const;

  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
  rocksdb::ColumnFamilyHandle* log_ = nullptr;
  rocksdb::ColumnFamilyHandle* meta_ = nullptr;
  std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace raftkv::storage
