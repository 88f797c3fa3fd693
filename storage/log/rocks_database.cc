#include "storage/log/rocks_database.h"

#include <fmt/format.h>
#include <rocksdb/write_batch.h>

#include <utility>

#include "storage/log/rocks_options.h"

namespace raftkv::storage {

std::expected<std::unique_ptr<RocksDatabase>, rocksdb::Status> RocksDatabase::open(
    const std::string& path, Mode mode, const Options& options) {
  rocksdb::DBOptions db_options = log_db_options(options.env);
  if (options.listener) db_options.listeners.push_back(options.listener);
  std::vector<rocksdb::ColumnFamilyDescriptor> families = {
      {rocksdb::kDefaultColumnFamilyName, meta_family_options(options.memtable_bytes)},
      {kMetaFamily, meta_family_options(options.memtable_bytes)}};
  if (mode != Mode::kReadOnlyFacts) {
    families.emplace_back(kLogFamily, log_family_options(options.memtable_bytes));
  }

  std::unique_ptr<RocksDatabase> opened(new RocksDatabase());
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      mode == Mode::kReadWrite
          ? rocksdb::DB::Open(db_options, path, families, &opened->handles_, &db)
          : rocksdb::DB::OpenForReadOnly(db_options, path, families, &opened->handles_, &db);
  if (!status.ok()) return std::unexpected(status);
  opened->db_.reset(db);
  opened->meta_ = opened->handles_[1];
  if (mode != Mode::kReadOnlyFacts) opened->log_ = opened->handles_[2];
  return opened;
}

RocksDatabase::~RocksDatabase() {
  if (!db_) return;
  for (rocksdb::ColumnFamilyHandle* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
}

std::expected<std::optional<std::string>, std::string> RocksDatabase::read_fact(
    const char* key) const {
  std::string value;
  const rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), meta_, key, &value);
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok()) {
    return std::unexpected(fmt::format("the {} can't be read: {}", key, status.ToString()));
  }
  return value;
}

std::expected<LogFacts, std::string> RocksDatabase::read_facts() const {
  LogFacts facts;
  const auto position = read_fact(kPositionKey);
  if (!position) return std::unexpected(position.error());
  if (*position) {
    const auto decoded = decode_position(**position);
    if (!decoded) return std::unexpected("the position is damaged: " + decoded.error());
    facts.position = *decoded;
  }
  const auto state = read_fact(kHardStateKey);
  if (!state) return std::unexpected(state.error());
  if (*state) {
    const auto decoded = decode_hard_state(**state);
    if (!decoded) {
      return std::unexpected("the hard state (term and vote) is damaged: " + decoded.error());
    }
    facts.hard_state = *decoded;
  }
  const auto snapshots = read_fact(kSnapshotsKey);
  if (!snapshots) return std::unexpected(snapshots.error());
  if (*snapshots) {
    auto decoded = decode_snapshots(**snapshots);
    if (!decoded) {
      return std::unexpected("the record of snapshots is damaged: " + decoded.error());
    }
    facts.snapshots = *std::move(decoded);
  }

  const raft::Index newest = facts.snapshots.empty() ? 0 : facts.snapshots.front().index;
  if (!facts.position && (*state || *snapshots)) {
    return std::unexpected("the position is missing, though other facts are there");
  }
  if (facts.position && facts.position->snapshot_index != newest) {
    return std::unexpected(
        fmt::format("the newest recorded snapshot is at {}, but one at {} was recorded last",
                    newest, facts.position->snapshot_index));
  }
  return facts;
}

rocksdb::Status RocksDatabase::write_facts(const LogFacts& facts) {
  rocksdb::WriteBatch updates;
  rocksdb::Status status = updates.Put(meta_, kHardStateKey, encode_hard_state(facts.hard_state));
  if (status.ok()) status = updates.Put(meta_, kSnapshotsKey, encode_snapshots(facts.snapshots));
  if (status.ok() && facts.position) {
    status = updates.Put(meta_, kPositionKey, encode_position(*facts.position));
  }
  rocksdb::WriteOptions write_options;
  write_options.sync = true;
  if (status.ok()) status = db_->Write(write_options, &updates);
  return status;
}

}  // namespace raftkv::storage
