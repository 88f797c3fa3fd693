// The writer thread: order, group commit, failure, end.
#include "storage/log/log_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>

#include "tests/contract/log_world.h"

namespace raftkv::storage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// A store whose writes wait until they are let through, and which remembers its groups.
class GatedStore : public LogStore {
 public:
  std::expected<raft::Restored, std::string> recover() override { return raft::Restored{}; }

  const std::string& damage() const override { return damage_; }
  std::vector<raft::SnapshotMeta> snapshots() const override { return {}; }
  std::expected<void, std::string> discard_log() override { return {}; }
  bool disk_full() const override { return nearly_full_; }

  std::expected<void, WriteError> write(std::span<const raft::Persist* const> batch) override {
    std::unique_lock lock(mutex_);
    ++entered_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_ || passes_ > 0; });
    if (passes_ > 0) --passes_;
    if (fails_) return std::unexpected(WriteError{.disk_full = false, .text = "the disk is gone"});
    if (full_) return std::unexpected(WriteError{.disk_full = true, .text = "no room"});
    std::vector<uint64_t> group;
    for (const raft::Persist* persist : batch) group.push_back(persist->token.sequence);
    groups_.push_back(group);
    return {};
  }

  void read(raft::Index, raft::Index, size_t, std::vector<raft::Entry>&) const override {}
  LogStoreStats stats() const override { return {}; }

  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void let_one_pass() {
    const std::lock_guard lock(mutex_);
    ++passes_;
    changed_.notify_all();
  }
  void fail() {
    const std::lock_guard lock(mutex_);
    fails_ = true;
  }
  void set_full(bool full) {
    const std::lock_guard lock(mutex_);
    full_ = full;
  }
  void set_nearly_full(bool nearly_full) { nearly_full_ = nearly_full; }
  // Waits until the writer has begun its `count`th write.
  void await_write(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return entered_ >= count; });
  }
  std::vector<std::vector<uint64_t>> groups() const {
    const std::lock_guard lock(mutex_);
    return groups_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  bool fails_ = false;
  bool full_ = false;
  std::atomic<bool> nearly_full_ = false;
  std::string damage_;
  size_t passes_ = 0;
  size_t entered_ = 0;
  std::vector<std::vector<uint64_t>> groups_;
};

// The owner's side: counts the calls of on_durable and waits for what it expects.
class Owner {
 public:
  void on_durable() {
    const std::lock_guard lock(mutex_);
    ++calls_;
    changed_.notify_all();
  }
  // Takes until `count` Persists are durable; returns their sequences.
  std::vector<uint64_t> await(LogWriter& writer, size_t count) {
    std::vector<uint64_t> taken;
    size_t seen = 0;
    while (true) {
      for (const raft::Persist& persist : writer.take_durable()) {
        EXPECT_THAT(persist.entries, IsEmpty());
        taken.push_back(persist.token.sequence);
      }
      if (taken.size() >= count) return taken;
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return calls_ > seen; });
      seen = calls_;
    }
  }
  size_t calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  size_t calls_ = 0;
};

raft::Persist numbered(uint64_t sequence, size_t payload_bytes = 10) {
  return Write().sequence(sequence).append(sequence, 1, std::string(payload_bytes, 'x')).get();
}

class Writer : public testing::Test {
 protected:
  std::unique_ptr<LogWriter> make(const LogWriterOptions& options = {}) {
    return std::make_unique<LogWriter>(
        store_, [this] { owner_.on_durable(); }, [](const std::string& error) { FAIL() << error; },
        options);
  }

  GatedStore store_;
  Owner owner_;
};

TEST_F(Writer, WhatGathersDuringASyncIsTheNextGroup) {
  auto writer = make();
  writer->submit(numbered(1));
  store_.await_write(1);
  for (uint64_t sequence = 2; sequence <= 100; ++sequence) writer->submit(numbered(sequence));
  store_.open();
  EXPECT_THAT(owner_.await(*writer, 100), SizeIs(100));
  const auto groups = store_.groups();
  ASSERT_THAT(groups, SizeIs(2));
  EXPECT_THAT(groups[0], ElementsAre(1));
  EXPECT_THAT(groups[1], SizeIs(99));
}

