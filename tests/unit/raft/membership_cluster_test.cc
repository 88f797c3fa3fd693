// Whole groups whose members come and go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/raft/cluster.h"

namespace raftkv::raft::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Kind = MemberChange::Kind;

std::vector<NodeId> voters(Cluster& cluster, NodeId of) {
  return cluster[of]->membership().membership.voters;
}

TEST(GroupOfMembers, GrowsFromOneToThree) {
  Cluster cluster(1);
  cluster.elect();
  ASSERT_TRUE(cluster[1].propose("a"));
  cluster.settle();
  for (NodeId id : {2, 3}) {
    ASSERT_EQ(cluster.join(), id);
    cluster.change({{Kind::kAddLearner, id}}).run(kHeartbeat);
    EXPECT_EQ(cluster[id].applied_index(), cluster[1].applied_index());
    cluster.change({{Kind::kPromote, id}}).run(kHeartbeat);
  }
  EXPECT_THAT(voters(cluster, 3), ElementsAre(1, 2, 3));
  cluster.stop(1);
  const NodeId next = cluster.elect();
  ASSERT_NE(next, 0U);
  ASSERT_TRUE(cluster[next].propose("b"));
  cluster.settle();
  EXPECT_THAT(cluster[next].commands(), ElementsAre("a", "b"));
}

TEST(GroupOfMembers, TakesInANodeThroughASnapshot) {
  Cluster cluster(3);
  const NodeId leader = cluster.elect();
  for (int i = 0; i < 5; i++) ASSERT_TRUE(cluster[leader].propose("x"));
  cluster.settle();
  cluster[leader].compact();
  const NodeId fourth = cluster.join();
  cluster.change({{Kind::kAddLearner, fourth}}).run(2 * kHeartbeat);
  EXPECT_EQ(cluster[fourth]->snapshot_index(), cluster[leader]->snapshot_index());
  EXPECT_EQ(cluster[fourth].applied_index(), cluster[leader].applied_index());
  EXPECT_EQ(cluster[fourth]->membership(), cluster[leader]->membership());
  cluster.restart(fourth).run(kHeartbeat);
  EXPECT_EQ(cluster[fourth]->membership().membership, cluster[leader]->membership().membership);
  EXPECT_EQ(cluster[fourth]->leader(), leader);
}

TEST(GroupOfMembers, IsReplacedWhollyWhileItServes) {
  Cluster cluster(3);
  cluster.elect();
  for (NodeId id : {4, 5, 6}) {
    ASSERT_EQ(cluster.join(), id);
    cluster.change({{Kind::kAddLearner, id}}).run(kHeartbeat);
  }
  ASSERT_TRUE(cluster[cluster.leader()].propose("a"));
  cluster.settle();
  cluster[cluster.leader()].change({{Kind::kPromote, 4},
                                    {Kind::kPromote, 5},
                                    {Kind::kPromote, 6},
                                    {Kind::kRemove, 1},
                                    {Kind::kRemove, 2},
                                    {Kind::kRemove, 3}});
  cluster.run(2 * kHeartbeat);
  const NodeId next = cluster.leader();
  EXPECT_GE(next, 4U) << "the old leader has handed over";
  EXPECT_THAT(voters(cluster, next), ElementsAre(4, 5, 6));
  cluster.stop(1).stop(2).stop(3);
  ASSERT_TRUE(cluster[next].propose("b"));
  cluster.settle();
  EXPECT_THAT(cluster[next].commands(), ElementsAre("a", "b"));
}

TEST(GroupOfMembers, GoesOnWithoutTheLeaderThatItRemoved) {
  Cluster cluster(3);
  const NodeId first = cluster.elect();
  cluster[first].change({{Kind::kRemove, first}});
  cluster.settle();
  const NodeId second = cluster.leader();
  ASSERT_NE(second, 0U);
  EXPECT_NE(second, first) << "at once, not after a timeout";
  cluster.run(kTimeout + kHeartbeat);
  EXPECT_FALSE(cluster[first]->is_leader());
  const Term term = cluster[second]->term();
  cluster.run(40 * kTimeout);
  EXPECT_EQ(cluster.leader(), second);
  EXPECT_EQ(cluster[second]->term(), term) << "the removed one disturbs nobody";
}

TEST(GroupOfMembers, OfTwoCanLoseEitherByRemoval) {
  for (const bool remove_the_leader : {false, true}) {
    Cluster cluster(2);
    const NodeId leader = cluster.elect();
    const NodeId other = 3 - leader;
    const NodeId stays = remove_the_leader ? other : leader;
    cluster[leader].change({{Kind::kRemove, 3 - stays}});
    cluster.run(2 * kTimeout);
    EXPECT_EQ(cluster.leader(), stays);
    EXPECT_TRUE(cluster[stays]->membership_settled());
    cluster.stop(3 - stays);
    ASSERT_TRUE(cluster[stays].propose("alone"));
    cluster.run(kTimeout);
    EXPECT_THAT(cluster[stays].commands(), ElementsAre("alone"));
  }
}

