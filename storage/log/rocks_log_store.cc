#include "storage/log/rocks_log_store.h"

#include <fmt/format.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/write_batch.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "storage/log/die.h"
#include "storage/log/log_state.h"
#include "storage/log/record.h"
#include "storage/log/rocks_options.h"
#include "storage/log/wal_audit.h"
#include "storage/log/wal_space.h"

namespace raftkv::storage {
namespace {

constexpr raft::Index kProgressStep = 100'000;

constexpr char kWhatToDo[] =
    "; this node's log can't be trusted: don't start it with this directory again, but remove the "
    "node from the cluster and add it with an empty one";

rocksdb::Slice slice(const EntryKey& key) {
  return {key.data(), key.size()};
}
std::string_view view(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

}  // namespace

class RocksLogStore::Impl {
 public:
  Impl(std::string path, RocksLogOptions options)
      : path_(std::move(path)), options_(std::move(options)) {}
  ~Impl() { close(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::expected<void, std::string> open();
  std::expected<raft::Restored, std::string> recover();
  std::expected<void, std::string> write(std::span<const raft::Persist* const> batch);
  void read(raft::Index first, raft::Index last, size_t bytes_limit,
            std::vector<raft::Entry>& out) const;
  LogStoreStats stats() const;

 private:
  // The state after a group, made before it is written and taken over once it is durable.
  struct Draft {
    rocksdb::WriteBatch updates;
    LogExtent extent;
    raft::HardState hard_state;
    bool needs_sync = false;
  };

  Draft begin_draft() const;
  void stage(const raft::Persist& persist, Draft& draft) const;
  void stage_entries(const std::vector<raft::Entry>& entries, Draft& draft) const;
  std::expected<void, std::string> commit(Draft& draft, bool sync);
  std::expected<std::optional<std::string>, std::string> read_fact(const char* key) const;
  std::expected<void, std::string> recover_facts();
  std::expected<void, std::string> recover_entries(RestoredLog& log) const;
  void close();

  const std::string path_;
  const RocksLogOptions options_;
  std::shared_ptr<WalSpace> wal_space_;  // null without spares
  std::unique_ptr<rocksdb::Env> env_;    // on top of it
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::ColumnFamilyHandle* default_family_ = nullptr;
  rocksdb::ColumnFamilyHandle* log_family_ = nullptr;
  rocksdb::ColumnFamilyHandle* meta_family_ = nullptr;
  WalAudit audit_;
  bool recovered_ = false;

  // The writing thread's.
  LogExtent extent_;
  raft::HardState hard_state_;
  uint64_t write_number_ = 0;
  bool hint_waits_ = false;  // hard_state_.commit is ahead of the disk
  std::string failure_;      // of the first write that failed; nothing is written after it

  std::atomic<raft::Index> last_index_ = 0;  // what stats() may see
};

std::expected<void, std::string> RocksLogStore::Impl::open() {
  const auto fail = [this](const std::string& why) {
    return std::unexpected(fmt::format("the log store in {} can't be opened: {}", path_, why));
  };
  // CURRENT is the last file that RocksDB makes of a new database.
  rocksdb::Env* env = options_.env != nullptr ? options_.env : rocksdb::Env::Default();
  if (env->FileExists(path_ + "/CURRENT").ok()) {
    auto audit = audit_wal(path_, env);
    if (!audit) return fail(audit.error() + kWhatToDo);
    audit_ = *audit;
  }
  if (options_.spare_wal_files > 0) {
    const size_t file_bytes = options_.memtable_bytes + options_.memtable_bytes / 4;
    wal_space_ = std::make_shared<WalSpace>(env->GetFileSystem(), path_, options_.spare_wal_files,
                                            file_bytes);
    const rocksdb::Status made = env->CreateDirIfMissing(path_);
    if (!made.ok()) return fail(made.ToString());
    wal_space_->start();
    env_ = rocksdb::NewCompositeEnv(wal_space_);
    env = env_.get();
  }

  const std::vector<rocksdb::ColumnFamilyDescriptor> families = {
      {rocksdb::kDefaultColumnFamilyName, meta_family_options(options_.memtable_bytes)},
      {kLogFamily, log_family_options(options_.memtable_bytes)},
      {kMetaFamily, meta_family_options(options_.memtable_bytes)}};
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      rocksdb::DB::Open(log_db_options(env), path_, families, &handles, &db);
  if (!status.ok()) return fail(status.ToString());
  db_.reset(db);
  default_family_ = handles[0];
  log_family_ = handles[1];
  meta_family_ = handles[2];
  return {};
}

void RocksLogStore::Impl::close() {
  if (!db_) return;
  // The hint may as well be kept; if it can't, nothing is lost.
  if (hint_waits_ && failure_.empty()) {
    Draft draft = begin_draft();
    const auto kept = commit(draft, /*sync=*/false);
    if (!kept) failure_ = kept.error();
  }
  for (rocksdb::ColumnFamilyHandle* family : {default_family_, log_family_, meta_family_}) {
    db_->DestroyColumnFamilyHandle(family);
  }
  db_.reset();
}

// --- recovery
// -------------------------------------------------------------------------------------

std::expected<raft::Restored, std::string> RocksLogStore::Impl::recover() {
  if (recovered_) die("recover() was called twice");
  RestoredLog log;
  auto done = recover_facts();
  if (done) done = recover_entries(log);
  if (!done) return std::unexpected(done.error() + kWhatToDo);
  extent_ = {.last_index = log.last_index(), .last_term = log.last_term()};
  last_index_ = extent_.last_index;
  recovered_ = true;
  return std::move(log).finish(hard_state_);
}

std::expected<std::optional<std::string>, std::string> RocksLogStore::Impl::read_fact(
    const char* key) const {
  std::string value;
  const rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), meta_family_, key, &value);
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok()) {
    return std::unexpected(
        fmt::format("the {} in {} can't be read: {}", key, path_, status.ToString()));
  }
  return value;
}

std::expected<void, std::string> RocksLogStore::Impl::recover_facts() {
  const auto position_record = read_fact(kPositionKey);
  if (!position_record) return std::unexpected(position_record.error());
  std::optional<Position> position;
  if (*position_record) {
    const auto decoded = decode_position(**position_record);
    if (!decoded) {
      return std::unexpected(
          fmt::format("the position in {} is damaged: {}", path_, decoded.error()));
    }
    position = *decoded;
  }
  if (position != audit_.last) {
    return std::unexpected(fmt::format(
        "the database in {} ends with write {}, but its files were seen to end with write {}",
        path_, position ? position->write_number : 0, audit_.last ? audit_.last->write_number : 0));
  }
  write_number_ = position ? position->write_number : 0;

  const auto state_record = read_fact(kHardStateKey);
  if (!state_record) return std::unexpected(state_record.error());
  if (*state_record) {
    const auto decoded = decode_hard_state(**state_record);
    if (!decoded) {
      return std::unexpected(fmt::format("the hard state (term and vote) in {} is damaged: {}",
                                         path_, decoded.error()));
    }
    hard_state_ = *decoded;
  }
  return {};
}

std::expected<void, std::string> RocksLogStore::Impl::recover_entries(RestoredLog& log) const {
  rocksdb::ReadOptions read_options;
  read_options.verify_checksums = true;
  read_options.fill_cache = false;
  read_options.readahead_size = 4 << 20;
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(read_options, log_family_));
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    const auto index = parse_entry_key(view(it->key()));
    if (!index) {
      return std::unexpected(fmt::format("the log in {} holds {}", path_, index.error()));
    }
    const auto entry = decode_entry_record(*index, view(it->value()));
    if (!entry) {
      return std::unexpected(
          fmt::format("log entry {} in {} is damaged: {}", *index, path_, entry.error()));
    }
    if (!log.add(*entry)) return std::unexpected(fmt::format("{} in {}", log.error(), path_));
    if (options_.progress && *index % kProgressStep == 0) options_.progress(*index);
  }
  if (!it->status().ok()) {
    return std::unexpected(fmt::format("the log in {} can't be read behind entry {}: {}", path_,
                                       log.last_index(), it->status().ToString()));
  }
  const Position position = audit_.last.value_or(Position{});
  if (log.last_index() != position.last_index || log.last_term() != position.last_term) {
    return std::unexpected(fmt::format(
        "the log in {} ends with entry {} of term {}, but entry {} of term {} was written last",
        path_, log.last_index(), log.last_term(), position.last_index, position.last_term));
  }
  return {};
}

