// Processes that die and disks that fail while RocksDB's store writes.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>

#include "storage/log/log_writer.h"
#include "storage/log/memory_log_store.h"
#include "storage/log/rocks_log_store.h"
#include "tests/contract/log_world.h"

namespace raftkv::storage {
namespace {

using testing::HasSubstr;

// --- kill -9
// --------------------------------------------------------------------------------------

// Small, so that flushes and new write-ahead logs happen all the time.
constexpr size_t kMemtableBytes = 64 << 10;

// What the next group of a run depends on, and can be told from a store.
struct LogEnd {
  raft::Index first = 1;
  raft::Index last = 0;
  raft::Term term = 0;  // of the last entry, or of the snapshot
  raft::Index snapshot = 0;
};

LogEnd end_of(const LogStore& store) {
  LogEnd end;
  const LogStoreStats stats = store.stats();
  const auto snapshots = store.snapshots();
  end.last = stats.last_index;
  end.first = stats.first_index == 0 ? stats.last_index + 1 : stats.first_index;
  if (!snapshots.empty()) end.snapshot = snapshots.front().index;
  if (stats.first_index != 0) {
    end.term = read(store, end.last, end.last).front().term;
  } else if (!snapshots.empty()) {
    end.term = snapshots.front().term;
  }
  return end;
}

// The `step`th group of a run, for a log with this end: grows, replaces a tail, cuts, installs a
// snapshot now and then, and carries hard states. The same on both sides of the pipe.
std::vector<Write> group_of(uint64_t step, LogEnd end) {
  std::mt19937_64 random(step * 7919);
  const auto draw = [&](uint64_t bound) { return random() % bound; };
  std::vector<Write> group(1 + draw(3));
  for (Write& write : group) {
    raft::Term term = end.term;
    raft::Index front = end.last + 1;
    const uint64_t kind = draw(12);
    if (kind < 2) {  // replaces a tail, but nothing that a snapshot stands for
      ++term;
      front -= std::min<raft::Index>(draw(7), end.last - std::max(end.snapshot, end.first - 1));
    } else if (kind == 2 && end.last > 0) {
      const raft::Index first = end.last + 1 - draw(std::min<raft::Index>(end.last, 5));
      write.cut(end.last, end.term, first);
      end.first = std::max(end.first, first);
      end.snapshot = end.last;
    } else if (kind == 3) {  // overtakes or contradicts what is there
      const raft::Index index = std::max(end.snapshot + 1, end.last + 4) - draw(4);
      if (index > end.snapshot) {
        write.install(index, ++term);
        end = {.first = index + 1, .last = index, .term = term, .snapshot = index};
        front = index + 1;
      }
    }
    if (draw(3) == 0) write.hard_state(term, draw(4), step);
    for (uint64_t count = draw(5); count > 0; --count, ++front) {
      write.append(front, term, std::string(draw(3000), static_cast<char>('a' + step % 26)));
      end.last = front;
      end.term = term;
    }
    const raft::Persist& made = write.get();
    if (!made.hard_state && !made.cut && made.entries.empty()) write.hard_state(term, 0, step);
  }
  return group;
}

std::vector<Write> next_group(uint64_t step, const LogStore& store) {
  return group_of(step, end_of(store));
}

constexpr char kChildDirectory[] = "RAFTKV_CRASH_CHILD_DIRECTORY";
constexpr char kChildStep[] = "RAFTKV_CRASH_CHILD_STEP";

// Run by the test below in a process of its own, until it is killed: writes group after group and
// says so on its output after each. "Disabled" hides it from a run of all tests, where it has no
// parent that would kill it.
TEST(CrashChild, DISABLED_WritesUntilItIsKilled) {
  const char* directory = std::getenv(kChildDirectory);
  const char* first_step = std::getenv(kChildStep);
  if (directory == nullptr || first_step == nullptr) GTEST_SKIP() << "not started as a child";
  auto opened = RocksLogStore::open(directory, {.memtable_bytes = kMemtableBytes});
  ASSERT_TRUE(opened) << opened.error();
  ASSERT_TRUE((*opened)->recover());
  for (uint64_t step = std::strtoull(first_step, nullptr, 10);; ++step) {
    write_group(**opened, next_group(step, **opened));
    ASSERT_FALSE(testing::Test::HasFailure());
    ASSERT_EQ(::write(STDOUT_FILENO, "+", 1), 1);
  }
}

// Starts the child with its output to `pipe_fd`.
pid_t start_child(const std::string& directory, uint64_t first_step, int pipe_fd) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::dup2(pipe_fd, STDOUT_FILENO);
  ::setenv(kChildDirectory, directory.c_str(), 1);
  ::setenv(kChildStep, std::to_string(first_step).c_str(), 1);
  ::unsetenv("GTEST_FILTER");
  ::unsetenv("GTEST_OUTPUT");
  ::execl("/proc/self/exe", "contract_test", "--gtest_filter=CrashChild.*",
          "--gtest_also_run_disabled_tests", "--gtest_brief=1", nullptr);
  ::_exit(127);
}

// Kills the child after a random number of acknowledged groups; returns how many it acknowledged.
uint64_t run_child_and_kill_it(const std::string& directory, uint64_t first_step,
                               std::mt19937_64& random) {
  int ends[2] = {};
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t child = start_child(directory, first_step, ends[1]);
  ::close(ends[1]);
  const uint64_t patience = 1 + random() % 120;
  uint64_t acknowledged = 0;
  char said = 0;
  while (acknowledged < patience && ::read(ends[0], &said, 1) == 1) {
    if (said == '+') ++acknowledged;
  }
  std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));  // anywhere in a write
  ::kill(child, SIGKILL);
  while (::read(ends[0], &said, 1) == 1) {
    if (said == '+') ++acknowledged;
  }
  ::close(ends[0]);
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_GE(acknowledged, patience) << "the child ended by itself";
  return acknowledged;
}

