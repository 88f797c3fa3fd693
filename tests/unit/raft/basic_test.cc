// The life of a healthy group.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/raft/cluster.h"

namespace raftkv::raft::test {
namespace {

TEST(Group, OfOneLeadsAtOnceAndCommitsAfterItsOwnSync) {
  Host host(options_for(1, {1}), kStart);
  host.set_autosync(false);
  host.pump();
  EXPECT_EQ(host->role(), Role::kCandidate) << "its own vote is not durable yet";
  host.sync();
  EXPECT_EQ(host->role(), Role::kLeader);
  EXPECT_EQ(host->commit_index(), 0U) << "its no-op is not durable yet";
  host.sync();
  EXPECT_EQ(host->commit_index(), 1U);
  ASSERT_EQ(host.propose("a"), 2U);
  EXPECT_EQ(host->commit_index(), 1U);
  host.sync();
  EXPECT_THAT(host.commands(), testing::ElementsAre("a"));
}

TEST(Group, OfThreeElectsReplicatesAndCommits) {
  Cluster cluster(3);
  const NodeId leader = cluster.elect();
  ASSERT_NE(leader, 0U);
  ASSERT_TRUE(cluster[leader].propose("a"));
  ASSERT_TRUE(cluster[leader].propose("b"));
  cluster.run(2 * kHeartbeat);
  for (NodeId id = 1; id <= 3; id++) {
    EXPECT_THAT(cluster[id].commands(), testing::ElementsAre("a", "b"));
    EXPECT_EQ(cluster[id]->leader(), leader);
  }
}

TEST(Group, OfFiveGoesOnWithTwoDown) {
  Cluster cluster(5);
  const NodeId first = cluster.elect();
  ASSERT_TRUE(cluster[first].propose("a"));
  cluster.settle().stop(first).stop(first % 5 + 1);
  const NodeId second = cluster.elect();
  ASSERT_NE(second, 0U);
  ASSERT_NE(second, first);
  ASSERT_TRUE(cluster[second].propose("b"));
  cluster.settle();
  EXPECT_THAT(cluster[second].commands(), testing::ElementsAre("a", "b"));
  cluster.resume(first).run(kTimeout);
  EXPECT_THAT(cluster[first].commands(), testing::ElementsAre("a", "b"));
}

TEST(Group, SurvivesARestartOfAllAtOnce) {
  Cluster cluster(3);
  const NodeId leader = cluster.elect();
  ASSERT_TRUE(cluster[leader].propose("a"));
  cluster.settle();
  for (NodeId id = 1; id <= 3; id++) cluster.restart(id);
  const NodeId next = cluster.elect();
  ASSERT_NE(next, 0U);
  cluster.settle();
  EXPECT_THAT(cluster[next].commands(), testing::ElementsAre("a"));
}

TEST(Group, StaysWithItsLeaderWhileAllIsWell) {
  Cluster cluster(5);
  const NodeId leader = cluster.elect();
  const Term term = cluster[leader]->term();
  cluster.run(100 * kTimeout);
  EXPECT_EQ(cluster.leader(), leader);
  EXPECT_EQ(cluster[leader]->term(), term);
}

}  // namespace
}  // namespace raftkv::raft::test