// --- writing
// --------------------------------------------------------------------------------------

std::expected<void, std::string> RocksLogStore::Impl::write(
    std::span<const raft::Persist* const> batch) {
  if (!recovered_) die("write() was called before recover()");
  if (!failure_.empty()) {
    return std::unexpected("nothing is written after a write that failed: " + failure_);
  }
  Draft draft = begin_draft();
  for (const raft::Persist* persist : batch) stage(*persist, draft);
  if (!draft.needs_sync) {
    hint_waits_ = hint_waits_ || draft.hard_state != hard_state_;
    hard_state_ = draft.hard_state;
    return {};
  }
  return commit(draft, /*sync=*/true);
}

RocksLogStore::Impl::Draft RocksLogStore::Impl::begin_draft() const {
  Draft draft;
  draft.extent = extent_;
  draft.hard_state = hard_state_;
  return draft;
}

void RocksLogStore::Impl::stage(const raft::Persist& persist, Draft& draft) const {
  check_fits(persist, draft.extent);
  if (needs_sync(persist, draft.hard_state)) draft.needs_sync = true;
  if (persist.hard_state) draft.hard_state = *persist.hard_state;
  if (!persist.entries.empty()) stage_entries(persist.entries, draft);
}

void RocksLogStore::Impl::stage_entries(const std::vector<raft::Entry>& entries,
                                        Draft& draft) const {
  for (const raft::Entry& entry : entries) {
    const EntryKey key = entry_key(entry.index);
    const EntryHeader header = entry_header(entry);
    const rocksdb::Slice key_part = slice(key);
    const std::array<rocksdb::Slice, 2> value_parts = {
        rocksdb::Slice(header.data(), header.size()),
        entry.payload ? rocksdb::Slice(*entry.payload) : rocksdb::Slice()};
    const rocksdb::Status status =
        draft.updates.Put(log_family_, rocksdb::SliceParts(&key_part, 1),
                          rocksdb::SliceParts(value_parts.data(), value_parts.size()));
    if (!status.ok()) die("an entry can't be put into a batch: " + status.ToString());
  }
  // One by one: a cut-off tail is short, and a range tombstone would burden every later read.
  const raft::Entry& back = entries.back();
  for (raft::Index index = back.index + 1; index <= draft.extent.last_index; ++index) {
    const EntryKey key = entry_key(index);
    const rocksdb::Status status = draft.updates.Delete(log_family_, slice(key));
    if (!status.ok()) die("a deletion can't be put into a batch: " + status.ToString());
  }
  draft.extent = {.last_index = back.index, .last_term = back.term};
}

