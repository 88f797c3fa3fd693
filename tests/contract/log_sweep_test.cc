// What a cut drops gives its room on the disk back: all of it, a few tables at a time.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "storage/log/log_sweeper.h"
#include "storage/log/rocks_log_store.h"
#include "tests/contract/log_world.h"

namespace raftkv::storage {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

// Polls, because the background threads tell nobody.
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

TEST(LogSweep, AllTablesBeforeACutGo) {
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

TEST(LogSweeper, GoesOnByItselfAsLongAsThereIsMore) {
  std::atomic<int> left = 3;
  LogSweeper sweeper([&] { return --left > 0; }, [] {});
  sweeper.start();
  sweeper.request();
  await("the sweep is not gone on with", [&] { return left == 0; });
  sweeper.stop();
  EXPECT_EQ(left, 0) << "or for longer than that";
}

TEST(LogSweeper, StopsInTheMiddle) {
  std::atomic<int> sweeps = 0;
  LogSweeper sweeper(
      [&] {
        ++sweeps;
        return true;
      },
      [] {});
  sweeper.start();
  sweeper.request();
  await("no sweep", [&] { return sweeps > 0; });
  sweeper.stop();  // returns, although there is always more
}

}  // namespace
}  // namespace raftkv::storage
