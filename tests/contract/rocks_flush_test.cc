// When the log's memtables are flushed for the first time.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "storage/log/rocks_log_store.h"
#include "tests/contract/log_world.h"

namespace raftkv::storage {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMemtable = 8 << 20;
constexpr size_t kFirst = 2 << 20;
// What is written besides the entries' payloads counts as well, so a little less of those is
// enough.
constexpr size_t kAlmostFirst = kFirst - (128 << 10);

class RocksFirstFlush : public testing::Test {
 protected:
  void open(size_t first_flush_bytes) {
    store_.reset();
    store_ = *RocksLogStore::open(path_, {.memtable_bytes = kMemtable,
                                          .first_flush_bytes = first_flush_bytes,
                                          .spare_wal_files = 0});
    ASSERT_TRUE(store_->recover());
    bytes_ = 0;
  }
  void write_until(size_t bytes) {
    for (; bytes_ < bytes; bytes_ += kEntry) {
      write(*store_, Write().append(++last_, 1, std::string(kEntry, 'x')));
    }
  }
  size_t table_bytes() const {
    size_t bytes = 0;
    for (const auto& file : fs::directory_iterator(path_)) {
      if (file.path().extension() == ".sst") bytes += file.file_size();
    }
    return bytes;
  }
  // Polls, because RocksDB's threads tell nobody; the deadline ends a test that fails.
  void await_tables(size_t least) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (table_bytes() < least) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << table_bytes() << " of " << least;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

 private:
  static constexpr size_t kEntry = 16 << 10;

  const TempDir dir_;
  const std::string path_ = dir_ / "log";
  std::unique_ptr<RocksLogStore> store_;
  raft::Index last_ = 0;
  size_t bytes_ = 0;
};

TEST_F(RocksFirstFlush, ComesWhenItIsWantedAndLaterOnesWhenTheMemtableIsFull) {
  open(kFirst);
  write_until(kAlmostFirst);
  EXPECT_EQ(table_bytes(), 0u);
  write_until(kFirst);
  ASSERT_NO_FATAL_FAILURE(await_tables(kAlmostFirst));
  write_until(kMemtable);
  EXPECT_LT(table_bytes(), 2 * kFirst);
  write_until(kFirst + kMemtable + (1 << 20));
  ASSERT_NO_FATAL_FAILURE(await_tables(kMemtable));
}

TEST_F(RocksFirstFlush, ComesAfterEachOpening) {
  open(0);
  write_until(kFirst + (1 << 20));
  EXPECT_EQ(table_bytes(), 0u);
  open(kFirst);  // what was written goes into a table when it is opened
  const size_t before = table_bytes();
  write_until(kFirst);
  await_tables(before + kAlmostFirst);
}

}  // namespace
}  // namespace raftkv::storage
