// The line between staged and synced, and the faults of the simulator's disk.
#include "storage/log/memory_log_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/contract/log_world.h"

namespace raftkv::storage {
namespace {

using testing::HasSubstr;

class MemoryStore : public testing::Test {
 protected:
  MemoryStore() { recover(); }

  raft::Restored recover() {
    auto restored = store_.recover();
    EXPECT_TRUE(restored) << restored.error();
    return *restored;
  }
  raft::Restored crash(size_t survivors) {
    store_.crash(survivors);
    return recover();
  }
  void stage(const Write& write) { store_.stage(write.get()); }
  void sync() { ASSERT_TRUE(store_.sync()); }

  MemoryLogStore store_;
};

TEST_F(MemoryStore, WhatWasOnlyStagedIsLostInACrash) {
  stage(Write().sequence(1).append(1, 1));
  sync();
  stage(Write().sequence(2).hard_state(2, 3).append(2, 2));
  const raft::Restored restored = crash(0);
  EXPECT_EQ(restored.last_index, 1);
  EXPECT_EQ(restored.hard_state, raft::HardState{});
}

TEST_F(MemoryStore, AChosenPrefixOfWhatWasStagedMaySurvive) {
  stage(Write().sequence(1).append(1, 1));
  stage(Write().sequence(2).append(2, 1).append(3, 1));
  stage(Write().sequence(3).append(2, 2));
  EXPECT_EQ(store_.staged(), 3);
  EXPECT_EQ(crash(2).last_index, 3);
  EXPECT_EQ(store_.staged(), 0);
}

TEST_F(MemoryStore, ALostTruncationBringsTheOldTailBack) {
  stage(Write().sequence(1).append(1, 1).append(2, 1).append(3, 1));
  sync();
  stage(Write().sequence(2).append(2, 2));
  EXPECT_EQ(crash(0).last_index, 3);
}

TEST_F(MemoryStore, SyncThroughMakesDurableUpToASequenceAndNoFurther) {
  stage(Write().sequence(1).append(1, 1));
  stage(Write().sequence(2).append(2, 1));
  stage(Write().sequence(3).append(3, 1));
  ASSERT_TRUE(store_.sync_through(2));
  EXPECT_EQ(store_.staged(), 1);
  EXPECT_EQ(read(store_, 1, 2).size(), 2);
  EXPECT_EQ(crash(0).last_index, 2);
}

TEST_F(MemoryStore, NewWritesFitWhatIsStagedNotWhatIsSynced) {
  stage(Write().sequence(1).append(1, 1));
  stage(Write().sequence(2).append(2, 1));
  sync();
  EXPECT_EQ(crash(0).last_index, 2);
}

TEST_F(MemoryStore, ACommitIndexAloneIsLostInACrashUnlessAWriteFollowedIt) {
  stage(Write().sequence(1).hard_state(1, 1).append(1, 1));
  stage(Write().sequence(2).hard_state(1, 1, 1));
  sync();
  EXPECT_EQ(crash(0).hard_state.commit, 0);

  stage(Write().sequence(1).hard_state(1, 1, 1));
  stage(Write().sequence(2).append(2, 1));
  sync();
  EXPECT_EQ(crash(0).hard_state.commit, 1);
}

TEST_F(MemoryStore, AFailedSyncLeavesNothingDurableAndTheStoreUnusableUntilACrash) {
  stage(Write().sequence(1).append(1, 1));
  store_.fail_next_sync();
  EXPECT_FALSE(store_.sync());
  EXPECT_FALSE(store_.sync()) << "a sync that is tried again must not succeed";
  const Write more = Write().sequence(2).append(2, 1);
  const raft::Persist* group[] = {&more.get()};
  EXPECT_FALSE(store_.write(group));
  EXPECT_EQ(crash(0).last_index, 0);
  write(store_, Write().sequence(1).append(1, 1));
  EXPECT_EQ(crash(0).last_index, 1);
}

TEST_F(MemoryStore, AStagedCutIsLostInACrash) {
  stage(Write().sequence(1).append(1, 1).append(2, 1).append(3, 1));
  sync();
  stage(Write().sequence(2).cut(2, 1, 3));
  EXPECT_EQ(store_.stats().first_index, 1) << "what is staged is not there yet";
  EXPECT_EQ(crash(0).first_index, 1);
  stage(Write().sequence(3).cut(2, 1, 3));
  const raft::Restored restored = crash(1);
  EXPECT_EQ(restored.first_index, 3);
  EXPECT_EQ(restored.snapshot, snapshot(2, 1));
}

TEST_F(MemoryStore, AStagedInstallIsLostInACrash) {
  stage(Write().sequence(1).append(1, 1).append(2, 1));
  sync();
  stage(Write().sequence(2).install(9, 2));
  stage(Write().sequence(3).append(10, 2));
  EXPECT_EQ(crash(0).last_index, 2);
  stage(Write().sequence(2).install(9, 2));
  stage(Write().sequence(3).append(10, 2));
  EXPECT_EQ(crash(1).last_index, 9);
}

TEST_F(MemoryStore, DamagedFactsAreRefused) {
  fill(store_, 3);
  store_.damage_facts();
  store_.crash(0);
  const auto restored = store_.recover();
  ASSERT_FALSE(restored);
  EXPECT_THAT(restored.error(), HasSubstr("remove the node from the cluster"));
}

TEST_F(MemoryStore, OnAFullDiskWhatIsStagedStaysStaged) {
  stage(Write().sequence(1).append(1, 1));
  store_.set_disk_full(true);
  const auto full = store_.sync_through(1);
  ASSERT_FALSE(full);
  EXPECT_TRUE(full.error().disk_full);
  EXPECT_EQ(store_.staged(), 1);
  store_.set_disk_full(false);
  sync();
  EXPECT_EQ(crash(0).last_index, 1);
}

TEST_F(MemoryStore, ADroppedEntryTakesItsDamageWithIt) {
  fill(store_, 5);
  store_.damage(2);
  write(store_, Write().cut(4, 1, 4));
  EXPECT_EQ(crash(0).lost_up_to, 0);
  store_.damage(5);
  write(store_, Write().install(9, 2));
  EXPECT_EQ(crash(0).lost_up_to, 0);
}

TEST_F(MemoryStore, AReplacedEntryIsNotDamagedAnyMore) {
  fill(store_, 3);
  store_.damage(3);
  write(store_, Write().append(2, 2));
  EXPECT_EQ(crash(0).last_index, 2);
}

TEST(MemoryStoreDeathTest, AnEntryThatIsNotSyncedCannotBeRead) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  MemoryLogStore store;
  ASSERT_TRUE(store.recover());
  store.stage(Write().sequence(1).append(1, 1).get());
  EXPECT_DEATH(read(store, 1, 1), "entries 1 to 1 were asked for, 0 are synced");
}

}  // namespace
}  // namespace raftkv::storage
