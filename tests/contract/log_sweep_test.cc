// What a cut drops gives its room on the disk back: all of it, and nothing else.
#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "storage/log/log_sweeper.h"
#include "storage/log/record.h"
#include "storage/log/rocks_database.h"
#include "storage/log/rocks_log_store.h"
#include "tests/contract/log_world.h"
#include "tests/support/unnamed_file.h"

namespace raftkv::storage {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// Polls, because the background threads tell nobody; the deadline ends a test that fails.
template <typename Condition>
void await(const char* what, Condition condition) {
  const auto deadline = Clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    ASSERT_LT(Clock::now(), deadline) << what;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

size_t tables_in(const std::string& path) {
  size_t count = 0;
  for (const auto& file : fs::directory_iterator(path)) count += file.path().extension() == ".sst";
  return count;
}

TEST(LogSweepToTheEnd, AllTablesBeforeACutGo) {
  constexpr size_t kTables = 20;
  const TempDir dir;
  const std::string path = dir / "log";
  auto store = *RocksLogStore::open(path, {.memtable_bytes = 64 << 10, .spare_wal_files = 0});
  ASSERT_TRUE(store->recover());
  raft::Index last = 0;
  ASSERT_NO_FATAL_FAILURE(await("no tables are made", [&] {
    for (int i = 0; i < 10; ++i) write(*store, Write().append(++last, 1, std::string(4000, 'x')));
    return tables_in(path) >= kTables;
  }));
  write(*store, Write().cut(last, 1, last + 1));
  // Without another write. What stays is the facts' tables, of which there are up to four, since so
  // many are compacted to one.
  await("tables stay", [&] { return tables_in(path) <= 4; });
}

// The table files of the log that can be dropped, by their last entries.
std::map<raft::Index, std::string> tables_by_last_entry(const std::string& path) {
  const auto database = *RocksDatabase::open(path, RocksDatabase::Mode::kReadOnly, {});
  rocksdb::ColumnFamilyMetaData facts;
  database->db().GetColumnFamilyMetaData(database->log(), &facts);
  std::map<raft::Index, std::string> tables;
  for (const rocksdb::LevelMetaData& level : facts.levels) {
    if (level.level == 0) continue;
    for (const rocksdb::SstFileMetaData& table : level.files) {
      tables[*parse_entry_key(table.largestkey)] = path + table.name;
    }
  }
  return tables;
}

// A store with some tables, and those that its cuts are of.
class LogSweep : public testing::Test {
 protected:
  void SetUp() override {
    await("no tables are made", [&] {
      for (int i = 0; i < 10; ++i) {
        write(*store_, Write().append(++last_, 1, std::string(4000, 'x')));
      }
      return tables_in(path_) >= 8 && (tables_ = tables_by_last_entry(path_)).size() >= 3;
    });
  }

  const TempDir dir_;
  const std::string path_ = dir_ / "log";
  std::unique_ptr<RocksLogStore> store_ = [this] {
    auto store = *RocksLogStore::open(path_, {.memtable_bytes = 64 << 10, .spare_wal_files = 0});
    EXPECT_TRUE(store->recover());
    return store;
  }();
  raft::Index last_ = 0;
  std::map<raft::Index, std::string> tables_;
};

TEST_F(LogSweep, TheTableThatEndsWithTheFirstEntryKeptStays) {
  const auto& [first_end, first_table] = *tables_.begin();
  const auto& [second_end, second_table] = *std::next(tables_.begin());
  write(*store_, Write().cut(last_, 1, second_end));
  await("the first table stays", [&] { return !fs::exists(first_table); });
  EXPECT_TRUE(fs::exists(second_table));
  EXPECT_EQ(read(*store_, second_end, last_).size(), last_ - second_end + 1);
}

TEST_F(LogSweep, TheBlocksOfATableGoStepByStep) {
  const auto& [first_end, first_table] = *tables_.begin();
  const uintmax_t bytes = uintmax_t{1} << 40;  // sparse, and a million steps
  fs::resize_file(first_table, bytes);
  write(*store_, Write().cut(last_, 1, last_ + 1));
  await("the table stays", [&] { return !fs::exists(first_table); });
  await("nothing is freed", [&] { return test::size_of_unnamed(first_table).value_or(0) < bytes; });
  EXPECT_TRUE(test::size_of_unnamed(first_table)) << "it went at once";
}

TEST(LogSweeper, SweepsOncePerRequest) {
  std::atomic<int> sweeps = 0;
  std::atomic<int> looks = 0;
  LogSweeper sweeper([&] { ++sweeps; }, [&] { ++looks; });
  sweeper.start();
  await("it does not look around", [&] { return looks > 0; });
  EXPECT_EQ(sweeps, 0);
  sweeper.request();
  await("no sweep", [&] { return sweeps > 0; });
  sweeper.stop();
  EXPECT_EQ(sweeps, 1);
}

}  // namespace
}  // namespace raftkv::storage
