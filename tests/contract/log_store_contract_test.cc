// What every log store promises (storage/log/log_store.h), run for RocksDB's and for the
// simulator's: what the simulator assumes of a disk is what RocksDB does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/contract/log_world.h"

namespace raftkv::storage {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

struct Kind {
  const char* name;
  std::unique_ptr<StoreWorld> (*make)();
};

class LogStoreContract : public testing::TestWithParam<Kind> {
 protected:
  LogStoreContract() : world_(GetParam().make()) {}

  LogStore& store() { return world_->store(); }
  void start() {
    const auto restored = store().recover();
    ASSERT_TRUE(restored) << restored.error();
  }
  std::vector<std::string> log() { return world_->reopened_contents().entries; }

  std::unique_ptr<StoreWorld> world_;
};

INSTANTIATE_TEST_SUITE_P(
    Stores, LogStoreContract,
    testing::Values(Kind{"RocksDb", [] { return rocks_world(); }},
                    Kind{"RocksDbWithoutSpares", [] { return rocks_world(1 << 20, 0); }},
                    Kind{"RocksDbThatFlushesOften", [] { return rocks_world(64 << 10); }},
                    Kind{"Memory", [] { return memory_world(); }}),
    [](const auto& kind) { return kind.param.name; });

TEST_P(LogStoreContract, ANewStoreIsEmpty) {
  const auto restored = store().recover();
  ASSERT_TRUE(restored) << restored.error();
  EXPECT_EQ(restored->hard_state, raft::HardState{});
  EXPECT_EQ(restored->last_index, 0);
  EXPECT_EQ(restored->last_time_us, 0);
  EXPECT_THAT(restored->term_starts, IsEmpty());
  EXPECT_EQ(store().stats().first_index, 0);
  EXPECT_EQ(store().stats().last_index, 0);
}

TEST_P(LogStoreContract, AnEmptyStoreIsStillEmptyWhenOpenedAgain) {
  start();
  EXPECT_EQ(world_->reopen().last_index, 0);
  EXPECT_EQ(world_->reopen().last_index, 0);
}

TEST_P(LogStoreContract, WhatWasWrittenIsReadBackAtOnceAndAfterARestart) {
  start();
  write(store(), Write().hard_state(1, 2).append(1, 1, "a").append(2, 1, "b"));
  write(store(), Write().append(3, 1, "c"));
  const std::vector<std::string> expected = {describe(entry(1, 1, "a")), describe(entry(2, 1, "b")),
                                             describe(entry(3, 1, "c"))};
  EXPECT_EQ(describe(read(store(), 1, 3)), expected);
  const Contents found = world_->reopened_contents();
  EXPECT_EQ(found.entries, expected);
  EXPECT_EQ(found.hard_state, (raft::HardState{.term = 1, .vote = 2, .commit = 0}));
}

TEST_P(LogStoreContract, KindTimeAndPayloadOfAnEntrySurviveWhateverTheyAre) {
  start();
  raft::Entry noop{
      .term = 1, .index = 1, .time_us = 0, .kind = raft::EntryKind::kNoop, .payload = nullptr};
  raft::Entry empty{.term = 1,
                    .index = 2,
                    .time_us = 1,
                    .kind = raft::EntryKind::kCommands,
                    .payload = std::make_shared<const std::string>()};
  raft::Entry binary{.term = 1,
                     .index = 3,
                     .time_us = UINT64_MAX,
                     .kind = raft::EntryKind::kCommands,
                     .payload = std::make_shared<const std::string>(std::string("\0\xff\r\n", 4))};
  raft::Entry last_term{.term = UINT64_MAX,
                        .index = 4,
                        .time_us = UINT64_MAX,
                        .kind = raft::EntryKind::kNoop,
                        .payload = nullptr};
  write(store(), Write().append(noop).append(empty).append(binary).append(last_term));
  EXPECT_THAT(log(),
              ElementsAre(describe(noop), describe(empty), describe(binary), describe(last_term)));
  const auto entries = read(store(), 2, 2);
  EXPECT_EQ(entries.front().payload_size(), 0);
}

TEST_P(LogStoreContract, AnEntryOfManyMegabytesIsOneEntry) {
  start();
  std::string big(9 << 20, 'x');
  for (size_t i = 0; i < big.size(); i += 4093) big[i] = static_cast<char>(i);
  write(store(), Write().append(1, 1, "before").append(2, 1, big).append(3, 1, "behind"));
  world_->reopen();
  const auto entries = read(store(), 1, 3);
  ASSERT_THAT(entries, SizeIs(3));
  EXPECT_TRUE(*entries[1].payload == big);
  EXPECT_EQ(*entries[2].payload, "behind");
}

TEST_P(LogStoreContract, EntriesAtAnIndexReplaceWhatWasThereAndBeyond) {
  start();
  fill(store(), 10);
  write(store(), Write().append(4, 2, "new"));
  const std::vector<std::string> expected = {describe(entry(1, 1)), describe(entry(2, 1)),
                                             describe(entry(3, 1)), describe(entry(4, 2, "new"))};
  EXPECT_EQ(describe(read(store(), 1, 4)), expected);
  EXPECT_EQ(store().stats().last_index, 4);
  EXPECT_EQ(log(), expected);
}

TEST_P(LogStoreContract, TheWholeLogCanBeReplaced) {
  start();
  fill(store(), 5);
  write(store(), Write().append(1, 2, "all new"));
  EXPECT_THAT(log(), ElementsAre(describe(entry(1, 2, "all new"))));
}

TEST_P(LogStoreContract, AfterATruncationTheLogGrowsAgainOverTheOldPlaces) {
  start();
  fill(store(), 6);
  write(store(), Write().append(3, 2, "third"));
  write(store(), Write().append(4, 2, "fourth").append(5, 2, "fifth"));
  EXPECT_THAT(log(), ElementsAre(describe(entry(1, 1)), describe(entry(2, 1)),
                                 describe(entry(3, 2, "third")), describe(entry(4, 2, "fourth")),
                                 describe(entry(5, 2, "fifth"))));
}

TEST_P(LogStoreContract, SeveralPersistsOfAGroupAreWrittenInTheirOrder) {
  start();
  write_group(
      store(),
      {Write().hard_state(1, 1).append(1, 1, "a").append(2, 1, "b"), Write().append(3, 1, "c"),
       Write().hard_state(2, 3).append(2, 2, "B"),  // replaces what the group wrote
       Write().append(3, 2, "C")});
  const Contents found = world_->reopened_contents();
  EXPECT_THAT(found.entries, ElementsAre(describe(entry(1, 1, "a")), describe(entry(2, 2, "B")),
                                         describe(entry(3, 2, "C"))));
  EXPECT_EQ(found.hard_state, (raft::HardState{.term = 2, .vote = 3, .commit = 0}));
}

TEST_P(LogStoreContract, ATruncationInsideAGroupRemovesWhatTheGroupWroteBeyond) {
  start();
  write_group(store(), {Write().append(1, 1).append(2, 1).append(3, 1).append(4, 1),
                        Write().append(2, 2, "last")});
  EXPECT_THAT(log(), ElementsAre(describe(entry(1, 1)), describe(entry(2, 2, "last"))));
}

TEST_P(LogStoreContract, TheLastHardStateCounts) {
  start();
  write(store(), Write().hard_state(1, 1));
  write(store(), Write().hard_state(2, 0));
  write(store(), Write().hard_state(2, 3));
  EXPECT_EQ(world_->reopen().hard_state, (raft::HardState{.term = 2, .vote = 3, .commit = 0}));
}

TEST_P(LogStoreContract, AHardStateWithoutEntriesLeavesTheLogAlone) {
  start();
  fill(store(), 3);
  write(store(), Write().hard_state(7, 2));
  const raft::Restored restored = world_->reopen();
  EXPECT_EQ(restored.last_index, 3);
  EXPECT_EQ(restored.hard_state.vote, 2);
}

TEST_P(LogStoreContract, EntriesWithoutAHardStateLeaveItAlone) {
  start();
  write(store(), Write().hard_state(3, 2));
  fill(store(), 3, 3);
  EXPECT_EQ(world_->reopen().hard_state, (raft::HardState{.term = 3, .vote = 2, .commit = 0}));
}

TEST_P(LogStoreContract, ACommitIndexAloneIsKeptWithTheNextWrite) {
  start();
  fill(store(), 3);
  write(store(), Write().hard_state(1, 1));
  write(store(), Write().hard_state(1, 1, 2));
  write(store(), Write().append(4, 1));
  world_->crash();
  const auto restored = store().recover();
  ASSERT_TRUE(restored) << restored.error();
  EXPECT_EQ(restored->hard_state, (raft::HardState{.term = 1, .vote = 1, .commit = 2}));
}

TEST_P(LogStoreContract, ACommitIndexAloneSurvivesACleanEnd) {
  start();
  fill(store(), 3);
  write(store(), Write().hard_state(1, 1));
  write(store(), Write().hard_state(1, 1, 3));
  EXPECT_EQ(world_->reopen().hard_state.commit, 3);
}

TEST_P(LogStoreContract, APersistWithNothingInItIsDone) {
  start();
  write_group(store(), {});
  write_group(store(), {Write(), Write()});
  write_group(store(), {Write(), Write().append(1, 1), Write()});
  EXPECT_THAT(log(), SizeIs(1));
}

TEST_P(LogStoreContract, ReadStopsAtTheByteLimitButDeliversAtLeastOneEntry) {
  start();
  const std::string payload(100, 'x');
  for (raft::Index index = 1; index <= 10; ++index) {
    write(store(), Write().append(index, 1, payload));
  }
  const size_t each = entry(1, 1, payload).bytes();
  EXPECT_THAT(read(store(), 1, 10, 0), SizeIs(1));
  EXPECT_THAT(read(store(), 1, 10, 1), SizeIs(1));
  EXPECT_THAT(read(store(), 1, 10, each), SizeIs(1));
  EXPECT_THAT(read(store(), 1, 10, 3 * each), SizeIs(3));
  EXPECT_THAT(read(store(), 1, 10, 4 * each - 1), SizeIs(3));
  EXPECT_THAT(read(store(), 1, 10, 100 * each), SizeIs(10));
}

TEST_P(LogStoreContract, ReadDeliversExactlyTheRangeAndAppendsToWhatIsThere) {
  start();
  fill(store(), 9);
  std::vector<raft::Entry> out = {entry(77, 7)};
  store().read(3, 5, SIZE_MAX, out);
  EXPECT_THAT(describe(out), ElementsAre(describe(entry(77, 7)), describe(entry(3, 1)),
                                         describe(entry(4, 1)), describe(entry(5, 1))));
  EXPECT_THAT(describe(read(store(), 9, 9)), ElementsAre(describe(entry(9, 1))));
}

TEST_P(LogStoreContract, TermsAndTheirStartsAreRestored) {
  start();
  write(store(), Write().append(1, 1).append(2, 1).append(3, 4).append(4, 4).append(5, 9));
  const raft::Restored restored = world_->reopen();
  EXPECT_THAT(restored.term_starts, ElementsAre(raft::TermStart{.term = 1, .first_index = 1},
                                                raft::TermStart{.term = 4, .first_index = 3},
                                                raft::TermStart{.term = 9, .first_index = 5}));
  EXPECT_EQ(restored.last_time_us, time_of(5));
}

TEST_P(LogStoreContract, StatsTellTheExtentAndTheBytes) {
  start();
  fill(store(), 4);
  EXPECT_EQ(store().stats().first_index, 1);
  EXPECT_EQ(store().stats().last_index, 4);
  write(store(), Write().append(5, 1, std::string(1 << 20, 'x')));
  EXPECT_GT(store().stats().bytes_on_disk, 1 << 20);
  world_->reopen();
  EXPECT_EQ(store().stats().last_index, 5);
}

TEST_P(LogStoreContract, AManyTimesReopenedStoreForgetsNothing) {
  start();
  for (raft::Index index = 1; index <= 8; ++index) {
    write(store(), Write().hard_state(index, 1).append(index, index, std::string(20'000, 'x')));
    const raft::Restored restored = world_->reopen();
    EXPECT_EQ(restored.last_index, index);
    EXPECT_EQ(restored.hard_state.term, index);
  }
}

TEST_P(LogStoreContract, WrittenWorkSurvivesACrash) {
  start();
  write(store(), Write().hard_state(2, 1).append(1, 1).append(2, 2));
  world_->crash();
  const auto restored = store().recover();
  ASSERT_TRUE(restored) << restored.error();
  EXPECT_EQ(restored->last_index, 2);
  EXPECT_EQ(restored->hard_state.vote, 1);
}

// --- cutting the log
// ------------------------------------------------------------------------------

std::vector<std::string> entries_of(raft::Index first, raft::Index last, raft::Term term = 1) {
  std::vector<std::string> expected;
  for (raft::Index index = first; index <= last; ++index) {
    expected.push_back(describe(entry(index, term)));
  }
  return expected;
}

TEST_P(LogStoreContract, ACutDropsWhatIsBeforeItAndRecordsTheSnapshot) {
  start();
  write(store(), Write().append(1, 1).append(2, 1).append(3, 2).append(4, 2).append(5, 3));
  write(store(), Write().cut(4, 2, 4));
  EXPECT_EQ(store().stats().first_index, 4);
  EXPECT_THAT(describe(read(store(), 4, 5)),
              ElementsAre(describe(entry(4, 2)), describe(entry(5, 3))));
  const raft::Restored restored = world_->reopen();
  EXPECT_EQ(restored.first_index, 4);
  EXPECT_EQ(restored.base_term, 2);
  EXPECT_EQ(restored.last_index, 5);
  EXPECT_EQ(restored.snapshot, snapshot(4, 2));
  EXPECT_THAT(restored.term_starts, ElementsAre(raft::TermStart{.term = 2, .first_index = 4},
                                                raft::TermStart{.term = 3, .first_index = 5}));
  EXPECT_EQ(restored.lost_up_to, 0);
  EXPECT_THAT(contents(store(), restored).entries,
              ElementsAre(describe(entry(4, 2)), describe(entry(5, 3))));
}

TEST_P(LogStoreContract, ACutMayKeepATailBeforeTheSnapshotOrNothingAtAll) {
  start();
  fill(store(), 9);
  write(store(), Write().cut(8, 1, 3));
  EXPECT_EQ(log(), entries_of(3, 9));
  write(store(), Write().cut(9, 1, 10));
  const raft::Restored restored = world_->reopen();
  EXPECT_EQ(restored.first_index, 10);
  EXPECT_EQ(restored.last_index, 9);
  EXPECT_EQ(restored.base_term, 1);
  EXPECT_EQ(restored.last_time_us, time_of(9)) << "the snapshot's";
  EXPECT_THAT(restored.term_starts, IsEmpty());
  EXPECT_EQ(store().stats().first_index, 0);
  EXPECT_EQ(store().stats().last_index, 9);
  write(store(), Write().append(10, 4));
  EXPECT_EQ(log(), entries_of(10, 10, 4));
}

TEST_P(LogStoreContract, AnEarlierCutIsNotUndone) {
  start();
  fill(store(), 9);
  write(store(), Write().cut(6, 1, 5));
  write(store(), Write().cut(8, 1, 2));
  const raft::Restored restored = world_->reopen();
  EXPECT_EQ(restored.first_index, 5);
  EXPECT_EQ(restored.snapshot.index, 8);
}

TEST_P(LogStoreContract, ACutAndTheEntriesOfItsPersistAreOneWrite) {
  start();
  fill(store(), 5);
  write_group(store(), {Write().append(6, 1), Write().hard_state(3, 2).cut(5, 1, 4).append(6, 3),
                        Write().append(7, 3)});
  const Contents found = world_->reopened_contents();
  EXPECT_EQ(found.first_index, 4);
  EXPECT_EQ(found.hard_state.term, 3);
  EXPECT_THAT(found.entries, ElementsAre(describe(entry(4, 1)), describe(entry(5, 1)),
                                         describe(entry(6, 3)), describe(entry(7, 3))));
}

// A follower is sent entries and a snapshot that agrees with them at once.
TEST_P(LogStoreContract, ASnapshotMayStandForEntriesOfItsOwnWrite) {
  start();
  fill(store(), 5);
  write(store(), Write().append(5, 2).append(6, 2).append(7, 2).cut(6, 2, 3));
  EXPECT_EQ(store().stats().first_index, 3);
  const Contents found = world_->reopened_contents();
  EXPECT_EQ(found.first_index, 3);
  EXPECT_THAT(found.entries,
              ElementsAre(describe(entry(3, 1)), describe(entry(4, 1)), describe(entry(5, 2)),
                          describe(entry(6, 2)), describe(entry(7, 2))));
  write(store(), Write().append(8, 2).append(9, 3).cut(9, 3, 8));
  const raft::Restored restored = world_->reopen();
  EXPECT_EQ(restored.snapshot, snapshot(9, 3));
  EXPECT_EQ(restored.first_index, 8);
  EXPECT_EQ(restored.base_term, 2);
}

TEST_P(LogStoreContract, AnInstalledSnapshotBeginsTheLogAnewBehindIt) {
  start();
  fill(store(), 5);
  write(store(), Write().install(100, 7));
  raft::Restored restored = world_->reopen();
  EXPECT_EQ(restored.first_index, 101);
  EXPECT_EQ(restored.last_index, 100);
  EXPECT_EQ(restored.base_term, 7);
  EXPECT_EQ(restored.snapshot, snapshot(100, 7));
  EXPECT_EQ(restored.last_time_us, time_of(100));
  write(store(), Write().append(101, 7).append(102, 8));
  restored = world_->reopen();
  EXPECT_EQ(restored.last_index, 102);
  EXPECT_THAT(contents(store(), restored).entries,
              ElementsAre(describe(entry(101, 7)), describe(entry(102, 8))));
}

TEST_P(LogStoreContract, AnInstalledSnapshotThatContradictsTheLogLeavesNothingOfIt) {
  start();
  fill(store(), 20);
  write(store(), Write().hard_state(2, 0).install(10, 2).append(11, 2, "new"));
  const Contents found = world_->reopened_contents();
  EXPECT_EQ(found.first_index, 11);
  EXPECT_THAT(found.entries, ElementsAre(describe(entry(11, 2, "new"))));
  write(store(), Write().append(12, 2, "newer"));
  EXPECT_THAT(log(), ElementsAre(describe(entry(11, 2, "new")), describe(entry(12, 2, "newer"))));
}

TEST_P(LogStoreContract, AnInstallInsideAGroupDropsWhatTheGroupWroteBefore) {
  start();
  fill(store(), 3);
  write_group(store(), {Write().append(4, 1).append(5, 1).append(6, 1), Write().install(4, 2)});
  EXPECT_THAT(log(), IsEmpty());
  EXPECT_EQ(store().stats().last_index, 4);
}

TEST_P(LogStoreContract, TheNewestSnapshotAndTheOneBeforeAreRecorded) {
  start();
  EXPECT_THAT(store().snapshots(), IsEmpty());
  fill(store(), 9);
  write(store(), Write().cut(3, 1, 1));
  write(store(), Write().cut(5, 1, 1));
  write(store(), Write().cut(5, 1, 2));  // told again
  EXPECT_THAT(store().snapshots(), ElementsAre(snapshot(5, 1), snapshot(3, 1)));
  write(store(), Write().cut(9, 1, 4));
  world_->reopen();
  EXPECT_THAT(store().snapshots(), ElementsAre(snapshot(9, 1), snapshot(5, 1)));
  write(store(), Write().install(50, 6));
  world_->reopen();
  EXPECT_THAT(store().snapshots(), ElementsAre(snapshot(50, 6), snapshot(9, 1)));
}

TEST_P(LogStoreContract, MembershipsOfTheLogAreRestored) {
  start();
  write(store(), Write().append(membership_entry(1, 1, 70)).append(2, 1));
  write(store(), Write().append(membership_entry(3, 1, 71)).append(4, 1));
  write(store(), Write().append(membership_entry(5, 1, 72)).append(6, 1));
  write(store(), Write().append(5, 2));  // a membership that is taken back
  write(store(), Write().cut(2, 1, 2));
  const raft::Restored restored = world_->reopen();
  EXPECT_THAT(restored.memberships,
              ElementsAre(raft::MembershipAt{.index = 3, .membership = membership(71)}));
}

TEST_P(LogStoreContract, ACutIsDurable) {
  start();
  fill(store(), 9);
  write(store(), Write().cut(7, 1, 6));
  world_->crash();
  const auto restored = store().recover();
  ASSERT_TRUE(restored) << restored.error();
  EXPECT_EQ(restored->first_index, 6);
  EXPECT_EQ(restored->snapshot.index, 7);
}

TEST_P(LogStoreContract, BytesStayBoundedUnderEndlessWriting) {
  constexpr raft::Index kCount = 6000;  // of 4000 bytes: 24 MB
  constexpr raft::Index kTail = 50;
  start();
  uint64_t most = 0;
  for (raft::Index index = 1; index <= kCount; ++index) {
    write(store(), Write().append(index, 1, std::string(4000, 'x')));
    if (index % 100 == 0) write(store(), Write().cut(index, 1, index - kTail));
    if (index % 100 == 99) most = std::max(most, store().stats().bytes_on_disk);
  }
  // Write-ahead logs, spares, table files that hold the cut: a few times the 1 MB memtable.
  EXPECT_LT(most, 12 << 20);
  const raft::Restored restored = world_->reopen();
  EXPECT_EQ(restored.first_index, kCount - kTail);
  EXPECT_EQ(restored.last_index, kCount);
  EXPECT_EQ(read(store(), kCount - kTail, kCount).size(), kTail + 1);
}

// --- damage
// ---------------------------------------------------------------------------------------

TEST_P(LogStoreContract, ADamagedEntryEmptiesTheLogAndIsTold) {
  start();
  fill(store(), 9);
  write(store(), Write().hard_state(5, 3, 8));
  world_->damage_and_restart(4);
  raft::Restored restored = *store().recover();
  EXPECT_THAT(store().damage(), testing::HasSubstr("log entry 4"));
  EXPECT_EQ(restored.lost_up_to, 9);
  EXPECT_EQ(restored.first_index, 1);
  EXPECT_EQ(restored.last_index, 0);
  EXPECT_EQ(restored.hard_state, (raft::HardState{.term = 5, .vote = 3, .commit = 0}));
  EXPECT_THAT(contents(store(), restored).entries, IsEmpty());
}

TEST_P(LogStoreContract, ADamagedLogBeginsBehindTheNewestSnapshot) {
  start();
  fill(store(), 9);
  write(store(), Write().hard_state(1, 1, 8).cut(6, 1, 5));
  world_->damage_and_restart(8);
  const raft::Restored restored = *store().recover();
  EXPECT_EQ(restored.snapshot, snapshot(6, 1));
  EXPECT_EQ(restored.first_index, 7);
  EXPECT_EQ(restored.last_index, 6);
  EXPECT_EQ(restored.base_term, 1);
  EXPECT_EQ(restored.last_time_us, time_of(6));
  EXPECT_EQ(restored.lost_up_to, 9);
  EXPECT_EQ(restored.hard_state.commit, 6);
}

TEST_P(LogStoreContract, WhatWasLostIsRememberedUntilTheLogHasReachedItAgain) {
  start();
  fill(store(), 9);
  world_->damage_and_restart(9);
  ASSERT_TRUE(store().recover());
  EXPECT_EQ(world_->reopen().lost_up_to, 9) << "an emptied log lost its memory";
  EXPECT_THAT(store().damage(), IsEmpty()) << "it is told once";
  for (raft::Index index = 1; index <= 8; ++index) {
    write(store(), Write().append(index, 2, "again"));
    const raft::Restored restored = world_->reopen();
    EXPECT_EQ(restored.lost_up_to, 9);
    EXPECT_EQ(restored.last_index, index);
  }
  write(store(), Write().append(9, 2, "again"));
  EXPECT_EQ(world_->reopen().lost_up_to, 0);
  write(store(), Write().append(4, 3));
  EXPECT_EQ(world_->reopen().lost_up_to, 0) << "what was once reached was not lost";
}

TEST_P(LogStoreContract, AnInstalledSnapshotMayCoverWhatWasLost) {
  start();
  fill(store(), 9);
  world_->damage_and_restart(2);
  ASSERT_TRUE(store().recover());
  write(store(), Write().install(8, 2));
  EXPECT_EQ(world_->reopen().lost_up_to, 9);
  write(store(), Write().install(9, 2));
  EXPECT_EQ(world_->reopen().lost_up_to, 0);
}

TEST_P(LogStoreContract, DamageInTheSecondLifeOfADamagedLogForgetsNothing) {
  start();
  fill(store(), 9);
  world_->damage_and_restart(2);
  ASSERT_TRUE(store().recover());
  write(store(), Write().append(1, 2).append(2, 2).append(3, 2));
  world_->damage_and_restart(3);
  const raft::Restored restored = *store().recover();
  EXPECT_EQ(restored.lost_up_to, 9);
  EXPECT_EQ(restored.last_index, 0);
}

TEST_P(LogStoreContract, ADiscardedLogIsEmptyFromItsBeginningAndRemembersWhatItHeld) {
  start();
  fill(store(), 9);
  write(store(), Write().hard_state(4, 2, 9).cut(8, 1, 6));
  world_->reopen();
  const auto discarded = store().discard_log();
  ASSERT_TRUE(discarded) << discarded.error();
  const auto again = store().recover();
  ASSERT_TRUE(again) << again.error();
  for (const raft::Restored& restored : {*again, world_->reopen()}) {
    EXPECT_EQ(restored.lost_up_to, 9);
    EXPECT_EQ(restored.first_index, 1);
    EXPECT_EQ(restored.last_index, 0);
    EXPECT_EQ(restored.snapshot.index, 0);
    EXPECT_EQ(restored.hard_state, (raft::HardState{.term = 4, .vote = 2, .commit = 0}));
  }
  EXPECT_THAT(store().snapshots(), IsEmpty());
  write(store(), Write().append(1, 5, "anew"));
  EXPECT_THAT(log(), ElementsAre(describe(entry(1, 5, "anew"))));
}

// --- a full disk
// ----------------------------------------------------------------------------------

TEST_P(LogStoreContract, AFullDiskRefusesAWriteWhichSucceedsOnceThereIsRoom) {
  start();
  write(store(), Write().hard_state(1, 1).append(1, 1, "before"));
  world_->set_disk_full(true);
  const Write more = Write().hard_state(2, 2).append(2, 2, "waits");
  const raft::Persist* group[] = {&more.get()};
  // A store looks at the room on its disk now and then only (each 200 ms at the latest, or each
  // MiB).
  const auto looked_by = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  auto refused = store().write(group);
  while (refused && std::chrono::steady_clock::now() < looked_by) refused = store().write(group);
  ASSERT_FALSE(refused) << "a full disk took every write for two seconds";
  EXPECT_TRUE(refused.error().disk_full) << refused.error().text;
  EXPECT_THAT(describe(read(store(), 1, 1)), ElementsAre(describe(entry(1, 1, "before"))));
  EXPECT_TRUE(store().disk_full());
  world_->set_disk_full(false);
  EXPECT_TRUE(store().write(group));
  EXPECT_FALSE(store().disk_full());
  EXPECT_THAT(log(), ElementsAre(describe(entry(1, 1, "before")), describe(entry(2, 2, "waits"))));
}

class LogStoreContractDeathTest : public LogStoreContract {
 protected:
  LogStoreContractDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

INSTANTIATE_TEST_SUITE_P(Stores, LogStoreContractDeathTest,
                         testing::Values(Kind{"RocksDb", [] { return rocks_world(); }},
                                         Kind{"Memory", [] { return memory_world(); }}),
                         [](const auto& kind) { return kind.param.name; });

TEST_P(LogStoreContractDeathTest, AGapInTheLogIsAProgrammersMistake) {
  start();
  fill(store(), 2);
  EXPECT_DEATH(write(store(), Write().append(4, 1)), "ends at 2 and the next entry is 4");
  EXPECT_DEATH(write(store(), Write().append(3, 1).append(5, 1)), "entry 5 .* behind entry 3");
}

TEST_P(LogStoreContractDeathTest, AFallingTermIsAProgrammersMistake) {
  start();
  write(store(), Write().append(1, 3));
  EXPECT_DEATH(write(store(), Write().append(2, 2)), "entry 2 of term 2 .* of term 3");
  EXPECT_DEATH(write(store(), Write().append(2, 5).append(3, 4)), "entry 3 of term 4 .* of term 5");
}

TEST_P(LogStoreContractDeathTest, AnEntryThatIsNotThereCannotBeRead) {
  start();
  fill(store(), 2);
  EXPECT_DEATH(read(store(), 2, 3), "3");
  EXPECT_DEATH(read(store(), 0, 1), "entries 0 to 1 were asked for");
}

TEST_P(LogStoreContractDeathTest, WhatWasCutOffCannotBeReadOrWritten) {
  start();
  fill(store(), 9);
  write(store(), Write().cut(8, 1, 6));
  EXPECT_DEATH(read(store(), 5, 7), "the log.* begins at 6");
  EXPECT_DEATH(write(store(), Write().append(5, 2)), "a log that begins at 6");
}

TEST_P(LogStoreContractDeathTest, ACutThatDoesNotFitIsAProgrammersMistake) {
  start();
  fill(store(), 5);
  EXPECT_DEATH(write(store(), Write().cut(4, 1, 6)), "begin at 6 behind a snapshot at 4");
  EXPECT_DEATH(write(store(), Write().cut(6, 1, 3)), "snapshot at 6 .* which has 1 to 5");
  EXPECT_DEATH(write(store(), Write().cut(4, 2, 3)), "at 4 has term 2, but the entry has term 1");
  write(store(), Write().cut(4, 1, 3));
  EXPECT_DEATH(write(store(), Write().cut(3, 1, 3)), "snapshot at 3 was to follow one at 4");
  EXPECT_DEATH(write(store(), Write().install(3, 1)), "snapshot at 3 was to follow one at 4");
}

TEST_P(LogStoreContractDeathTest, ALogIsNotDiscardedOnceItIsWritten) {
  start();
  fill(store(), 1);
  EXPECT_DEATH((void)store().discard_log(), "between recover.. and the first write");
}

TEST_P(LogStoreContractDeathTest, NothingIsWrittenBeforeRecovery) {
  EXPECT_DEATH(write(store(), Write().append(1, 1)), "before recover");
}

}  // namespace
}  // namespace raftkv::storage
