// Both stores of snapshot files: what they promise together, and what each alone.
#include "storage/snapshot/snapshot_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <memory>
#include <semaphore>

#include "storage/snapshot/snapshot_directory.h"
#include "storage/snapshot/snapshot_memory.h"
#include "tests/unit/snapshot/rdb_kit.h"
#include "tests/unit/snapshot/snapshot_kit.h"

namespace raftkv::test {
namespace {

using storage::RdbBlock;
using storage::SnapshotDirectory;
using storage::SnapshotId;
using storage::SnapshotInfo;
using storage::SnapshotMemory;
using storage::SnapshotStore;
using storage::SnapshotWriter;
using storage::SnapshotWriterOptions;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

RdbBlock block(std::string bytes) {
  return {.bytes = std::move(bytes), .long_strings = {}};
}

void wait_for_end(const SnapshotWriter& writer) {
  wait_until([&] { return writer.state() != SnapshotWriter::State::kWriting; });
}

void write_file(SnapshotStore& store, SnapshotId id, const std::string& bytes,
                SnapshotWriterOptions options = {}) {
  options.append_checksum = false;
  const auto writer = store.write(id, options);
  writer->submit(block(bytes));
  writer->finish();
  wait_for_end(*writer);
  ASSERT_EQ(writer->state(), SnapshotWriter::State::kDone) << writer->error();
  EXPECT_EQ(writer->bytes_written(), bytes.size());
}

std::vector<SnapshotId> ids(const SnapshotStore& store) {
  std::vector<SnapshotId> ids;
  const auto listed = store.list();
  EXPECT_TRUE(listed.has_value());
  for (const SnapshotInfo& info : *listed) ids.push_back(info.id);
  return ids;
}

std::string read_file(const SnapshotStore& store, SnapshotId id) {
  const auto file = store.open(id);
  return file ? bytes_of(**file) : "-" + file.error();
}

TEST(SnapshotName, IsReadOnlyAsItIsWritten) {
  SnapshotId id;
  EXPECT_EQ(storage::snapshot_name(id_of(12, 3)), "snapshot-12-3.rdb");
  ASSERT_TRUE(storage::parse_snapshot_name("snapshot-12-3.rdb", id));
  EXPECT_EQ(id, id_of(12, 3));
  for (const char* name :
       {"", "snapshot-", "snapshot-12", "snapshot-12-", "snapshot-12-3", "snapshot-012-3.rdb",
        "snapshot-12-3.rdb.tmp", "snapshot-12-3.rdbx", "snapshot--1-3.rdb", "snapshot-12-x.rdb",
        "xsnapshot-12-3.rdb", "snapshot-99999999999999999999-1.rdb"}) {
    EXPECT_FALSE(storage::parse_snapshot_name(name, id)) << name;
  }
}

TEST(SnapshotId, ALaterTermIsNewerWhateverTheIndex) {
  EXPECT_LT(id_of(100, 3), id_of(50, 4));
  EXPECT_LT(id_of(50, 4), id_of(51, 4));
}

// --- both --------------------------------------------------------------------------------------

class BothStores : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) {
      store_ = std::move(*SnapshotDirectory::open(dir_ / "snapshots"));
    } else {
      store_ = std::make_unique<SnapshotMemory>();
    }
  }
  TempDir dir_;
  std::unique_ptr<SnapshotStore> store_;
};
INSTANTIATE_TEST_SUITE_P(Stores, BothStores, testing::Values(true, false));

TEST_P(BothStores, AFileIsThereWhenItIsFinished) {
  EXPECT_THAT(ids(*store_), IsEmpty());
  const auto writer = store_->write(id_of(5, 1), {});
  writer->submit(block("one"));
  writer->submit(block("two"));
  EXPECT_THAT(ids(*store_), IsEmpty());
  EXPECT_FALSE(store_->open(id_of(5, 1)).has_value());
  writer->finish();
  wait_for_end(*writer);
  ASSERT_EQ(writer->state(), SnapshotWriter::State::kDone) << writer->error();
  EXPECT_EQ(read_file(*store_, id_of(5, 1)), with_checksum("onetwo"));
  EXPECT_EQ(writer->backlog_bytes(), 0u);
  EXPECT_EQ(*store_->list(), std::vector<SnapshotInfo>({{id_of(5, 1), 14}}));
}

