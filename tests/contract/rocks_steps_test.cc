// The process dies, or the machine loses its power, at every single step that RocksDB's store takes
// on its files: what was acknowledged is there, and of what was being done all or nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "storage/log/memory_log_store.h"
#include "storage/log/rocks_log_store.h"
#include "tests/contract/log_world.h"

namespace raftkv::storage {
namespace {

namespace fs = std::filesystem;

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

// From one step at which the process dies to the next that is tried. What a death leaves on the
// disk does not depend on sanitizers, under which a life takes many times as long; these see every
// tenth.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kStride = 10;
#else
constexpr uint64_t kStride = 1;
#endif

// What the child says by its exit code, plus the number of writes that were acknowledged.
constexpr int kFinished = 50;
constexpr int kDied = 100;
std::atomic<int> acknowledged_writes = 0;

// A file system that ends the process at a chosen step, before it is done. If the power fails, what
// was not synced goes as well.
class MortalFileSystem : public rocksdb::FileSystemWrapper {
 public:
  MortalFileSystem(uint64_t steps_to_live, bool power_fails)
      : FileSystemWrapper(rocksdb::FileSystem::Default()),
        power_fails_(power_fails),
        steps_left_(steps_to_live) {}
  const char* Name() const override { return "raftkv.MortalFileSystem"; }

  void step() {
    const std::lock_guard lock(mutex_);
    if (steps_left_ == 0) {
      if (power_fails_) lose_unsynced();
      std::_Exit(kDied + acknowledged_writes);
    }
    --steps_left_;
  }
  void note_synced(const std::string& file, uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    synced_[file] = bytes;
  }

  IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext* debug) override;
  IOStatus DeleteFile(const std::string& name, const IOOptions& options,
                      IODebugContext* debug) override {
    step();
    forget(name);
    return FileSystemWrapper::DeleteFile(name, options, debug);
  }
  IOStatus DeleteDir(const std::string& name, const IOOptions& options,
                     IODebugContext* debug) override {
    step();
    return FileSystemWrapper::DeleteDir(name, options, debug);
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* debug) override {
    step();
    rename(from, to);
    return FileSystemWrapper::RenameFile(from, to, options, debug);
  }

 private:
  void lose_unsynced() const {
    for (const auto& [file, synced] : synced_) {
      std::error_code gone;
      if (fs::file_size(file, gone) > synced && !gone) fs::resize_file(file, synced);
    }
  }
  void forget(const std::string& name) {
    const std::lock_guard lock(mutex_);
    synced_.erase(name);
  }
  // A file, or a directory with all that is in it.
  void rename(const std::string& from, const std::string& to) {
    const std::lock_guard lock(mutex_);
    std::map<std::string, uint64_t> renamed;
    for (const auto& [file, synced] : synced_) {
      const bool moves = file == from || file.starts_with(from + "/");
      renamed[moves ? to + file.substr(from.size()) : file] = synced;
    }
    synced_ = std::move(renamed);
  }

  const bool power_fails_;
  std::mutex mutex_;
  uint64_t steps_left_;
  std::map<std::string, uint64_t> synced_;  // bytes of each file that survive a power failure
};

class MortalFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  MortalFile(std::unique_ptr<rocksdb::FSWritableFile> file, std::string name,
             MortalFileSystem& disk)
      : FSWritableFileOwnerWrapper(std::move(file)), name_(std::move(name)), disk_(disk) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  IODebugContext* debug) override {
    disk_.step();
    IOStatus status = FSWritableFileOwnerWrapper::Append(data, options, debug);
    if (status.ok()) bytes_ += data.size();
    return status;
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& /*verification*/,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Sync(const IOOptions& /*options*/, IODebugContext* /*debug*/) override {
    disk_.step();
    disk_.note_synced(name_, bytes_);
    return IOStatus::OK();
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return Sync(options, debug);
  }

 private:
  const std::string name_;
  MortalFileSystem& disk_;
  uint64_t bytes_ = 0;
};

IOStatus MortalFileSystem::NewWritableFile(const std::string& name,
                                           const rocksdb::FileOptions& options,
                                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                                           IODebugContext* debug) {
  step();
  const IOStatus status = FileSystemWrapper::NewWritableFile(name, options, result, debug);
  if (!status.ok()) return status;
  note_synced(name, 0);
  *result = std::make_unique<MortalFile>(std::move(*result), name, *this);
  return status;
}

RocksLogOptions options(rocksdb::Env* env) {
  return {.memtable_bytes = 64 << 10, .spare_wal_files = 0, .env = env};
}