// What the store must hold, as a range: commit indices are hints, which a crash may or may not
// lose.
class Model {
 public:
  Model() {
    recover(losing_);
    recover(keeping_);
  }

  void write_next_group() {
    const std::vector<Write> group = next_group(step_++, keeping_);
    write_group(losing_, group);
    write_group(keeping_, group);
  }
  // The process dies, and what it left is `found`.
  bool allows(const Contents& found) {
    losing_.crash(0);
    keeping_.crash(0, /*keep_hint=*/true);
    const Contents least = recover(losing_);
    Contents expected = recover(keeping_);
    if (found.hard_state.commit < least.hard_state.commit) return false;
    if (found.hard_state.commit > expected.hard_state.commit) return false;
    expected.hard_state.commit = found.hard_state.commit;
    return found == expected;
  }
  uint64_t step() const { return step_; }

 private:
  static Contents recover(MemoryLogStore& store) {
    const auto restored = store.recover();
    EXPECT_TRUE(restored) << restored.error();
    return contents(store, *restored);
  }

  MemoryLogStore losing_;
  MemoryLogStore keeping_;
  uint64_t step_ = 1;
};

Contents contents_on_disk(const std::string& directory) {
  auto opened = RocksLogStore::open(directory, {.memtable_bytes = kMemtableBytes});
  EXPECT_TRUE(opened) << opened.error();
  const auto restored = (*opened)->recover();
  EXPECT_TRUE(restored) << restored.error();
  return contents(**opened, *restored);
}

TEST(RocksCrash, EverythingAcknowledgedBeforeAKillIsThereAndNothingElse) {
  TempDir dir;
  const std::string directory = dir / "log";
  Model model;
  std::mt19937_64 random(20'240'611);
  for (int round = 0; round < 15; ++round) {
    const uint64_t acknowledged = run_child_and_kill_it(directory, model.step(), random);
    for (uint64_t i = 0; i < acknowledged; ++i) model.write_next_group();
    const Contents found = contents_on_disk(directory);
    if (model.allows(found)) continue;
    // The group that was being written when the kill came may be there, but only whole.
    model.write_next_group();
    ASSERT_TRUE(model.allows(found)) << "round " << round;
  }
  EXPECT_GT(model.step(), 300);
}

// --- failing disks
// --------------------------------------------------------------------------------