TEST_P(BothStores, LongStringsAreCompressedOnTheWay) {
  RdbBlock long_block;
  storage::RdbEncoder(long_block).string(std::string(1000, 'a'));
  const std::string expected = with_checksum(packed(long_block));
  const auto writer = store_->write(id_of(5, 1), {});
  writer->submit(std::move(long_block));
  writer->finish();
  wait_for_end(*writer);
  EXPECT_EQ(read_file(*store_, id_of(5, 1)), expected);
}

TEST_P(BothStores, FilesAreListedTheNewestFirst) {
  for (const SnapshotId id : {id_of(10, 2), id_of(9, 3), id_of(200, 2), id_of(11, 3)}) {
    write_file(*store_, id, "x");
  }
  EXPECT_THAT(ids(*store_), ElementsAre(id_of(11, 3), id_of(9, 3), id_of(200, 2), id_of(10, 2)));
  ASSERT_TRUE(store_->remove(id_of(9, 3)).has_value());
  EXPECT_TRUE(store_->remove(id_of(9, 3)).has_value());
  EXPECT_THAT(ids(*store_), ElementsAre(id_of(11, 3), id_of(200, 2), id_of(10, 2)));
}

TEST_P(BothStores, AFileOfTheSameIdIsReplaced) {
  write_file(*store_, id_of(10, 2), "first");
  const auto old = *store_->open(id_of(10, 2));
  write_file(*store_, id_of(10, 2), "second");
  EXPECT_EQ(read_file(*store_, id_of(10, 2)), "second");
  EXPECT_EQ(bytes_of(*old), "first");
}

TEST_P(BothStores, AnOpenFileCanBeReadAfterItsRemoval) {
  write_file(*store_, id_of(10, 2), "0123456789");
  const auto file = *store_->open(id_of(10, 2));
  ASSERT_TRUE(store_->remove(id_of(10, 2)).has_value());
  char bytes[4];
  EXPECT_EQ(file->read_at(3, bytes, 4), size_t{4});
  EXPECT_EQ(std::string_view(bytes, 4), "3456");
  EXPECT_EQ(file->read_at(8, bytes, 4), size_t{2});
  EXPECT_EQ(file->read_at(10, bytes, 4), size_t{0});
}

TEST_P(BothStores, AnAbandonedFileLeavesNothing) {
  auto writer = store_->write(id_of(5, 1), {});
  writer->submit(block(std::string(1 << 20, 'x')));
  writer->abandon();
  wait_for_end(*writer);
  EXPECT_EQ(writer->state(), SnapshotWriter::State::kAbandoned);
  EXPECT_THAT(ids(*store_), IsEmpty());
  writer = store_->write(id_of(6, 1), {});
  writer->submit(block("x"));
  writer.reset();  // is the same
  EXPECT_THAT(ids(*store_), IsEmpty());
  if (GetParam()) {
    EXPECT_TRUE(std::filesystem::is_empty(dir_ / "snapshots"));
  }
}

TEST_P(BothStores, TheOwnerIsWokenAtTheEnd) {
  std::atomic<int> woken = 0;
  const auto writer = store_->write(id_of(5, 1), {.on_progress = [&] { ++woken; }});
  writer->finish();
  wait_until([&] { return woken > 0; });
  EXPECT_EQ(writer->state(), SnapshotWriter::State::kDone);
}

// --- the directory -----------------------------------------------------------------------------

TEST(SnapshotDirectory, RemovesWhatACrashLeftAndNothingElse) {
  const TempDir dir;
  const auto touch = [&](const std::string& name) { std::ofstream(dir / name) << "x"; };
  for (const char* name : {"snapshot-5-1.rdb.tmp", "snapshot-4-1.rdb", "notes.tmp", "dump.rdb"})
    touch(name);
  const auto store = SnapshotDirectory::open(dir.path());
  ASSERT_TRUE(store.has_value()) << store.error();
  EXPECT_FALSE(std::filesystem::exists(dir / "snapshot-5-1.rdb.tmp"));
  EXPECT_TRUE(std::filesystem::exists(dir / "notes.tmp"));
  EXPECT_THAT(ids(**store), ElementsAre(id_of(4, 1)));
}

