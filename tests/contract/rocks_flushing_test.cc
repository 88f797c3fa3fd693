// Whether a flush is under way, as the store tells those who can wait for its end.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "storage/log/rocks_log_store.h"
#include "tests/contract/log_world.h"

namespace raftkv::storage {
namespace {

TEST(RocksFlushing, IsToldWhileItLastsAndNoLonger) {
  const TempDir dir;
  const auto store = *RocksLogStore::open(dir / "log", {.memtable_bytes = 1 << 20});
  ASSERT_TRUE(store->recover());
  EXPECT_FALSE(store->flushing());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  raft::Index last = 0;
  while (!store->flushing()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "no flush is seen";
    write(*store, Write().append(++last, 1, std::string(100'000, 'x')));
  }
  while (store->flushing()) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "it never ends";
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace
}  // namespace raftkv::storage