const std::string& big() {
  static const std::string payload(30'000, 'x');  // three of them, and RocksDB flushes
  return payload;
}

// One of everything that a store is asked to do, with flushes in between.
std::vector<Write> scenario() {
  return {Write().hard_state(1, 1).append(1, 1).append(2, 1).append(3, 1, big()),
          Write().append(4, 1, big()).append(5, 1),
          Write().hard_state(2, 2).append(3, 2, "a new tail"),
          Write().append(4, 2, big()).append(5, 2, big()),
          Write().cut(4, 2, 4),
          Write().append(6, 2, big()).append(7, 2, big()),
          Write().hard_state(3, 0).install(20, 3).append(21, 3, big()),
          Write().append(22, 3, big()).append(23, 3, big()),
          Write().hard_state(4, 3).install(22, 4),  // contradicts entries 22 and 23
          Write().append(23, 4, "new").append(24, 4, big()),
          Write().cut(24, 4, 25),
          Write().hard_state(9, 1)};
}

// What a model holds after the first `count` writes.
Contents expected_after(size_t count) {
  MemoryLogStore model;
  EXPECT_TRUE(model.recover());
  const std::vector<Write> writes = scenario();
  for (size_t i = 0; i < count; ++i) write(model, writes[i]);
  model.crash(0);
  const auto restored = model.recover();
  EXPECT_TRUE(restored) << restored.error();
  return contents(model, *restored);
}

// What is there when the process starts again.
std::optional<Contents> contents_on_disk(const std::string& path) {
  auto opened = RocksLogStore::open(path, options(nullptr));
  EXPECT_TRUE(opened) << opened.error();
  if (!opened) return std::nullopt;
  const auto restored = (*opened)->recover();
  EXPECT_TRUE(restored) << restored.error();
  if (!restored) return std::nullopt;
  EXPECT_EQ((*opened)->damage(), "");
  Contents found = contents(**opened, *restored);
  // And it goes on.
  write(**opened, Write().append(restored->last_index + 1, 99));
  EXPECT_EQ(read(**opened, restored->last_index + 1, restored->last_index + 1).size(), 1);
  return found;
}

constexpr char kChildTask[] = "RAFTKV_STEPS_CHILD_TASK";
constexpr char kChildDirectory[] = "RAFTKV_STEPS_CHILD_DIRECTORY";
constexpr char kChildSteps[] = "RAFTKV_STEPS_CHILD_STEPS";
constexpr char kChildPowerFails[] = "RAFTKV_STEPS_CHILD_POWER_FAILS";

void do_task(const std::string& task, const std::string& path, rocksdb::Env* env) {
  auto opened = RocksLogStore::open(path, options(env));
  ASSERT_TRUE(opened) << opened.error();
  ASSERT_TRUE((*opened)->recover());
  if (task == "discard") {
    ASSERT_TRUE((*opened)->discard_log());
  }
  if (task != "write") return;
  for (const Write& next : scenario()) {
    write(**opened, next);
    ++acknowledged_writes;
  }
}

// Run by the tests below in a process of its own. "Disabled" hides it from a run of all tests.
TEST(StepsChild, DISABLED_DiesAtAStep) {
  const char* task = std::getenv(kChildTask);
  if (task == nullptr) GTEST_SKIP() << "not started as a child";
  const bool power_fails = std::getenv(kChildPowerFails) == std::string("1");
  const uint64_t steps = std::strtoull(std::getenv(kChildSteps), nullptr, 10);
  const auto env = rocksdb::NewCompositeEnv(std::make_shared<MortalFileSystem>(steps, power_fails));
  do_task(task, std::getenv(kChildDirectory), env.get());
  if (!HasFailure()) std::_Exit(kFinished + acknowledged_writes);
}

struct Outcome {
  bool died = false;
  size_t acknowledged = 0;
};

Outcome run_child(const char* task, const std::string& path, uint64_t steps, bool power_fails) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv(kChildTask, task, 1);
    ::setenv(kChildDirectory, path.c_str(), 1);
    ::setenv(kChildSteps, std::to_string(steps).c_str(), 1);
    ::setenv(kChildPowerFails, power_fails ? "1" : "0", 1);
    ::unsetenv("GTEST_FILTER");
    ::unsetenv("GTEST_OUTPUT");
    ::execl("/proc/self/exe", "contract_test", "--gtest_filter=StepsChild.*",
            "--gtest_also_run_disabled_tests", "--gtest_brief=1", nullptr);
    ::_exit(1);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  EXPECT_GE(code, kFinished) << "the child failed";
  const bool died = code >= kDied;
  return {.died = died, .acknowledged = static_cast<size_t>(code - (died ? kDied : kFinished))};
}