TEST_F(Writer, NothingIsDurableBeforeTheStoreSaysSo) {
  auto writer = make();
  writer->submit(numbered(1));
  store_.await_write(1);
  EXPECT_THAT(writer->take_durable(), IsEmpty());
  EXPECT_EQ(owner_.calls(), 0);
  store_.let_one_pass();
  EXPECT_THAT(owner_.await(*writer, 1), ElementsAre(1));
  store_.open();
}

TEST_F(Writer, SealedMessagesComeBackWithTheirPersist) {
  auto writer = make();
  raft::Persist persist = numbered(1);
  persist.sealed.push_back({.from = 1, .to = 2, .term = 3, .body = raft::AppendReply{}});
  writer->submit(std::move(persist));
  store_.open();
  store_.await_write(1);
  while (owner_.calls() == 0) std::this_thread::yield();
  const auto durable = writer->take_durable();
  ASSERT_THAT(durable, SizeIs(1));
  ASSERT_THAT(durable[0].sealed, SizeIs(1));
  EXPECT_EQ(durable[0].sealed[0].to, 2);
}

TEST_F(Writer, OrderIsKeptThroughAllGroups) {
  store_.open();
  auto writer = make();
  constexpr size_t kCount = 20'000;
  for (uint64_t sequence = 1; sequence <= kCount; ++sequence) writer->submit(numbered(sequence));
  std::vector<uint64_t> expected(kCount);
  std::iota(expected.begin(), expected.end(), 1);
  EXPECT_EQ(owner_.await(*writer, kCount), expected);

  std::vector<uint64_t> written;
  for (const auto& group : store_.groups())
    written.insert(written.end(), group.begin(), group.end());
  EXPECT_EQ(written, expected);
}