std::expected<void, std::string> RocksLogStore::Impl::commit(Draft& draft, bool sync) {
  const Position position = {.write_number = write_number_ + 1,
                             .last_index = draft.extent.last_index,
                             .last_term = draft.extent.last_term};
  rocksdb::Status status;
  if (hint_waits_ || draft.hard_state != hard_state_) {
    status = draft.updates.Put(meta_family_, kHardStateKey, encode_hard_state(draft.hard_state));
    if (!status.ok()) die("the hard state can't be put into a batch: " + status.ToString());
  }
  status = draft.updates.Put(meta_family_, kPositionKey, encode_position(position));
  if (!status.ok()) die("the position can't be put into a batch: " + status.ToString());

  rocksdb::WriteOptions write_options;
  write_options.sync = sync;
  status = db_->Write(write_options, &draft.updates);
  if (!status.ok()) {
    failure_ = fmt::format("the log in {} can't be written: {}", path_, status.ToString());
    return std::unexpected(failure_);
  }
  extent_ = draft.extent;
  hard_state_ = draft.hard_state;
  write_number_ = position.write_number;
  hint_waits_ = false;
  last_index_ = extent_.last_index;
  return {};
}

// --- reading
// --------------------------------------------------------------------------------------

void RocksLogStore::Impl::read(raft::Index first, raft::Index last, size_t bytes_limit,
                               std::vector<raft::Entry>& out) const {
  if (first == 0 || first > last) die(fmt::format("entries {} to {} were asked for", first, last));
  const EntryKey lower = entry_key(first);
  const EntryKey upper = entry_key(last + 1);
  const rocksdb::Slice upper_bound = slice(upper);
  rocksdb::ReadOptions read_options;
  read_options.verify_checksums = true;
  read_options.fill_cache = false;
  read_options.iterate_upper_bound = &upper_bound;
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(read_options, log_family_));

  size_t bytes = 0;
  raft::Index index = first;
  for (it->Seek(slice(lower)); it->Valid() && index <= last; it->Next(), ++index) {
    if (view(it->key()) != view(slice(entry_key(index)))) break;
    auto entry = decode_entry_record(index, view(it->value()));
    if (!entry) {
      die(fmt::format("log entry {} in {} is damaged: {}{}", index, path_, entry.error(),
                      kWhatToDo));
    }
    if (index > first && bytes + entry->bytes() > bytes_limit) return;
    bytes += entry->bytes();
    out.push_back(*std::move(entry));
  }
  if (!it->status().ok()) {
    die(fmt::format("log entry {} in {} can't be read: {}{}", index, path_, it->status().ToString(),
                    kWhatToDo));
  }
  if (index <= last) {
    die(fmt::format("log entry {} is missing in {}, which was asked for {} to {}{}", index, path_,
                    first, last, kWhatToDo));
  }
}