TEST(SnapshotDirectory, AnErrorNamesThePath) {
  const TempDir dir;
  std::ofstream(dir / "file") << "x";
  const auto store = SnapshotDirectory::open(dir / "file/snapshots");
  ASSERT_FALSE(store.has_value());
  EXPECT_THAT(store.error(), HasSubstr(dir / "file"));
  const auto good = std::move(*SnapshotDirectory::open(dir / "good"));
  EXPECT_THAT(good->open(id_of(1, 1)).error(), HasSubstr("snapshot-1-1.rdb: No such file"));
}

TEST(SnapshotDirectory, ADirectoryThatCanNotBeWrittenToShowsAsFailure) {
  const TempDir dir;
  const auto store = std::move(*SnapshotDirectory::open(dir / "snapshots"));
  std::filesystem::remove(dir / "snapshots");
  const auto writer = store->write(id_of(5, 1), {});
  wait_for_end(*writer);
  EXPECT_EQ(writer->state(), SnapshotWriter::State::kFailed);
  EXPECT_THAT(writer->error(), HasSubstr("cannot create"));
  writer->submit(block("too late"));
  writer->finish();
  EXPECT_EQ(writer->state(), SnapshotWriter::State::kFailed);
}

// The size limit of the process stands for a full disk: both make write() fail in the middle.
TEST(SnapshotDirectory, AFullDiskShowsAsFailureAndLeavesNothing) {
  const TempDir dir;
  const auto store = std::move(*SnapshotDirectory::open(dir / "snapshots"));
  rlimit old = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = old;
  small.rlim_cur = 100'000;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto writer = store->write(id_of(5, 1), {});
  for (int i = 0; i < 20; ++i) writer->submit(block(std::string(10'000, 'x')));
  writer->finish();
  wait_for_end(*writer);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
  (void)std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(writer->state(), SnapshotWriter::State::kFailed);
  EXPECT_THAT(writer->error(), HasSubstr("cannot write"));
  EXPECT_TRUE(std::filesystem::is_empty(dir / "snapshots"));
  write_file(*store, id_of(5, 1), "fine again");
}

TEST(SnapshotDirectory, AQueueThatIsFullSaysSoAndWakesTheOwnerWhenItHasRoom) {
  const TempDir dir;
  const auto store = std::move(*SnapshotDirectory::open(dir / "snapshots"));
  std::atomic<int> woken = 0;
  std::counting_semaphore go_on(0);  // for the writer's thread, which stands in the call till then
  const auto wake = [&] {
    ++woken;
    go_on.acquire();
  };
  const auto writer = store->write(id_of(5, 1), {.queue_bytes = 100'000, .on_progress = wake});
  EXPECT_TRUE(writer->has_room());
  writer->submit(block(std::string(200'000, 'x')));
  wait_until([&] { return woken == 1; });
  EXPECT_TRUE(writer->has_room());
  writer->submit(block(std::string(50'000, 'y')));
  EXPECT_TRUE(writer->has_room());
  writer->submit(block(std::string(50'000, 'z')));
  EXPECT_FALSE(writer->has_room());
  EXPECT_EQ(writer->backlog_bytes(), 100'000u);
  go_on.release();
  wait_until([&] { return woken == 2; });
  EXPECT_TRUE(writer->has_room());
  EXPECT_EQ(writer->backlog_bytes(), 50'000u);
  EXPECT_EQ(writer->state(), SnapshotWriter::State::kWriting);
  go_on.release(2);  // and once more at its end
}

TEST(SnapshotDirectory, TheRateIsKept) {
  const TempDir dir;
  const auto store = std::move(*SnapshotDirectory::open(dir / "snapshots"));
  const auto begun = std::chrono::steady_clock::now();
  const auto writer = store->write(id_of(5, 1), {.bytes_per_second_max = 1'000'000});
  for (int i = 0; i < 30; ++i) writer->submit(block(std::string(10'000, 'x')));
  writer->finish();
  wait_for_end(*writer);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(290));
}

// To walk over what becomes short in the file, and to make it short, is the larger part of the
// work.
TEST(SnapshotDirectory, TheRateIsThatOfWhatIsSubmitted) {
  const TempDir dir;
  const auto store = std::move(*SnapshotDirectory::open(dir / "snapshots"));
  const auto begun = std::chrono::steady_clock::now();
  const auto writer = store->write(id_of(5, 1), {.bytes_per_second_max = 1'000'000});
  for (int i = 0; i < 30; ++i) {
    RdbBlock compressible;
    storage::RdbEncoder(compressible)
        .string_entry("key", std::string(10'000, 'x'), data::kNoExpiry);
    writer->submit(std::move(compressible));
  }
  writer->finish();
  wait_for_end(*writer);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(290));
  EXPECT_LT(writer->bytes_written(), 100'000u) << "these bytes are not compressed";
}

TEST(SnapshotDirectory, LargeFilesAreWrittenInSteps) {
  const TempDir dir;
  const auto store = std::move(*SnapshotDirectory::open(dir / "snapshots"));
  std::string expected;
  const auto writer = store->write(id_of(5, 1), {.step_bytes = 4096});
  for (int i = 0; i < 200; ++i) {
    expected += std::string(static_cast<size_t>(i) * 37, static_cast<char>(i));
    writer->submit(block(std::string(static_cast<size_t>(i) * 37, static_cast<char>(i))));
  }
  writer->finish();
  wait_for_end(*writer);
  ASSERT_EQ(writer->state(), SnapshotWriter::State::kDone) << writer->error();
  EXPECT_TRUE(read_file(*store, id_of(5, 1)) == with_checksum(expected));
}

// On the disk that the tests are built on as well as in memory: which file systems take direct
// writes, and of which lengths, differs.
TEST(SnapshotDirectory, AFileOfWholeStepsIsWholeAndSoIsOneOfAByteMoreOrLess) {
  const TempDir memory;
  const TempDir disk(std::filesystem::current_path());
  for (const TempDir* dir : {&memory, &disk}) {
    const auto store = std::move(*SnapshotDirectory::open(*dir / "snapshots"));
    for (const size_t size : {8191, 8192, 8193}) {
      std::string bytes(size, 'x');
      bytes.back() = 'y';
      write_file(*store, id_of(size, 1), bytes, {.step_bytes = 4096});
      EXPECT_TRUE(read_file(*store, id_of(size, 1)) == bytes) << size << " in " << dir->path();
    }
  }
}

// --- memory ------------------------------------------------------------------------------------

TEST(SnapshotMemory, ACrashLosesWhatIsNotFinished) {
  SnapshotMemory store(SnapshotMemory::Finish::kWhenTold);
  const auto done = store.write(id_of(4, 1), {});
  done->submit(block("x"));
  done->finish();
  EXPECT_EQ(done->backlog_bytes(), 1u);
  store.finish_writers();
  EXPECT_EQ(done->state(), SnapshotWriter::State::kDone);

  const auto lost = store.write(id_of(5, 1), {});
  lost->submit(block("x"));
  lost->finish();
  EXPECT_EQ(lost->state(), SnapshotWriter::State::kWriting);
  store.crash();
  store.finish_writers();
  EXPECT_THAT(ids(store), ElementsAre(id_of(4, 1)));
  EXPECT_NE(lost->state(), SnapshotWriter::State::kDone);
}

TEST(SnapshotMemory, FaultsComeWhenTheyAreAskedFor) {
  SnapshotMemory store;
  store.fail_next_write("disk full");
  const auto writer = store.write(id_of(5, 1), {});
  writer->submit(block("x"));
  EXPECT_EQ(writer->state(), SnapshotWriter::State::kFailed);
  EXPECT_EQ(writer->error(), "disk full");
  write_file(store, id_of(5, 1), "abc");
  EXPECT_FALSE(store.damage(id_of(5, 1), 3, 0));
  EXPECT_TRUE(store.damage(id_of(5, 1), 1, 0));
  EXPECT_EQ(read_file(store, id_of(5, 1)), "acc");
}

}  // namespace
}  // namespace raftkv::test
