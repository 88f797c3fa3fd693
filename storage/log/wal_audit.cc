#include "storage/log/wal_audit.h"

#include <fmt/format.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/wal_filter.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include "storage/log/rocks_options.h"
#include "storage/log/wal_reader.h"

namespace raftkv::storage {
namespace {

constexpr size_t kMemtableBytes = size_t{1} << 20;  // nothing will be written to it

// RocksDB's diary is not wanted for a look.
class SilentLogger : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char* /*format*/, va_list /*ap*/) override {}
};

// Finds the Position among the updates of one write.
class PositionFinder : public rocksdb::WriteBatch::Handler {
 public:
  explicit PositionFinder(uint32_t meta_family_id) : meta_family_id_(meta_family_id) {}

  rocksdb::Status PutCF(uint32_t family_id, const rocksdb::Slice& key,
                        const rocksdb::Slice& value) override {
    if (family_id == meta_family_id_ && key == rocksdb::Slice(kPositionKey)) {
      found_ = value.ToString();
    }
    return rocksdb::Status::OK();
  }
  rocksdb::Status DeleteCF(uint32_t /*family_id*/, const rocksdb::Slice& /*key*/) override {
    return rocksdb::Status::OK();
  }

  const std::string& found() const { return found_; }

 private:
  uint32_t meta_family_id_;
  std::string found_;
};

// Lets no write of the write-ahead log pass, so that what the database shows is what its table
// files hold.
class TableFilesOnly : public rocksdb::WalFilter {
 public:
  const char* Name() const override { return "raftkv.TableFilesOnly"; }
  WalProcessingOption LogRecordFound(unsigned long long /*log_number*/,
                                     const std::string& /*log_file_name*/,
                                     const rocksdb::WriteBatch& /*batch*/,
                                     rocksdb::WriteBatch* /*new_batch*/,
                                     bool* /*batch_changed*/) override {
    return WalProcessingOption::kIgnoreCurrentRecord;
  }
};

// The position that the table files hold, with the write-ahead log left aside.
std::expected<std::optional<Position>, std::string> read_flushed_position(
    rocksdb::DB& db, rocksdb::ColumnFamilyHandle* meta) {
  std::string value;
  const rocksdb::Status status = db.Get(rocksdb::ReadOptions(), meta, kPositionKey, &value);
  if (status.IsNotFound()) return std::optional<Position>();
  if (!status.ok()) return std::unexpected(status.ToString());
  const auto position = decode_position(value);
  if (!position) return std::unexpected("the stored position is damaged: " + position.error());
  return *position;
}

// What is needed of the database's table files.
struct TableFiles {
  bool complete = false;  // our families were made
  uint32_t meta_family_id = 0;
  std::optional<Position> flushed;
};

std::expected<TableFiles, std::string> look_at_table_files(const std::string& path,
                                                           rocksdb::Env* env) {
  TableFilesOnly filter;
  rocksdb::DBOptions options = log_db_options(env);
  options.create_if_missing = false;
  options.create_missing_column_families = false;
  options.info_log = std::make_shared<SilentLogger>();
  options.wal_filter = &filter;

  std::vector<std::string> families;
  rocksdb::Status status = rocksdb::DB::ListColumnFamilies(options, path, &families);
  if (!status.ok()) return std::unexpected(status.ToString());
  // A crash while the database was made leaves it without our families: nothing was ever written.
  if (std::ranges::find(families, kMetaFamily) == families.end()) return TableFiles{};

  // Without the entries: whatever has befallen them, the facts can still be told.
  const std::vector<rocksdb::ColumnFamilyDescriptor> descriptors = {
      {rocksdb::kDefaultColumnFamilyName, meta_family_options(kMemtableBytes)},
      {kMetaFamily, meta_family_options(kMemtableBytes)}};
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* raw = nullptr;
  status = rocksdb::DB::OpenForReadOnly(options, path, descriptors, &handles, &raw);
  if (!status.ok()) return std::unexpected(status.ToString());
  const std::unique_ptr<rocksdb::DB> db(raw);

  rocksdb::ColumnFamilyHandle* meta = handles[1];
  TableFiles found{.complete = true, .meta_family_id = meta->GetID(), .flushed = {}};
  const auto flushed = read_flushed_position(*db, meta);
  for (rocksdb::ColumnFamilyHandle* handle : handles) db->DestroyColumnFamilyHandle(handle);
  if (!flushed) return std::unexpected(flushed.error());
  found.flushed = *flushed;
  return found;
}

// Paths of the files with this ending, oldest first.
std::expected<std::vector<std::string>, std::string> find_files(const std::string& path,
                                                                std::string_view ending,
                                                                rocksdb::Env* env) {
  std::vector<std::string> names;
  const rocksdb::Status status = env->GetChildren(path, &names);
  if (!status.ok()) return std::unexpected(status.ToString());
  std::erase_if(names, [&](const std::string& name) { return !name.ends_with(ending); });
  std::ranges::sort(names);  // numbers of six digits and more, the longer ones are the later
  std::ranges::stable_sort(names, {}, &std::string::size);
  for (std::string& name : names) name.insert(0, path + "/");
  return names;
}

