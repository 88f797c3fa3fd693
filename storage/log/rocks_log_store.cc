#include "storage/log/rocks_log_store.h"

#include <fmt/format.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/write_batch.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <system_error>
#include <utility>

#include "storage/log/die.h"
#include "storage/log/disk_room.h"
#include "storage/log/gradual_delete.h"
#include "storage/log/log_state.h"
#include "storage/log/log_sweeper.h"
#include "storage/log/record.h"
#include "storage/log/rocks_database.h"
#include "storage/log/rocks_options.h"
#include "storage/log/rocks_replace.h"
#include "storage/log/rocks_walk.h"
#include "storage/log/wal_audit.h"
#include "storage/log/wal_space.h"

namespace raftkv::storage {
namespace {

constexpr char kWhatToDo[] =
    "; this node's vote and log can't be trusted: don't start it with this directory again, but "
    "remove the node from the cluster (raftkv-cli members replace) and add it with an empty one";

constexpr char kStartAgain[] =
    "; start this node again: it empties its damaged log and gets it back from the others";

rocksdb::Slice slice(const EntryKey& key) {
  return {key.data(), key.size()};
}
std::string_view view(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

// What a batch can't take is a programmer's mistake.
void check_put(const rocksdb::Status& status, const char* what) {
  if (!status.ok()) die(fmt::format("{} can't be put into a batch: {}", what, status.ToString()));
}

WriteError fatal(std::string text) {
  return {.disk_full = false, .text = std::move(text)};
}

}  // namespace

class RocksLogStore::Impl {
 public:
  Impl(std::string path, RocksLogOptions options);
  ~Impl() { close(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::expected<void, std::string> open();
  std::expected<raft::Restored, std::string> recover();
  std::expected<void, std::string> discard_log();
  std::expected<void, WriteError> write(std::span<const raft::Persist* const> batch);
  void read(raft::Index first, raft::Index last, size_t bytes_limit,
            std::vector<raft::Entry>& out) const;
  LogStoreStats stats() const;
  bool disk_full() const { return room_.running_out(); }
  const std::string& damage() const { return damage_; }
  std::vector<raft::SnapshotMeta> snapshots() const { return state_.snapshots(); }

 private:
  // The state after a group, made before it is written and taken over once it is durable.
  struct Draft {
    rocksdb::WriteBatch updates;
    LogState state;
    raft::HardState hard_state;
    bool needs_sync = false;
  };

  // Opening and closing.
  std::expected<void, std::string> make_wal_space();
  rocksdb::Status open_database(RocksDatabase::Mode mode);
  bool only_the_log_is_damaged() const;
  void close();
  std::expected<void, WriteError> reopen();

  // Recovery.
  std::expected<LogFacts, std::string> recover_facts() const;
  std::expected<LogExtent, std::string> empty_log(LogFacts& facts, const LogExtent& lost);

  // Writing.
  Draft begin_draft() const;
  void stage(const raft::Persist& persist, Draft& draft) const;
  void stage_entries(const std::vector<raft::Entry>& entries, Draft& draft) const;
  void stage_deletions(raft::Index first, raft::Index last, Draft& draft) const;
  void stage_facts(uint64_t write_number, Draft& draft) const;
  std::expected<void, WriteError> commit(Draft& draft, bool sync);
  void take_over(Draft& draft);

  void flush_first(size_t bytes);
  void sweep();

  const std::string path_;
  const RocksLogOptions options_;
  rocksdb::Env* const base_env_;
  DiskRoom room_;
  LogSweeper sweeper_;
  const std::shared_ptr<LogListener> listener_;
  std::shared_ptr<WalSpace> wal_space_;
  std::unique_ptr<rocksdb::Env> env_;  // on top of it

  // Held while the database is closed and opened again, shared by those who use it on other
  // threads than the writing one.
  mutable std::shared_mutex database_mutex_;
  std::unique_ptr<RocksDatabase> database_;
  bool read_only_ = false;  // for want of room

  WalAudit audit_;
  std::string unreadable_;  // why there is no database, although its facts can be read
  std::string damage_;
  bool recovered_ = false;
  bool written_ = false;

  // The writing thread's.
  LogState state_;
  raft::HardState hard_state_;
  uint64_t write_number_ = 0;
  bool hint_waits_ = false;   // hard_state_.commit is ahead of the disk
  bool ran_full_ = false;     // RocksDB refuses to go on
  size_t first_flush_after_;  // bytes still to be written until then; 0: it was made
  std::string failure_;       // of the first write that failed; nothing is written after it

  std::atomic<raft::Index> first_index_ = 1;  // what other threads may see: durable
  std::atomic<raft::Index> last_index_ = 0;
};

// --- opening
// -------------------------------------------------------------------------------------

RocksLogStore::Impl::Impl(std::string path, RocksLogOptions options)
    : path_(std::move(path)),
      options_(std::move(options)),
      base_env_(options_.env != nullptr ? options_.env : rocksdb::Env::Default()),
      room_(base_env_, path_,
            {.reserve_bytes = options_.disk_reserve_bytes != 0 ? options_.disk_reserve_bytes
                                                               : 7 * options_.memtable_bytes,
             .slack_bytes = options_.disk_slack_bytes}),
      sweeper_([this] { sweep(); }, [this] { room_.look(); }),
      listener_(std::make_shared<LogListener>(sweeper_)),
      first_flush_after_(options_.first_flush_bytes) {}

std::expected<void, std::string> RocksLogStore::Impl::open() {
  const auto fail = [this](const std::string& why) {
    return std::unexpected(fmt::format("the log store in {} can't be opened: {}", path_, why));
  };
  if (auto finished = finish_replacement(path_, base_env_); !finished) {
    return fail(finished.error());
  }
  // CURRENT is made before any file that holds a write.
  const bool exists = base_env_->FileExists(path_ + "/CURRENT").ok();
  if (!exists) {
    if (auto none = check_holds_no_write(path_, base_env_); !none) {
      return fail(none.error() + kWhatToDo);
    }
  }
  if (exists) {
    auto audit = audit_wal(path_, base_env_);
    if (!audit) return fail(audit.error() + kWhatToDo);
    audit_ = *audit;
  }
  if (auto made = make_wal_space(); !made) return fail(made.error());
  const rocksdb::Status status = open_database(RocksDatabase::Mode::kReadWrite);
  if (status.ok()) return {};
  if (!exists || !means_damage(status)) return fail(status.ToString());
  if (!only_the_log_is_damaged()) return fail(status.ToString() + kWhatToDo);
  unreadable_ =
      fmt::format("the log's table files in {} can't be opened: {}", path_, status.ToString());
  return {};
}

std::expected<void, std::string> RocksLogStore::Impl::make_wal_space() {
  const size_t file_bytes = options_.memtable_bytes + options_.memtable_bytes / 4;
  wal_space_ =
      std::make_shared<WalSpace>(std::make_shared<GradualDelete>(base_env_->GetFileSystem()), path_,
                                 options_.spare_wal_files, file_bytes);
  const rocksdb::Status made = base_env_->CreateDirIfMissing(path_);
  if (!made.ok()) return std::unexpected(made.ToString());
  wal_space_->start();
  env_ = rocksdb::NewCompositeEnv(wal_space_);
  return {};
}

rocksdb::Status RocksLogStore::Impl::open_database(RocksDatabase::Mode mode) {
  auto opened = RocksDatabase::open(
      path_, mode,
      {.memtable_bytes = options_.memtable_bytes, .env = env_.get(), .listener = listener_});
  if (!opened) return opened.error();
  database_ = *std::move(opened);
  read_only_ = mode != RocksDatabase::Mode::kReadWrite;
  return rocksdb::Status::OK();
}

// Whether the database can be opened without the entries, and not with them.
bool RocksLogStore::Impl::only_the_log_is_damaged() const {
  const RocksDatabase::Options options = {.memtable_bytes = options_.memtable_bytes,
                                          .env = base_env_};
  return RocksDatabase::open(path_, RocksDatabase::Mode::kReadOnlyFacts, options).has_value() &&
         !RocksDatabase::open(path_, RocksDatabase::Mode::kReadOnly, options).has_value();
}

void RocksLogStore::Impl::close() {
  sweeper_.stop();
  if (!database_) return;
  // The hint may as well be kept; if it can't, nothing is lost. Synced, since the next start puts
  // it into a table file, which may not be ahead of the write-ahead log (wal_audit.h).
  if (hint_waits_ && failure_.empty() && !read_only_ && !ran_full_) {
    Draft draft = begin_draft();
    const auto kept = commit(draft, /*sync=*/true);
    if (!kept) failure_ = kept.error().text;
  }
  database_.reset();
}

// RocksDB ran into the end of the disk. The write that failed was not synced; whether its bytes
// are there is of no interest, since it is going to be written again as a whole, and nothing that
// it removes or replaces comes back by that.
std::expected<void, WriteError> RocksLogStore::Impl::reopen() {
  const auto fail = [this](const std::string& why) {
    failure_ =
        fmt::format("the log in {} can't be opened again after the disk was full: {}", path_, why);
    return std::unexpected(fatal(failure_));
  };
  const std::unique_lock lock(database_mutex_);
  database_.reset();
  const auto audit = audit_wal(path_, base_env_);
  if (!audit) return fail(audit.error());
  const std::optional<Position>& last = audit->last;
  const uint64_t found = last ? last->write_number : 0;
  if (found != write_number_ && found != write_number_ + 1) {
    return fail(fmt::format("it ends with write {}, but write {} was the last that was synced",
                            found, write_number_));
  }
  listener_->forget_background_full();
  const rocksdb::Status status = open_database(RocksDatabase::Mode::kReadWrite);
  if (status.ok()) {
    write_number_ = found;
    ran_full_ = false;
    return {};
  }
  if (!status.IsNoSpace() || wal_space_->sync_failed()) return fail(status.ToString());
  // What is durable is read on meanwhile.
  const rocksdb::Status readable = open_database(RocksDatabase::Mode::kReadOnly);
  if (!readable.ok()) return fail(readable.ToString());
  return std::unexpected(WriteError{.disk_full = true, .text = status.ToString()});
}

// Drops the tables that hold nothing but what is cut off. Those on level 0 stay, and those that are
// being compacted: they are tried again after RocksDB's next flush or compaction.
void RocksLogStore::Impl::sweep() {
  const std::shared_lock lock(database_mutex_);
  const raft::Index first_index = first_index_;
  if (!database_ || read_only_ || first_index <= 1) return;
  const EntryKey first_kept = entry_key(first_index);
  const rocksdb::Slice end = slice(first_kept);
  const rocksdb::RangePtr dropped(nullptr, &end);
  // If it fails, RocksDB's next write says so.
  rocksdb::DeleteFilesInRanges(&database_->db(), database_->log(), &dropped, 1,
                               /*include_end=*/false)
      .PermitUncheckedError();
}

// --- recovery
// -------------------------------------------------------------------------------------

std::expected<raft::Restored, std::string> RocksLogStore::Impl::recover() {
  if (recovered_) die("recover() was called twice");
  auto facts = recover_facts();
  if (!facts) return std::unexpected(fmt::format("{} in {}{}", facts.error(), path_, kWhatToDo));
  const std::optional<Position>& position = facts->position;
  LogExtent extent = position ? position->extent : LogExtent{};
  RestoredLog log(extent);
  std::string damage = std::exchange(unreadable_, {});
  if (damage.empty()) {
    const auto walked = walk_log(*database_, extent, options_.progress, log);
    if (!walked) damage = fmt::format("{} in {}", walked.error().text, path_);
    if (!walked && !walked.error().is_damage) return std::unexpected(damage);
  }
  if (!damage.empty()) {
    if (!position) return std::unexpected(damage + ", and no position is there" + kWhatToDo);
    damage_ = damage;
    auto emptied = empty_log(*facts, extent);
    if (!emptied) return std::unexpected(emptied.error());
    extent = *emptied;
    log = RestoredLog(extent);
  }
  write_number_ = position ? position->write_number : 0;
  hard_state_ = facts->hard_state;
  state_ = LogState(extent, log.terms(), std::move(facts->snapshots));
  first_index_ = extent.first_index;
  last_index_ = extent.last_index;
  recovered_ = true;
  sweeper_.start();
  sweeper_.request();
  return std::move(log).finish(hard_state_, state_);
}

std::expected<LogFacts, std::string> RocksLogStore::Impl::recover_facts() const {
  std::unique_ptr<RocksDatabase> facts_only;
  if (!database_) {
    auto opened = RocksDatabase::open(
        path_, RocksDatabase::Mode::kReadOnlyFacts,
        {.memtable_bytes = options_.memtable_bytes, .env = base_env_, .listener = nullptr});
    if (!opened) return std::unexpected(opened.error().ToString());
    facts_only = *std::move(opened);
  }
  auto facts = (database_ ? database_ : facts_only)->read_facts();
  const auto write_of = [](const std::optional<Position>& position) {
    return position ? position->write_number : 0;
  };
  if (facts && facts->position != audit_.last) {
    return std::unexpected(
        fmt::format("the database ends with write {}, but its files were seen to end with write {}",
                    write_of(facts->position), write_of(audit_.last)));
  }
  return facts;
}

// A log behind the newest of `facts.snapshots` instead of the `lost` one, durably; returns its
// extent. Brings `facts` up to date.
std::expected<LogExtent, std::string> RocksLogStore::Impl::empty_log(LogFacts& facts,
                                                                     const LogExtent& lost) {
  const raft::SnapshotMeta base =
      facts.snapshots.empty() ? raft::SnapshotMeta{} : facts.snapshots.front();
  LogExtent extent = {.first_index = base.index + 1,
                      .base_term = base.term,
                      .last_index = base.index,
                      .last_term = base.term,
                      .lost_up_to = std::max(lost.lost_up_to, lost.last_index)};
  if (extent.lost_up_to <= extent.last_index) extent.lost_up_to = 0;
  facts.position = Position{.write_number = 1, .extent = extent, .snapshot_index = base.index};
  facts.hard_state.commit = std::min(facts.hard_state.commit, extent.last_index);

  sweeper_.stop();
  database_.reset();
  wal_space_.reset();
  env_.reset();
  auto done = replace_database(path_, facts, options_.memtable_bytes, base_env_);
  if (done) done = make_wal_space();
  if (!done) return std::unexpected(done.error());
  audit_ = {.flushed = std::nullopt, .last = facts.position};
  const rocksdb::Status status = open_database(RocksDatabase::Mode::kReadWrite);
  if (!status.ok()) {
    return std::unexpected(
        fmt::format("the emptied log in {} can't be opened: {}", path_, status.ToString()));
  }
  return extent;
}

std::expected<void, std::string> RocksLogStore::Impl::discard_log() {
  if (!recovered_ || written_) die("discard_log() belongs between recover() and the first write");
  LogFacts facts = {
      .position =
          Position{.write_number = write_number_, .extent = state_.extent(), .snapshot_index = 0},
      .hard_state = hard_state_,
      .snapshots = {}};
  recovered_ = false;
  const auto emptied = empty_log(facts, state_.extent());
  if (!emptied) return std::unexpected(emptied.error());
  return {};
}

// --- writing
// --------------------------------------------------------------------------------------

std::expected<void, WriteError> RocksLogStore::Impl::write(
    std::span<const raft::Persist* const> batch) {
  if (!recovered_) die("write() was called before recover()");
  if (!failure_.empty()) {
    return std::unexpected(fatal("nothing is written after a write that failed: " + failure_));
  }
  written_ = true;
  Draft draft = begin_draft();
  for (const raft::Persist* persist : batch) stage(*persist, draft);
  if (draft.needs_sync) return commit(draft, /*sync=*/true);
  hint_waits_ = hint_waits_ || draft.hard_state != hard_state_;
  hard_state_ = draft.hard_state;
  return {};
}

RocksLogStore::Impl::Draft RocksLogStore::Impl::begin_draft() const {
  Draft draft;
  draft.state = state_;
  draft.hard_state = hard_state_;
  return draft;
}

void RocksLogStore::Impl::stage(const raft::Persist& persist, Draft& draft) const {
  const raft::Index last_before = draft.state.extent().last_index;
  draft.state.apply(persist);
  if (needs_sync(persist, draft.hard_state)) draft.needs_sync = true;
  if (persist.hard_state) draft.hard_state = *persist.hard_state;
  // What lies before the log's first index is not deleted: nobody looks there, see LogSweeper.
  const LogExtent& extent = draft.state.extent();
  stage_entries(persist.entries, draft);
  if (!persist.entries.empty() || (persist.cut && persist.cut->replaces_log)) {
    const raft::Index begin =
        persist.entries.empty() ? extent.first_index : persist.entries.back().index + 1;
    stage_deletions(begin, last_before, draft);
  }
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
    check_put(draft.updates.Put(database_->log(), rocksdb::SliceParts(&key_part, 1),
                                rocksdb::SliceParts(value_parts.data(), value_parts.size())),
              "an entry");
  }
}

// One by one: a cut-off tail is short, and a range tombstone would burden every later read.
void RocksLogStore::Impl::stage_deletions(raft::Index first, raft::Index last, Draft& draft) const {
  for (raft::Index index = first; index <= last; ++index) {
    const EntryKey key = entry_key(index);
    check_put(draft.updates.Delete(database_->log(), slice(key)), "a deletion");
  }
}

void RocksLogStore::Impl::stage_facts(uint64_t write_number, Draft& draft) const {
  rocksdb::ColumnFamilyHandle* meta = database_->meta();
  if (hint_waits_ || draft.hard_state != hard_state_) {
    check_put(draft.updates.Put(meta, kHardStateKey, encode_hard_state(draft.hard_state)),
              "the hard state");
  }
  if (!draft.state.shares_snapshots_with(state_)) {
    check_put(draft.updates.Put(meta, kSnapshotsKey, encode_snapshots(draft.state.snapshots())),
              "the record of snapshots");
  }
  const Position position = {.write_number = write_number,
                             .extent = draft.state.extent(),
                             .snapshot_index = draft.state.snapshot_index()};
  check_put(draft.updates.Put(meta, kPositionKey, encode_position(position)), "the position");
}

std::expected<void, WriteError> RocksLogStore::Impl::commit(Draft& draft, bool sync) {
  if (!room_.allows(draft.updates.GetDataSize())) {
    return std::unexpected(
        WriteError{.disk_full = true, .text = fmt::format("the disk of {} is full", path_)});
  }
  if (ran_full_ || listener_->background_full()) {
    ran_full_ = true;
    if (auto reopened = reopen(); !reopened) return reopened;
  }
  const uint64_t write_number = write_number_ + 1;
  stage_facts(write_number, draft);
  rocksdb::WriteOptions write_options;
  write_options.sync = sync;
  const rocksdb::Status status = database_->db().Write(write_options, &draft.updates);
  if (!status.ok()) {
    std::string text = fmt::format("the log in {} can't be written: {}", path_, status.ToString());
    // After a sync that failed nothing is certain, for whatever reason it failed.
    if (status.IsNoSpace() && !wal_space_->sync_failed()) {
      ran_full_ = true;
      return std::unexpected(WriteError{.disk_full = true, .text = std::move(text)});
    }
    failure_ = std::move(text);
    return std::unexpected(fatal(failure_));
  }
  write_number_ = write_number;
  if (first_flush_after_ != 0) flush_first(draft.updates.GetDataSize());
  take_over(draft);
  return {};
}

// Begun here, and done by RocksDB's thread like any other.
void RocksLogStore::Impl::flush_first(size_t bytes) {
  first_flush_after_ -= std::min(bytes, first_flush_after_);
  if (first_flush_after_ != 0) return;
  rocksdb::FlushOptions flush;
  flush.wait = false;
  // If it fails, RocksDB's next write says so.
  database_->db().Flush(flush, database_->families()).PermitUncheckedError();
}

void RocksLogStore::Impl::take_over(Draft& draft) {
  const bool cut = draft.state.extent().first_index != state_.extent().first_index;
  state_ = std::move(draft.state);
  hard_state_ = draft.hard_state;
  hint_waits_ = false;
  first_index_ = state_.extent().first_index;
  last_index_ = state_.extent().last_index;
  if (cut) sweeper_.request();
}

// --- reading
// --------------------------------------------------------------------------------------

void RocksLogStore::Impl::read(raft::Index first, raft::Index last, size_t bytes_limit,
                               std::vector<raft::Entry>& out) const {
  if (first == 0 || first > last) die(fmt::format("entries {} to {} were asked for", first, last));
  if (first < first_index_) {
    die(fmt::format("entries {} to {} were asked for, but the log in {} begins at {}", first, last,
                    path_, first_index_.load()));
  }
  const EntryKey lower = entry_key(first);
  const EntryKey upper = entry_key(last + 1);
  const rocksdb::Slice upper_bound = slice(upper);
  rocksdb::ReadOptions read_options;
  read_options.verify_checksums = true;
  read_options.fill_cache = false;
  read_options.iterate_upper_bound = &upper_bound;
  const std::shared_lock lock(database_mutex_);
  if (!database_) die(fmt::format("the log in {} can't be read: it is closed", path_));
  const std::unique_ptr<rocksdb::Iterator> it(
      database_->db().NewIterator(read_options, database_->log()));

  size_t bytes = 0;
  raft::Index index = first;
  for (it->Seek(slice(lower)); it->Valid() && index <= last; it->Next(), ++index) {
    if (view(it->key()) != view(slice(entry_key(index)))) break;
    auto entry = decode_entry_record(index, view(it->value()));
    if (!entry) {
      die(fmt::format("log entry {} in {} is damaged: {}{}", index, path_, entry.error(),
                      kStartAgain));
    }
    if (index > first && bytes + entry->bytes() > bytes_limit) return;
    bytes += entry->bytes();
    out.push_back(*std::move(entry));
  }
  if (!it->status().ok()) {
    die(fmt::format("log entry {} in {} can't be read: {}{}", index, path_, it->status().ToString(),
                    kStartAgain));
  }
  if (index <= last) {
    die(fmt::format("log entry {} is missing in {}, which was asked for {} to {}{}", index, path_,
                    first, last, kStartAgain));
  }
}

LogStoreStats RocksLogStore::Impl::stats() const {
  LogStoreStats stats;
  stats.last_index = last_index_;
  const raft::Index first_index = first_index_;
  stats.first_index = first_index > stats.last_index ? 0 : first_index;
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
const std::string& RocksLogStore::damage() const {
  return impl_->damage();
}
std::vector<raft::SnapshotMeta> RocksLogStore::snapshots() const {
  return impl_->snapshots();
}
std::expected<void, std::string> RocksLogStore::discard_log() {
  return impl_->discard_log();
}
std::expected<void, WriteError> RocksLogStore::write(std::span<const raft::Persist* const> batch) {
  return impl_->write(batch);
}
bool RocksLogStore::disk_full() const {
  return impl_->disk_full();
}
void RocksLogStore::read(raft::Index first, raft::Index last, size_t bytes_limit,
                         std::vector<raft::Entry>& out) const {
  impl_->read(first, last, bytes_limit, out);
}
LogStoreStats RocksLogStore::stats() const {
  return impl_->stats();
}

}  // namespace raftkv::storage
