#include "tests/contract/log_world.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "storage/log/memory_log_store.h"
#include "storage/log/rocks_log_store.h"

namespace raftkv::storage {
namespace {

class RocksWorld : public StoreWorld {
 public:
  explicit RocksWorld(const RocksLogOptions& options) : options_(options) { open(); }

  LogStore& store() override { return *store_; }
  void restart() override {
    store_.reset();
    open();
  }
  // Written files outlive the process in the page cache, so a kill is a restart that skips the
  // destructor's work; the child process of rocks_crash_test.cc dies for real.
  void crash() override { restart(); }

 private:
  void open() {
    auto opened = RocksLogStore::open(dir_ / "log", options_);
    if (!opened) throw std::runtime_error(opened.error());
    store_ = *std::move(opened);
  }

  TempDir dir_;
  RocksLogOptions options_;
  std::unique_ptr<RocksLogStore> store_;
};

class MemoryWorld : public StoreWorld {
 public:
  LogStore& store() override { return store_; }
  void restart() override { store_.crash(store_.staged(), /*keep_hint=*/true); }
  void crash() override { store_.crash(0); }

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

raft::Entry entry(raft::Index index, raft::Term term, const std::string& payload) {
  raft::Entry made{.term = term,
                   .index = index,
                   .time_us = time_of(index),
                   .kind = raft::EntryKind::kCommands,
                   .payload = nullptr};
  if (!payload.empty()) made.payload = std::make_shared<const std::string>(payload);
  return made;
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
  ASSERT_TRUE(written) << written.error();
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
  Contents found{.hard_state = restored.hard_state, .entries = {}};
  std::vector<raft::Entry> entries;
  if (restored.last_index > 0) entries = read(store, 1, restored.last_index);
  found.entries = describe(entries);

  EXPECT_EQ(entries.size(), restored.last_index);
  EXPECT_EQ(restored.last_time_us, entries.empty() ? 0 : entries.back().time_us);
  std::vector<raft::TermStart> starts;
  for (const raft::Entry& entry : entries) {
    if (starts.empty() || starts.back().term != entry.term) {
      starts.push_back({.term = entry.term, .first_index = entry.index});
    }
  }
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