std::expected<Position, std::string> position_in(const std::string& record,
                                                 uint32_t meta_family_id) {
  const rocksdb::WriteBatch batch(record);
  PositionFinder finder(meta_family_id);
  const rocksdb::Status status = batch.Iterate(&finder);
  if (!status.ok()) return std::unexpected(status.ToString());
  return decode_position(finder.found());
}

// Follows the write numbers through one file. `last` is the last write so far, and becomes that of
// the file. Files that were flushed and not yet deleted repeat older numbers.
std::expected<void, std::string> follow_writes(const std::string& file, rocksdb::Env* env,
                                               uint32_t meta_family_id,
                                               std::optional<Position>& last) {
  auto reader = WalReader::open(env, file);
  if (!reader) return std::unexpected(reader.error());
  std::string record;
  while (true) {
    const auto more = reader->next(record);
    if (!more) return std::unexpected(more.error());
    if (!*more) return {};
    const auto position = position_in(record, meta_family_id);
    if (!position) {
      return std::unexpected(
          fmt::format("the position in a write in {} is damaged: {}", file, position.error()));
    }
    const uint64_t last_number = last ? last->write_number : 0;
    if (position->write_number > last_number + 1) {
      return std::unexpected(fmt::format(
          "write {} is followed by write {} in {}: what stood between them is damaged or missing",
          last_number, position->write_number, file));
    }
    if (position->write_number == last_number + 1) last = *position;
  }
}

// The last write before `file` was flushed; nothing if it is no table of `meta`, or not whole. (A
// crash may leave one that is not: what it was to hold is in the write-ahead log still.)
std::optional<Position> position_in_table_file(const std::string& file, rocksdb::Env* env) {
  rocksdb::Options options;
  options.env = env;
  options.info_log = std::make_shared<SilentLogger>();
  rocksdb::SstFileReader reader(options);
  if (!reader.Open(file).ok()) return std::nullopt;
  if (reader.GetTableProperties()->column_family_name != kMetaFamily) return std::nullopt;
  const std::unique_ptr<rocksdb::Iterator> it(reader.NewIterator(rocksdb::ReadOptions()));
  it->Seek(kPositionKey);
  if (!it->Valid() || it->key() != rocksdb::Slice(kPositionKey)) return std::nullopt;
  const auto position = decode_position({it->value().data(), it->value().size()});
  return position ? std::optional(*position) : std::nullopt;
}

std::expected<void, std::string> check_no_table_file_is_later(const std::string& path,
                                                              uint64_t last_number,
                                                              rocksdb::Env* env) {
  const auto files = find_files(path, ".sst", env);
  if (!files) return std::unexpected(files.error());
  for (const std::string& file : *files) {
    const auto position = position_in_table_file(file, env);
    if (position && position->write_number > last_number) {
      return std::unexpected(
          fmt::format("{} holds write {}, but the files that the manifest names end with write {}: "
                      "the manifest "
                      "is damaged, or files are missing",
                      file, position->write_number, last_number));
    }
  }
  return {};
}

}  // namespace

std::expected<WalAudit, std::string> audit_wal(const std::string& path, rocksdb::Env* env) {
  const auto tables = look_at_table_files(path, env);
  if (!tables) return std::unexpected(tables.error());
  if (!tables->complete) return WalAudit{};

  WalAudit audit{.flushed = tables->flushed, .last = tables->flushed};
  const auto files = find_files(path, ".log", env);
  if (!files) return std::unexpected(files.error());
  for (const std::string& file : *files) {
    const auto followed = follow_writes(file, env, tables->meta_family_id, audit.last);
    if (!followed) return std::unexpected(followed.error());
  }
  const uint64_t last_number = audit.last ? audit.last->write_number : 0;
  if (auto none = check_no_table_file_is_later(path, last_number, env); !none) {
    return std::unexpected(none.error());
  }
  return audit;
}

std::expected<void, std::string> check_holds_no_write(const std::string& path, rocksdb::Env* env) {
  std::vector<std::string> names;
  const rocksdb::Status status = env->GetChildren(path, &names);
  if (status.IsNotFound() || status.IsPathNotFound()) return {};  // not made yet
  if (!status.ok()) return std::unexpected(status.ToString());
  const auto found = std::ranges::find_if(names, [](const std::string& name) {
    return name.ends_with(".log") || name.ends_with(".sst");
  });
  if (found == names.end()) return {};
  return std::unexpected(fmt::format("the file CURRENT is missing, but {} is there", *found));
}

}  // namespace raftkv::storage
