// A log that begins behind a snapshot of this node's own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/raft/cluster.h"

namespace raftkv::raft::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

const std::vector<NodeId> kThree = {1, 2, 3};

Append append(Index prev, Term prev_term, const std::vector<Term>& terms, Index commit = 0) {
  return {.prev_index = prev,
          .prev_term = prev_term,
          .commit = commit,
          .entries = entries_of(terms, prev + 1)};
}

// Follower 1 of leader 2 in term 3, with entries 1 to 6 applied.
Host caught_up() {
  Host host(options_for(1, kThree), kStart);
  host.hears(2, 3, append(0, 0, {1, 1, 2, 2, 3, 3}, 6));
  EXPECT_EQ(host.applied_index(), 6U);
  host.take_sent();
  return host;
}

TEST(Compaction, GoesOutWithThePersistThatRecordsTheSnapshot) {
  Host host = caught_up();
  host.set_autosync(false);
  host->compact(5, 4);
  EXPECT_TRUE(host->has_ready());
  host.pump();
  ASSERT_THAT(host.disk().pending(), SizeIs(1));
  const auto& cut = host.disk().pending().front().cut;
  ASSERT_TRUE(cut);
  EXPECT_EQ(cut->snapshot.index, 5U);
  EXPECT_EQ(cut->snapshot.term, 3U);
  EXPECT_EQ(cut->snapshot.time_us, 5U);
  EXPECT_EQ(cut->snapshot.membership, members(kThree));
  EXPECT_EQ(cut->first_index, 4U);
  EXPECT_FALSE(cut->replaces_log);
  EXPECT_EQ(host->first_index(), 4U);
  EXPECT_EQ(host->snapshot_index(), 5U);
  EXPECT_EQ(host->status().first, 4U);
  EXPECT_EQ(host->status().snapshot_index, 5U);
}

TEST(Compaction, IsNeverUndoneAndNotRepeated) {
  Host host = caught_up();
  host.compact(5);
  host.set_autosync(false);
  host->compact(6, 3);
  EXPECT_FALSE(host->has_ready()) << "nothing new";
  EXPECT_EQ(host->first_index(), 5U);
  host.compact(7);
  EXPECT_EQ(host->first_index(), 7U) << "the same snapshot, but a later cut";
  EXPECT_THAT(host.disk().pending(), SizeIs(1));
}

TEST(Compaction, KeepsWhatIsNotDurableYet) {
  Host host(options_for(1, kThree), kStart);
  host.hears(2, 1, append(0, 0, {1, 1}, 2));
  host.set_autosync(false);
  host.hears(2, 1, append(2, 1, {1, 1}, 4));
  ASSERT_EQ(host.applied_index(), 4U);
  host.compact();
  EXPECT_EQ(host->snapshot_index(), 4U);
  EXPECT_EQ(host->first_index(), 3U);
  host.sync();
  host.compact();
  EXPECT_EQ(host->first_index(), 5U);
}

TEST(Compaction, SurvivesARestart) {
  Host host = caught_up();
  host.compact(5);
  host.restart();
  EXPECT_EQ(host->first_index(), 5U);
  EXPECT_EQ(host->snapshot_index(), 6U);
  EXPECT_EQ(host->commit_index(), 6U) << "a snapshot is committed";
  EXPECT_THAT(host.applied(), IsEmpty()) << "it stands for what was applied";
  host.hears(2, 3, append(6, 3, {3}, 7));
  EXPECT_EQ(host.applied_index(), 7U);
}

TEST(Compaction, OfTheWholeLogLeavesItsLastTermAndTime) {
  Host host = caught_up();
  host.compact();
  for (int i = 0; i < 2; i++) {
    EXPECT_EQ(host->first_index(), 7U);
    EXPECT_EQ(host->last_index(), 6U);
    EXPECT_EQ(host->last_time_us(), 6U);
    host.restart();
  }
  host.advance(2 * kTimeout);
  host.take_sent();
  host.hears(3, 9, VoteRequest{.last_index = 9, .last_term = 2});
  EXPECT_FALSE(host.take<VoteReply>().at(0).granted) << "the log still ends in term 3";
}

TEST(Compaction, ASnapshotStandsForTheMembershipInForceAtIt) {
  Host host(options_for(1, kThree), kStart);
  const Membership next = members({1, 2, 3}, {4});
  Append message = append(0, 0, {1, 1, 1, 1}, 4);
  message.entries[2] = membership_entry(1, 3, next);
  host.hears(2, 1, message);
  EXPECT_EQ(host->snapshot_meta(2).membership, members(kThree));
  EXPECT_EQ(host->snapshot_meta(3).membership, next);
  host.compact();
  EXPECT_EQ(host->membership(), (MembershipAt{3, next}));
  host.restart();
  EXPECT_EQ(host->membership().membership, next) << "although its entry is gone";
}