TEST_F(Writer, AGroupIsBoundedInBytes) {
  auto writer = make({.group_bytes_max = 10'000});
  writer->submit(numbered(1));
  store_.await_write(1);
  for (uint64_t sequence = 2; sequence <= 7; ++sequence) writer->submit(numbered(sequence, 4000));
  writer->submit(numbered(8, 50'000));  // alone it is over the bound, and goes alone
  writer->submit(numbered(9));
  store_.open();
  owner_.await(*writer, 9);
  EXPECT_THAT(store_.groups(), ElementsAre(ElementsAre(1), ElementsAre(2, 3), ElementsAre(4, 5),
                                           ElementsAre(6, 7), ElementsAre(8), ElementsAre(9)));
  EXPECT_EQ(owner_.calls(), 6);
}

TEST_F(Writer, TheEndWritesWhatIsQueued) {
  auto writer = make();
  writer->submit(numbered(1));
  store_.await_write(1);
  writer->submit(numbered(2));
  writer->submit(numbered(3));
  std::thread opener([this] { store_.open(); });
  writer.reset();
  opener.join();
  EXPECT_THAT(store_.groups(), ElementsAre(ElementsAre(1), ElementsAre(2, 3)));
}

TEST_F(Writer, AnIdleWriterEndsAtOnce) {
  auto writer = make();
  writer.reset();
  EXPECT_THAT(store_.groups(), IsEmpty());
}

TEST_F(Writer, AFullDiskKeepsTheQueueWaitingAndThenAllIsWrittenOnceInOrder) {
  store_.set_full(true);
  store_.open();
  auto writer = make();
  EXPECT_FALSE(writer->disk_full());
  writer->submit(numbered(1));
  store_.await_write(1);
  writer->submit(numbered(2));
  store_.await_write(3);  // tried again and again
  EXPECT_TRUE(writer->disk_full());
  EXPECT_EQ(owner_.calls(), 1) << "the owner was not woken to see it";
  EXPECT_THAT(writer->take_durable(), IsEmpty());
  store_.set_full(false);
  EXPECT_THAT(owner_.await(*writer, 2), ElementsAre(1, 2));
  EXPECT_FALSE(writer->disk_full());
  EXPECT_THAT(store_.groups(), ElementsAre(ElementsAre(1), ElementsAre(2)));
}

TEST_F(Writer, ADiskThatIsNearlyFullIsToldBeforeAWriteHasToWait) {
  auto writer = make();
  store_.set_nearly_full(true);
  EXPECT_TRUE(writer->disk_full());
  store_.set_nearly_full(false);
  EXPECT_FALSE(writer->disk_full());
}

TEST_F(Writer, AWriterThatWaitsForRoomEndsAllTheSame) {
  store_.set_full(true);
  store_.open();
  auto writer = make();
  writer->submit(numbered(1));
  store_.await_write(2);
  writer.reset();
  EXPECT_THAT(store_.groups(), IsEmpty());
}

TEST_F(Writer, StatsCountGroupsPersistsAndBytes) {
  store_.open();
  auto writer = make();
  EXPECT_EQ(writer->stats().syncs, 0);
  writer->submit(numbered(1, 100));
  owner_.await(*writer, 1);
  writer->submit(numbered(2, 50));
  owner_.await(*writer, 1);
  const LogWriterStats stats = writer->stats();
  EXPECT_EQ(stats.syncs, 2);
  EXPECT_EQ(stats.persists, 2);
  EXPECT_EQ(stats.bytes, 150);
  EXPECT_EQ(std::accumulate(stats.sync_histogram.begin(), stats.sync_histogram.end(), uint64_t{0}),
            2);
}

TEST_F(Writer, ASpinningWriterDoesTheSame) {
  store_.open();
  auto writer = make({.spin_us = 200});
  for (uint64_t sequence = 1; sequence <= 50; ++sequence) {
    writer->submit(numbered(sequence));
    EXPECT_THAT(owner_.await(*writer, 1), ElementsAre(sequence));
  }
}

TEST(WriterDeathTest, AFailedWriteIsToldAndNothingFollowsIt) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto fail_once = [] {
    GatedStore store;
    store.fail();
    store.open();
    LogWriter writer(
        store, [] { std::fprintf(stderr, "durable\n"); },
        [](const std::string& error) {
          std::fprintf(stderr, "told: %s\n", error.c_str());
          std::_Exit(3);
        });
    writer.submit(numbered(1));
    store.await_write(2);  // never comes
  };
  EXPECT_EXIT(fail_once(), testing::ExitedWithCode(3), "^told: the disk is gone\n$");
}

TEST(WriterDeathTest, AFailureHandlerThatReturnsDoesNotKeepTheWriterGoing) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto fail_once = [] {
    GatedStore store;
    store.fail();
    store.open();
    LogWriter writer(
        store, [] {}, [](const std::string&) {});
    writer.submit(numbered(1));
    store.await_write(2);
  };
  EXPECT_DEATH(fail_once(), "go on after a failed write: the disk is gone");
}

TEST(WriterOnRocksDb, EverythingThatWasDurableIsThereAfterARestart) {
  const auto world = rocks_world();
  ASSERT_TRUE(world->store().recover());
  Owner owner;
  {
    LogWriter writer(
        world->store(), [&] { owner.on_durable(); },
        [](const std::string& error) { FAIL() << error; });
    for (uint64_t sequence = 1; sequence <= 500; ++sequence) writer.submit(numbered(sequence, 100));
    EXPECT_THAT(owner.await(writer, 500), SizeIs(500));
    EXPECT_LT(writer.stats().syncs, 500) << "no groups were formed";
  }
  EXPECT_EQ(world->reopen().last_index, 500);
}

TEST(WriterOnRocksDb, TheOwnerMayReadWhatIsDurableWhileTheWriterGoesOn) {
  const auto world = rocks_world(64 << 10);
  ASSERT_TRUE(world->store().recover());
  Owner owner;
  LogWriter writer(
      world->store(), [&] { owner.on_durable(); },
      [](const std::string& error) { FAIL() << error; });
  raft::Index durable = 0;
  for (uint64_t sequence = 1; sequence <= 300; ++sequence) {
    writer.submit(numbered(sequence, 2000));
    durable += writer.take_durable().size();
    if (durable == 0) continue;
    EXPECT_EQ(read(world->store(), durable, durable).front().index, durable);
    EXPECT_EQ(world->store().stats().first_index, 1);
  }
  owner.await(writer, 300 - durable);
}

}  // namespace
}  // namespace raftkv::storage