struct Faults {
  std::atomic<bool> sync_fails = false;
  std::atomic<bool> sync_finds_no_room = false;
  std::atomic<bool> append_fails = false;
  std::atomic<uint64_t> append_part = 0;  // what of a failing append reaches the file
  std::atomic<uint64_t> syncs = 0;
};

class FaultyFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FaultyFile(std::unique_ptr<rocksdb::FSWritableFile> file, Faults& faults)
      : FSWritableFileOwnerWrapper(std::move(file)), faults_(faults) {}

  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
    if (faults_.append_fails) {
      const size_t part = std::min<size_t>(faults_.append_part, data.size());
      if (part > 0) {
        FSWritableFileOwnerWrapper::Append({data.data(), part}, options, debug)
            .PermitUncheckedError();
      }
      return rocksdb::IOStatus::NoSpace("the disk is full");
    }
    return FSWritableFileOwnerWrapper::Append(data, options, debug);
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo& /*verification*/,
                           rocksdb::IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions& options,
                         rocksdb::IODebugContext* debug) override {
    ++faults_.syncs;
    if (faults_.sync_finds_no_room) return rocksdb::IOStatus::NoSpace("no room to sync");
    if (faults_.sync_fails) return rocksdb::IOStatus::IOError("the sync failed");
    return FSWritableFileOwnerWrapper::Sync(options, debug);
  }
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options,
                          rocksdb::IODebugContext* debug) override {
    return Sync(options, debug);
  }

 private:
  Faults& faults_;
};

// A file system whose write-ahead logs fail when they are told to.
class FaultyFileSystem : public rocksdb::FileSystemWrapper {
 public:
  explicit FaultyFileSystem(Faults& faults)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), faults_(faults) {}
  const char* Name() const override { return "raftkv.FaultyFileSystem"; }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* debug) override {
    const auto status = FileSystemWrapper::NewWritableFile(name, options, result, debug);
    if (status.ok() && name.ends_with(".log")) {
      *result = std::make_unique<FaultyFile>(std::move(*result), faults_);
    }
    return status;
  }

 private:
  Faults& faults_;
};

class FailingDisk : public testing::Test {
 protected:
  FailingDisk() : env_(rocksdb::NewCompositeEnv(std::make_shared<FaultyFileSystem>(faults_))) {
    auto opened = RocksLogStore::open(dir_ / "log", {.spare_wal_files = 0, .env = env_.get()});
    EXPECT_TRUE(opened) << opened.error();
    store_ = *std::move(opened);
    EXPECT_TRUE(store_->recover());
  }

  std::expected<void, WriteError> try_write(const Write& write) {
    const raft::Persist* group[] = {&write.get()};
    return store_->write(group);
  }

  TempDir dir_;
  Faults faults_;
  std::unique_ptr<rocksdb::Env> env_;
  std::unique_ptr<RocksLogStore> store_;
};

TEST_F(FailingDisk, EveryWriteIsSyncedOnce) {
  const uint64_t before = faults_.syncs;
  fill(*store_, 5);
  write_group(*store_, {Write().append(6, 1), Write().append(7, 1), Write().hard_state(2, 1)});
  EXPECT_EQ(faults_.syncs, before + 6);
}

TEST_F(FailingDisk, ACommitIndexAloneCostsNoSync) {
  write(*store_, Write().hard_state(1, 1).append(1, 1));
  const uint64_t before = faults_.syncs;
  write(*store_, Write().hard_state(1, 1, 1));
  write(*store_, Write());
  EXPECT_EQ(faults_.syncs, before);
}

TEST_F(FailingDisk, AFailedSyncIsAnErrorAndIsNeverHealed) {
  write(*store_, Write().hard_state(1, 1).append(1, 1));
  faults_.sync_fails = true;
  const auto failed = try_write(Write().append(2, 1));
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().text, HasSubstr("the sync failed"));
  EXPECT_FALSE(failed.error().disk_full);

  faults_.sync_fails = false;
  const uint64_t before = faults_.syncs;
  for (int attempt = 0; attempt < 3; ++attempt) {
    const auto again = try_write(Write().append(2, 1));
    ASSERT_FALSE(again) << "a write after a failed sync succeeded";
    EXPECT_THAT(again.error().text, HasSubstr("the sync failed"));
  }
  EXPECT_FALSE(try_write(Write().hard_state(1, 1, 1))) << "not even a hint is taken";
  EXPECT_EQ(faults_.syncs, before) << "the sync was tried again";
}

