#include "tests/contract/log_world.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <utility>

#include "raft/codec.h"
#include "storage/log/memory_log_store.h"
#include "storage/log/rocks_database.h"
#include "storage/log/rocks_log_store.h"

namespace raftkv::storage {
namespace {

// A disk that says how much room it has as it is told.
class RoomyFileSystem : public rocksdb::FileSystemWrapper {
 public:
  RoomyFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "raftkv.RoomyFileSystem"; }
  rocksdb::IOStatus GetFreeSpace(const std::string& /*path*/, const rocksdb::IOOptions& /*options*/,
                                 uint64_t* free, rocksdb::IODebugContext* /*debug*/) override {
    *free = full_ ? 0 : uint64_t{1} << 40;
    return rocksdb::IOStatus::OK();
  }
  void set_full(bool full) { full_ = full; }

 private:
  std::atomic<bool> full_ = false;
};

class RocksWorld : public StoreWorld {
 public:
  explicit RocksWorld(const RocksLogOptions& options)
      : disk_(std::make_shared<RoomyFileSystem>()),
        env_(rocksdb::NewCompositeEnv(disk_)),
        options_(options) {
    options_.env = env_.get();
    open();
  }

  LogStore& store() override { return *store_; }
  void restart() override {
    store_.reset();
    open();
  }
  // Written files outlive the process in the page cache, so a kill is a restart that skips the
  // destructor's work; the child process of rocks_crash_test.cc dies for real.
  void crash() override { restart(); }
  void damage_and_restart(raft::Index index) override {
    store_.reset();
    damage_entry(dir_ / "log", index);
    open();
  }
  void set_disk_full(bool full) override { disk_->set_full(full); }

 private:
  void open() {
    auto opened = RocksLogStore::open(dir_ / "log", options_);
    if (!opened) throw std::runtime_error(opened.error());
    store_ = *std::move(opened);
  }

  TempDir dir_;
  std::shared_ptr<RoomyFileSystem> disk_;
  std::unique_ptr<rocksdb::Env> env_;
  RocksLogOptions options_;
  std::unique_ptr<RocksLogStore> store_;
};

class MemoryWorld : public StoreWorld {
 public:
  LogStore& store() override { return store_; }
  void restart() override { store_.crash(store_.staged(), /*keep_hint=*/true); }
  void crash() override { store_.crash(0); }
  void damage_and_restart(raft::Index index) override {
    restart();
    store_.damage(index);
  }
  void set_disk_full(bool full) override { store_.set_disk_full(full); }

 private:
  MemoryLogStore store_;
};

// Where the directories of this run are. A death test's or crash test's child, which can't clean
// up, uses its parent's, who removes it all at the end.
class RunDirectory {
 public:
  RunDirectory() {
    if (const char* parents = std::getenv(kVariable)) {
      path_ = parents;
      return;
    }
    std::string path = root() / "raftkv-contract-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("no temporary directory");
    path_ = path;
    ours_ = true;
    ::setenv(kVariable, path_.c_str(), 1);
  }
  ~RunDirectory() {
    std::error_code ignored;
    if (ours_ && ::getpid() == maker_) std::filesystem::remove_all(path_, ignored);
  }
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  static constexpr char kVariable[] = "RAFTKV_CONTRACT_TEST_DIRECTORY";

  static std::filesystem::path root() {
    constexpr uintmax_t kRoomBytes = uintmax_t{1} << 30;
    const std::filesystem::path memory = "/dev/shm";
    std::error_code error;
    const auto space = std::filesystem::space(memory, error);
    const bool roomy = !error && space.available >= kRoomBytes;
    return roomy ? memory : std::filesystem::temp_directory_path();
  }

  std::filesystem::path path_;
  bool ours_ = false;
  pid_t maker_ = ::getpid();
};

}  // namespace

