// A node whose log was damaged: until it has again what it may have acknowledged, it takes part in
// nothing that could vote that away.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/raft/cluster.h"

namespace raftkv::raft::test {
namespace {

using testing::SizeIs;

const std::vector<NodeId> kThree = {1, 2, 3};

// Node 1 had entries 1 to 3, and lost them.
Host damaged() {
  Host host(options_for(1, kThree), kStart, {1, 1, 2}, {.term = 2, .vote = 0, .commit = 2});
  host.disk().lose_log();
  host.restart();
  EXPECT_TRUE(host->status().repairing);
  EXPECT_EQ(host->last_index(), 0U);
  return host;
}

Append append(Index prev, Term prev_term, const std::vector<Term>& terms, Index commit = 0) {
  return {.prev_index = prev,
          .prev_term = prev_term,
          .commit = commit,
          .entries = entries_of(terms, prev + 1)};
}

TEST(Repair, GivesNoVotes) {
  Host host = damaged();
  host.advance(2 * kTimeout);
  host.take_sent();
  for (const bool pre : {true, false}) {
    host.hears(2, 5, VoteRequest{.pre = pre, .last_index = 9, .last_term = 4});
    EXPECT_FALSE(host.take<VoteReply>(2).at(0).granted) << pre;
  }
  EXPECT_EQ(host->term(), 5U) << "but terms spread";
  EXPECT_EQ(host->status().vote, 0U);
}

TEST(Repair, DoesNotCampaign) {
  Host host = damaged();
  for (int i = 0; i < 5; i++) {
    host.advance_to_deadline();
    EXPECT_EQ(host->role(), Role::kFollower);
  }
  EXPECT_EQ(host.take_sent().size(), 0U);
  host.hears(2, 2, Heartbeat{.round = 1});
  host.hears(2, 2, TimeoutNow{});
  EXPECT_EQ(host->role(), Role::kFollower) << "not even on its leader's word";
}

TEST(Repair, OfAGroupOfOneWaits) {
  Host host(options_for(1, {1}), kStart, {1, 1}, {.term = 1, .vote = 1, .commit = 2});
  host.disk().lose_log();
  host.restart();
  host.advance(10 * kTimeout);
  EXPECT_EQ(host->role(), Role::kFollower);
}

TEST(Repair, AnswersAppendsTruthfully) {
  Host host = damaged();
  host.hears(2, 2, append(3, 2, {2}));
  const AppendReply refusal = host.take<AppendReply>(2).at(0);
  EXPECT_FALSE(refusal.accepted);
  EXPECT_EQ(refusal.hint_index, 0U);
  host.hears(2, 2, append(0, 0, {1, 1}));
  EXPECT_EQ(host.take<AppendReply>(2).at(0).match, 2U);
}

TEST(Repair, TakesACommitIndexBeyondItsLogAsFarAsItGoes) {
  Host host = damaged();
  host.hears(2, 2, append(0, 0, {1, 1}));
  host.hears(2, 2, Heartbeat{.commit = 3, .round = 1});
  EXPECT_EQ(host->commit_index(), 2U);
}

TEST(Repair, EndsWhenTheLostIndexIsDurableAgain) {
  Host host = damaged();
  host.hears(2, 3, append(0, 0, {1, 1}));
  EXPECT_TRUE(host->status().repairing);
  host.set_autosync(false);
  host.hears(2, 3, append(2, 1, {2}));
  EXPECT_TRUE(host->status().repairing) << "there, but not durable";
  host.sync();
  EXPECT_FALSE(host->status().repairing);
  host.set_autosync(true);
  host.advance(2 * kTimeout);
  host.take_sent();
  host.hears(3, 9, VoteRequest{.last_index = 9, .last_term = 4});
  EXPECT_TRUE(host.take<VoteReply>(3).at(0).granted);
}

TEST(Repair, EndsWithASnapshotThatReachesFarEnough) {
  Host host = damaged();
  host.hears(2, 3, Heartbeat{.round = 1});
  ASSERT_TRUE(host.restore(snapshot_of(2, 1, members(kThree))));
  EXPECT_TRUE(host->status().repairing);
  ASSERT_TRUE(host.restore(snapshot_of(3, 2, members(kThree))));
  EXPECT_FALSE(host->status().repairing);
}

TEST(Repair, GoesOnAfterARestart) {
  Host host = damaged();
  host.hears(2, 3, append(0, 0, {1, 1}));
  host.restart();
  EXPECT_TRUE(host->status().repairing);
  EXPECT_EQ(host->last_index(), 2U);
}

TEST(RepairDeathTest, WhoLostSomethingUnawaresEndsTheProcess) {
  Host host(options_for(1, kThree), kStart, {1, 1}, {.term = 1, .vote = 0, .commit = 0});
  EXPECT_DEATH(host.hears(2, 1, Heartbeat{.commit = 3, .round = 1}), "the disk lost it");
}

// The leader of the same term believes that its follower has what it has lost.
TEST(Repair, ALeaderNoticesThatItsFollowerLostItsLog) {
  Cluster cluster(3);
  const NodeId leader = cluster.elect();
  const NodeId hurt = leader % 3 + 1;
  for (int i = 0; i < 5; i++) ASSERT_TRUE(cluster[leader].propose("x"));
  cluster.run(kHeartbeat);
  const Term term = cluster[leader]->term();
  cluster[hurt].disk().lose_log();
  cluster.restart(hurt);
  EXPECT_TRUE(cluster[hurt]->status().repairing);
  cluster.run(4 * kHeartbeat);
  EXPECT_FALSE(cluster[hurt]->status().repairing);
  EXPECT_THAT(cluster[hurt].commands(), SizeIs(5));
  EXPECT_EQ(cluster[leader]->term(), term);
  EXPECT_TRUE(cluster[leader]->is_leader());
}

TEST(Repair, ALeaderSendsASnapshotToAFollowerThatLostItsLog) {
  Cluster cluster(3);
  const NodeId leader = cluster.elect();
  const NodeId hurt = leader % 3 + 1;
  for (int i = 0; i < 5; i++) ASSERT_TRUE(cluster[leader].propose("x"));
  cluster.run(kHeartbeat);
  cluster[leader].compact();
  cluster[hurt].disk().lose_log();
  cluster.restart(hurt);
  cluster.run(4 * kHeartbeat);
  EXPECT_FALSE(cluster[hurt]->status().repairing);
  EXPECT_EQ(cluster[hurt]->snapshot_index(), cluster[leader]->snapshot_index());
}

// Acknowledged by leader and one follower, which loses it: the third must not be elected by it.
TEST(Repair, WhatWasAcknowledgedIsNotVotedAway) {
  Cluster cluster(3);
  const NodeId leader = cluster.elect();
  const NodeId hurt = leader % 3 + 1;
  const NodeId behind = hurt % 3 + 1;
  cluster.stop(behind);
  ASSERT_TRUE(cluster[leader].propose("acknowledged"));
  cluster.settle();
  ASSERT_THAT(cluster[leader].commands(), SizeIs(1));
  cluster.stop(leader);
  cluster[hurt].disk().lose_log();
  cluster.restart(hurt);
  cluster.resume(behind);
  EXPECT_EQ(cluster.elect(), 0U) << "the entry is on the stopped node only";
  cluster.resume(leader);
  ASSERT_NE(cluster.elect(), 0U);
  cluster.run(4 * kHeartbeat);
  for (NodeId id = 1; id <= 3; id++) {
    EXPECT_THAT(cluster[id].commands(), testing::ElementsAre("acknowledged"));
    EXPECT_FALSE(cluster[id]->status().repairing);
  }
}

}  // namespace
}  // namespace raftkv::raft::test