TEST(CompactionDeathTest, OfWhatIsNotAppliedOrBeyondTheSnapshotEndsTheProcess) {
  Host host = caught_up();
  EXPECT_DEATH(host->compact(7, 1), "what is applied ends at 6");
  EXPECT_DEATH(host->compact(4, 6), "for a snapshot at 4");
  host.compact();
  EXPECT_DEATH(host->compact(5, 1), "the newest one is at 6");
}

// --- appends that begin before the log ---------------------------------------------------------

TEST(Compaction, AnAppendFromBeforeItIsNotAppendedAgain) {
  Host host = caught_up();
  host.compact(5);
  const Index last = host->last_index();
  // Late, or of a leader that does not know where we are (RedisLabs/raft #49).
  host.hears(2, 3, append(0, 0, {1, 1, 2, 2, 3, 3, 3}, 7));
  EXPECT_EQ(host->last_index(), last + 1);
  EXPECT_EQ(host.take<AppendReply>(2).at(0).match, 7U);
  EXPECT_EQ(host.applied_index(), 7U);
  EXPECT_EQ(host.disk().first_index(), 5U);
  EXPECT_EQ(host.disk().last_index(), 7U);
}

TEST(Compaction, AnAppendThatEndsBeforeItIsAcceptedUpToWhatIsGone) {
  Host host = caught_up();
  host.compact();
  host.hears(2, 3, append(1, 1, {1, 2}));
  host.hears(2, 3, append(0, 0, {}));
  for (const AppendReply& reply : host.take<AppendReply>(2)) {
    EXPECT_TRUE(reply.accepted);
    EXPECT_EQ(reply.match, 6U) << "all of it is committed, so the leader has it as well";
  }
  EXPECT_EQ(host->last_index(), 6U);
}

TEST(Compaction, AnAppendThatFitsAtTheCutIsTaken) {
  Host host = caught_up();
  host.compact();
  host.hears(2, 3, append(6, 3, {3, 3}));
  EXPECT_EQ(host.take<AppendReply>(2).at(0).match, 8U);
}

TEST(Compaction, ARefusalPointsNoFurtherBackThanTheCut) {
  Host host = caught_up();
  host.compact(5);
  host.hears(2, 3, append(5, 3, {3, 3, 3}));
  host.hears(3, 5, append(9, 4, {}));
  const AppendReply reply = host.take<AppendReply>(3).at(0);
  EXPECT_FALSE(reply.accepted);
  EXPECT_EQ(reply.hint_index, 8U);
  host.hears(3, 5, append(8, 1, {}));
  EXPECT_EQ(host.take<AppendReply>(3).at(0).hint_index, 4U);
}

TEST(CompactionDeathTest, ALeaderThatContradictsWhatWasCompactedEndsTheProcess) {
  Host host = caught_up();
  host.compact();
  EXPECT_DEATH(host.hears(2, 3, append(6, 2, {})), "committed entry 6 with another term");
  EXPECT_DEATH(host.hears(2, 3, append(4, 2, {2, 2, 2})), "committed entry 6 with another term");
}

// --- a log on the disk that makes no sense -----------------------------------------------------

Restored restored_with_snapshot() {
  return {.hard_state = {.term = 3, .vote = 0, .commit = 0},
          .snapshot = snapshot_of(5, 2, members({1})),
          .first_index = 4,
          .base_term = 2,
          .last_index = 6,
          .last_time_us = 6,
          .term_starts = {{2, 4}, {3, 6}},
          .memberships = {},
          .lost_up_to = 0};
}

TEST(CompactionDeathTest, ADiskThatContradictsItselfEndsTheProcess) {
  FakeDisk disk;
  const auto start = [&](const Restored& restored) {
    Node node(options_for(1, {1}), restored, disk, kStart);
  };
  start(restored_with_snapshot());
  Restored gap = restored_with_snapshot();
  gap.first_index = 7;
  gap.last_index = 6;
  gap.term_starts = {};
  EXPECT_DEATH(start(gap), "the newest snapshot is at 5, the log goes from 7 to 6");
  Restored other = restored_with_snapshot();
  other.snapshot.term = 3;
  EXPECT_DEATH(start(other), "the snapshot at 5 has term 3, the log has 2");
  Restored hole = restored_with_snapshot();
  hole.term_starts = {{3, 6}};
  EXPECT_DEATH(start(hole), "do not cover the log from index 4");
}

}  // namespace
}  // namespace raftkv::raft::test