void die_at_every_step(bool power_fails) {
  std::vector<Contents> expected;
  for (size_t count = 0; count <= scenario().size(); ++count) {
    expected.push_back(expected_after(count));
  }
  bool survived = false;
  for (uint64_t steps = 1; !survived; steps += kStride) {
    TempDir dir;
    const std::string path = dir / "log";
    const auto [died, acknowledged] = run_child("write", path, steps, power_fails);
    ASSERT_FALSE(testing::Test::HasFailure()) << "step " << steps;
    survived = !died;
    const auto found = contents_on_disk(path);
    ASSERT_TRUE(found) << "step " << steps;
    const size_t next = std::min(acknowledged + 1, scenario().size());
    ASSERT_TRUE(*found == expected[acknowledged] || *found == expected[next])
        << "step " << steps << ", " << acknowledged << " acknowledged, log of "
        << found->first_index << " with " << found->entries.size() << " entries";
    ASSERT_LT(steps, 5000);
  }
}

TEST(RocksSteps, AKillAtAnyStepLosesNothingThatWasAcknowledged) {
  die_at_every_step(/*power_fails=*/false);
}

TEST(RocksSteps, APowerFailureAtAnyStepLosesNothingThatWasAcknowledged) {
  die_at_every_step(/*power_fails=*/true);
}

// Lets `task` be done on copies of `original`, and die at each of its steps; `check` gets what the
// next life finds.
void die_in_task(const std::string& original, bool power_fails, const char* task,
                 const std::function<void(const raft::Restored&)>& check) {
  bool survived = false;
  for (uint64_t steps = 1; !survived; steps += kStride) {
    TempDir dir;
    const std::string path = dir / "log";
    fs::copy(original, path);
    survived = !run_child(task, path, steps, power_fails).died;
    auto opened = RocksLogStore::open(path, options(nullptr));
    ASSERT_TRUE(opened) << "step " << steps << ": " << opened.error();
    const auto restored = (*opened)->recover();
    ASSERT_TRUE(restored) << "step " << steps << ": " << restored.error();
    check(*restored);
    ASSERT_FALSE(testing::Test::HasFailure()) << "step " << steps;
    ASSERT_FALSE(fs::exists(path + ".rebuilt"));
    ASSERT_FALSE(fs::exists(path + ".damaged"));
    ASSERT_LT(steps, 5000);
  }
}

// A log of nine entries with a snapshot at 6.
void make_original(const std::string& path) {
  auto opened = RocksLogStore::open(path, options(nullptr));
  ASSERT_TRUE(opened) << opened.error();
  ASSERT_TRUE((*opened)->recover());
  fill(**opened, 9);
  write(**opened, Write().hard_state(7, 2).cut(6, 1, 4));
}

TEST(RocksSteps, ADeathAtAnyStepOfARepairLeavesItToTheNextStart) {
  TempDir dir;
  const std::string original = dir / "log";
  make_original(original);
  damage_entry(original, 8);
  for (const bool power_fails : {false, true}) {
    die_in_task(original, power_fails, "repair", [](const raft::Restored& restored) {
      EXPECT_EQ(restored.lost_up_to, 9);
      EXPECT_EQ(restored.first_index, 7);
      EXPECT_EQ(restored.last_index, 6);
      EXPECT_EQ(restored.snapshot, snapshot(6, 1));
      EXPECT_EQ(restored.hard_state.vote, 2);
    });
  }
}

TEST(RocksSteps, ADeathAtAnyStepOfDiscardingALogLeavesTheOldOneOrNone) {
  TempDir dir;
  const std::string original = dir / "log";
  make_original(original);
  size_t old_ones = 0;
  size_t discarded = 0;
  for (const bool power_fails : {false, true}) {
    die_in_task(original, power_fails, "discard", [&](const raft::Restored& restored) {
      EXPECT_EQ(restored.hard_state.vote, 2);
      if (restored.lost_up_to == 0) {
        ++old_ones;
        EXPECT_EQ(restored.first_index, 4);
        EXPECT_EQ(restored.last_index, 9);
      } else {
        ++discarded;
        EXPECT_EQ(restored.lost_up_to, 9);
        EXPECT_EQ(restored.first_index, 1);
        EXPECT_EQ(restored.last_index, 0);
        EXPECT_EQ(restored.snapshot.index, 0);
      }
    });
  }
  EXPECT_GT(old_ones, 10);
  EXPECT_GT(discarded, 5);
}

}  // namespace
}  // namespace raftkv::storage