LogStoreStats RocksLogStore::Impl::stats() const {
  LogStoreStats stats;
  stats.last_index = last_index_;
  stats.first_index = stats.last_index == 0 ? 0 : 1;
  std::error_code ignored;  // a file may vanish while we look
  for (const auto& file : std::filesystem::directory_iterator(path_, ignored)) {
    struct stat facts = {};
    if (::stat(file.path().c_str(), &facts) == 0) {
      stats.bytes_on_disk += static_cast<uint64_t>(facts.st_blocks) * 512;
    }
  }
  return stats;
}

// --- the public face
// ------------------------------------------------------------------------------

RocksLogStore::RocksLogStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RocksLogStore::~RocksLogStore() = default;

std::expected<std::unique_ptr<RocksLogStore>, std::string> RocksLogStore::open(
    const std::string& path, const RocksLogOptions& options) {
  auto impl = std::make_unique<Impl>(path, options);
  const auto opened = impl->open();
  if (!opened) return std::unexpected(opened.error());
  return std::unique_ptr<RocksLogStore>(new RocksLogStore(std::move(impl)));
}

std::expected<raft::Restored, std::string> RocksLogStore::recover() {
  return impl_->recover();
}

std::expected<void, std::string> RocksLogStore::write(std::span<const raft::Persist* const> batch) {
  return impl_->write(batch);
}

void RocksLogStore::read(raft::Index first, raft::Index last, size_t bytes_limit,
                         std::vector<raft::Entry>& out) const {
  impl_->read(first, last, bytes_limit, out);
}

LogStoreStats RocksLogStore::stats() const {
  return impl_->stats();
}

}  // namespace raftkv::storage