TEST(GroupOfMembers, TellsAFollowerThatItWasRemoved) {
  Cluster cluster(3);
  const NodeId leader = cluster.elect();
  const NodeId gone = leader % 3 + 1;
  cluster.change({{Kind::kRemove, gone}}).run(2 * kHeartbeat);
  EXPECT_TRUE(cluster[gone]->membership_settled());
  EXPECT_EQ(cluster[gone]->membership(), cluster[leader]->membership());
}

TEST(GroupOfMembers, IsNotDisturbedByOneThatDoesNotKnowThatItWasRemoved) {
  Cluster cluster(3);
  const NodeId leader = cluster.elect();
  const NodeId gone = leader % 3 + 1;
  cluster.stop(gone).change({{Kind::kRemove, gone}});
  cluster.run(20 * kTimeout).resume(gone);
  const Term term = cluster[leader]->term();
  cluster.run(40 * kTimeout);
  EXPECT_EQ(cluster.leader(), leader);
  EXPECT_EQ(cluster[leader]->term(), term);
}

TEST(GroupOfMembers, FinishesAChangeWhoseLeaderCrashed) {
  for (const bool with_the_second_entry : {false, true}) {
    Cluster cluster(3);
    const NodeId leader = cluster.elect();
    const NodeId removed = leader % 3 + 1;
    const NodeId other = removed % 3 + 1;
    if (with_the_second_entry) {
      // It commits the first entry and appends the second, which nobody gets.
      cluster.stop(removed);
      ASSERT_TRUE(cluster[leader].change({{Kind::kRemove, removed}}));
      for (const Message& message : cluster[leader].take_sent()) {
        if (message.to == other) cluster[other].hears(leader, message.term, message.body);
      }
      for (const Message& message : cluster[other].take_sent()) {
        if (message.to == leader) cluster[leader].hears(other, message.term, message.body);
      }
      ASSERT_FALSE(cluster[leader]->membership().membership.joint());
      ASSERT_TRUE(cluster[other]->membership().membership.joint());
    } else {
      ASSERT_TRUE(cluster[leader].change({{Kind::kRemove, removed}}));
      cluster.cut(other, leader).cut(removed, leader).settle();
    }
    cluster.heal().resume(removed).restart(leader).run(8 * kTimeout);
    const NodeId last = cluster.leader();
    ASSERT_NE(last, 0U);
    EXPECT_TRUE(cluster[last]->membership_settled());
    EXPECT_THAT(voters(cluster, last), testing::UnorderedElementsAre(leader, other));
  }
}

// Four nodes; two leaders in two terms each remove another one (Ongaro 2015; hydro #3192). With one
// member changed at a time and without the rule of the term's first commit both could succeed.
TEST(GroupOfMembers, TwoRemovalsByTwoLeadersDoNotBothSucceedApart) {
  Cluster cluster(4);
  cluster.make_leader(1);
  cluster.isolate(1);
  ASSERT_TRUE(cluster[1].change({{Kind::kRemove, 4}}));
  cluster.run(4 * kTimeout);
  const NodeId second = cluster.elect();
  ASSERT_NE(second, 0U);
  ASSERT_NE(second, 1U);
  cluster.change({{Kind::kRemove, 3}}).heal().run(4 * kTimeout);
  const NodeId leader = cluster.elect();
  ASSERT_NE(leader, 0U);
  cluster.run(4 * kTimeout);
  for (NodeId id : {1, 2, 4}) {
    EXPECT_THAT(voters(cluster, id), ElementsAre(1, 2, 4)) << "the change of node 1 is gone";
  }
}

// A leader that was cut off holds a change that a later leader replaces: it rolls back there.
TEST(GroupOfMembers, AChangeThatWasNeverCommittedIsRolledBackWhereItWas) {
  Cluster cluster(3);
  const NodeId first = cluster.elect();
  const NodeId fourth = cluster.join();
  cluster.isolate(first);
  ASSERT_TRUE(cluster[first].change({{Kind::kAddLearner, fourth}}));
  ASSERT_EQ(cluster[first]->membership().membership.learners, std::vector<NodeId>{fourth});
  ASSERT_NE(cluster.run(4 * kTimeout).elect(), 0U);
  cluster.heal().run(4 * kTimeout);
  EXPECT_THAT(cluster[first]->membership().membership.learners, IsEmpty());
}

}  // namespace
}  // namespace raftkv::raft::test