TempDir::TempDir() {
  static const RunDirectory run;
  std::string path = run.path() / "XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("no temporary directory");
  path_ = path;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void damage_entry(const std::string& path, raft::Index index) {
  auto database = RocksDatabase::open(path, RocksDatabase::Mode::kReadWrite,
                                      {.env = rocksdb::Env::Default(), .listener = nullptr});
  if (!database) throw std::runtime_error(database.error().ToString());
  rocksdb::DB& db = (*database)->db();
  rocksdb::ColumnFamilyHandle* log = (*database)->log();
  const EntryKey key = entry_key(index);
  const rocksdb::Slice key_slice(key.data(), key.size());
  std::string record;
  rocksdb::Status status = db.Get({}, log, key_slice, &record);
  record.back() = static_cast<char>(record.back() ^ 0x10);
  if (status.ok()) status = db.Put({}, log, key_slice, record);
  if (status.ok()) status = db.Flush({}, {log, (*database)->meta()});
  if (!status.ok()) throw std::runtime_error(status.ToString());
}

raft::Entry entry(raft::Index index, raft::Term term, const std::string& payload) {
  raft::Entry made{.term = term,
                   .index = index,
                   .time_us = time_of(index),
                   .kind = raft::EntryKind::kCommands,
                   .payload = nullptr};
  if (!payload.empty()) made.payload = std::make_shared<const std::string>(payload);
  return made;
}

raft::Membership membership(uint64_t generation) {
  raft::Membership made{.voters = {1, 2, 3}, .outgoing_voters = {}, .learners = {}, .contexts = {}};
  for (const raft::NodeId id : made.voters) {
    made.contexts[id] = fmt::format("address {} of {}", generation, id);
  }
  return made;
}

raft::Entry membership_entry(raft::Index index, raft::Term term, uint64_t generation) {
  raft::Entry made = entry(index, term);
  made.kind = raft::EntryKind::kMembership;
  std::string payload;
  raft::encode_membership(membership(generation), payload);
  made.payload = std::make_shared<const std::string>(std::move(payload));
  return made;
}

raft::SnapshotMeta snapshot(raft::Index index, raft::Term term) {
  return {.index = index, .term = term, .time_us = time_of(index), .membership = membership(index)};
}

Write& Write::cut(raft::Index index, raft::Term term, raft::Index first_index) {
  persist_.cut = raft::LogCut{
      .snapshot = snapshot(index, term), .first_index = first_index, .replaces_log = false};
  return *this;
}

Write& Write::install(raft::Index index, raft::Term term) {
  persist_.cut = raft::LogCut{
      .snapshot = snapshot(index, term), .first_index = index + 1, .replaces_log = true};
  return *this;
}

Write& Write::hard_state(raft::Term term, raft::NodeId vote, raft::Index commit) {
  persist_.hard_state = raft::HardState{.term = term, .vote = vote, .commit = commit};
  return *this;
}

Write& Write::append(raft::Index index, raft::Term term, const std::string& payload) {
  return append(entry(index, term, payload));
}

Write& Write::append(raft::Entry entry) {
  persist_.token.last_index = entry.index;
  persist_.token.last_term = entry.term;
  persist_.entries.push_back(std::move(entry));
  return *this;
}

Write& Write::sequence(uint64_t sequence) {
  persist_.token.sequence = sequence;
  return *this;
}

void write_group(LogStore& store, const std::vector<Write>& group) {
  std::vector<const raft::Persist*> pointers;
  for (const Write& write : group) pointers.push_back(&write.get());
  const auto written = store.write(pointers);
  ASSERT_TRUE(written) << written.error().text;
}

void write(LogStore& store, const Write& persist) {
  write_group(store, {persist});
}

void fill(LogStore& store, raft::Index last, raft::Term term) {
  for (raft::Index index = 1; index <= last; ++index) write(store, Write().append(index, term));
}

std::string describe(const raft::Entry& entry) {
  return fmt::format("{}:{} at {} kind {} [{}]", entry.index, entry.term, entry.time_us,
                     static_cast<int>(entry.kind), entry.payload ? *entry.payload : "");
}

std::vector<std::string> describe(const std::vector<raft::Entry>& entries) {
  std::vector<std::string> described;
  for (const raft::Entry& entry : entries) described.push_back(describe(entry));
  return described;
}

std::vector<raft::Entry> read(const LogStore& store, raft::Index first, raft::Index last,
                              size_t bytes_limit) {
  std::vector<raft::Entry> out;
  store.read(first, last, bytes_limit, out);
  return out;
}

Contents contents(const LogStore& store, const raft::Restored& restored) {
  Contents found{.hard_state = restored.hard_state,
                 .first_index = restored.first_index,
                 .base_term = restored.base_term,
                 .snapshot = restored.snapshot,
                 .lost_up_to = restored.lost_up_to,
                 .entries = {}};
  std::vector<raft::Entry> entries;
  if (restored.last_index >= restored.first_index) {
    entries = read(store, restored.first_index, restored.last_index);
  }
  found.entries = describe(entries);

  EXPECT_EQ(restored.first_index + entries.size(), restored.last_index + 1);
  EXPECT_EQ(restored.last_time_us,
            entries.empty() ? restored.snapshot.time_us : entries.back().time_us);
  EXPECT_LE(restored.first_index, restored.snapshot.index + 1);
  EXPECT_TRUE(entries.empty() || entries.front().term >= restored.base_term);
  std::vector<raft::TermStart> starts;
  std::vector<raft::Index> memberships;
  for (const raft::Entry& entry : entries) {
    if (starts.empty() || starts.back().term != entry.term) {
      starts.push_back({.term = entry.term, .first_index = entry.index});
    }
    if (entry.kind == raft::EntryKind::kMembership) memberships.push_back(entry.index);
  }
  EXPECT_EQ(restored.memberships.size(), memberships.size());
  EXPECT_EQ(restored.term_starts, starts);
  return found;
}

raft::Restored StoreWorld::reopen() {
  restart();
  auto restored = store().recover();
  if (!restored) throw std::runtime_error(restored.error());
  return *restored;
}

Contents StoreWorld::reopened_contents() {
  const raft::Restored restored = reopen();
  return contents(store(), restored);
}

std::unique_ptr<StoreWorld> rocks_world(size_t memtable_bytes, size_t spare_wal_files) {
  return std::make_unique<RocksWorld>(
      RocksLogOptions{.memtable_bytes = memtable_bytes, .spare_wal_files = spare_wal_files});
}

std::unique_ptr<StoreWorld> memory_world() {
  return std::make_unique<MemoryWorld>();
}

}  // namespace raftkv::storage