TEST_F(FailingDisk, ASyncThatFailsForWantOfRoomIsAFailedSyncAllTheSame) {
  write(*store_, Write().hard_state(1, 1).append(1, 1));
  faults_.sync_finds_no_room = true;
  const auto failed = try_write(Write().append(2, 1));
  ASSERT_FALSE(failed);
  EXPECT_FALSE(failed.error().disk_full);
  faults_.sync_finds_no_room = false;
  EXPECT_FALSE(try_write(Write().append(2, 1))) << "a write after a failed sync succeeded";
}

TEST_F(FailingDisk, RocksDbThatRanIntoTheEndOfTheDiskGoesOnOnceThereIsRoom) {
  write(*store_, Write().hard_state(1, 1).append(1, 1, "kept"));
  faults_.append_fails = true;
  const Write more = Write().hard_state(2, 3).append(2, 2, "waits").append(3, 2, "too");
  for (int attempt = 0; attempt < 3; ++attempt) {
    const auto full = try_write(more);
    ASSERT_FALSE(full);
    EXPECT_TRUE(full.error().disk_full) << full.error().text;
    EXPECT_EQ(describe(read(*store_, 1, 1)), std::vector{describe(entry(1, 1, "kept"))});
  }
  faults_.append_fails = false;
  ASSERT_TRUE(try_write(more));
  ASSERT_TRUE(try_write(Write().append(4, 2, "behind")));
  EXPECT_EQ(describe(read(*store_, 3, 4)),
            (std::vector{describe(entry(3, 2, "too")), describe(entry(4, 2, "behind"))}));
  store_.reset();
  auto opened = RocksLogStore::open(dir_ / "log", {.spare_wal_files = 0});
  ASSERT_TRUE(opened) << opened.error();
  const auto restored = (*opened)->recover();
  ASSERT_TRUE(restored) << restored.error();
  EXPECT_EQ(restored->hard_state, (raft::HardState{.term = 2, .vote = 3, .commit = 0}));
  EXPECT_EQ(contents(**opened, *restored).entries,
            (std::vector{describe(entry(1, 1, "kept")), describe(entry(2, 2, "waits")),
                         describe(entry(3, 2, "too")), describe(entry(4, 2, "behind"))}));
}

TEST_F(FailingDisk, AWriteOfWhichAPartOrAllReachedAFullDiskIsWrittenAgainAndOnce) {
  for (const uint64_t part : {1U, 20U, 60U, 1'000'000U}) {
    const raft::Index next = store_->stats().last_index + 1;
    const Write more = Write().hard_state(next, 1).append(next, next, std::string(5000, 'x'));
    faults_.append_part = part;
    faults_.append_fails = true;
    const auto full = try_write(more);
    ASSERT_FALSE(full);
    EXPECT_TRUE(full.error().disk_full) << full.error().text;
    faults_.append_fails = false;
    faults_.append_part = 0;
    const auto written = try_write(more);
    ASSERT_TRUE(written) << written.error().text;
    EXPECT_EQ(read(*store_, next, next).front().term, next);
  }
  store_.reset();
  auto opened = RocksLogStore::open(dir_ / "log", {.spare_wal_files = 0});
  ASSERT_TRUE(opened) << opened.error();
  const auto restored = (*opened)->recover();
  ASSERT_TRUE(restored) << restored.error();
  EXPECT_EQ(restored->last_index, 4);
}

TEST_F(FailingDisk, AfterAFailureANewLifeFindsWhatWasDurable) {
  write(*store_, Write().hard_state(1, 1).append(1, 1));
  faults_.append_fails = true;
  EXPECT_FALSE(try_write(Write().append(2, 1)));
  store_.reset();
  faults_.append_fails = false;
  auto opened = RocksLogStore::open(dir_ / "log", {.spare_wal_files = 0});
  ASSERT_TRUE(opened) << opened.error();
  const auto restored = (*opened)->recover();
  ASSERT_TRUE(restored) << restored.error();
  EXPECT_EQ(restored->last_index, 1);
}

}  // namespace
}  // namespace raftkv::storage
