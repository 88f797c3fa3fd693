// Handing over leadership (thesis 3.10).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/raft/cluster.h"

namespace raftkv::raft::test {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

Host three_with_leader_one() {
  Host host(options_for(1, {1, 2, 3}), kStart);
  host.become_leader();
  return host;
}

TEST(Transfer, TheTargetCampaignsAtOnceWithoutPreVote) {
  Host host(options_for(1, {1, 2, 3}), kStart);
  host.hears(2, 1, Heartbeat{.round = 1});
  host.take_sent();
  host.hears(2, 1, TimeoutNow{});
  EXPECT_EQ(host->role(), Role::kCandidate);
  EXPECT_EQ(host->term(), 2U);
  const auto requests = host.take<VoteRequest>();
  ASSERT_THAT(requests, SizeIs(2));
  EXPECT_FALSE(requests[0].pre);
  EXPECT_TRUE(requests[0].transfer);
}

TEST(Transfer, OnlyOurLeadersOrderCounts) {
  Host host(options_for(1, {1, 2, 3}), kStart);
  host.hears(2, 3, Heartbeat{.round = 1});
  host.hears(3, 3, TimeoutNow{});
  host.hears(2, 2, TimeoutNow{});
  EXPECT_EQ(host->role(), Role::kFollower);
  EXPECT_EQ(host->term(), 3U);
}

TEST(Transfer, WaitsUntilTheTargetHasEverything) {
  Host host = three_with_leader_one();
  ASSERT_TRUE(host.propose("a"));
  host.take_sent();
  ASSERT_TRUE(host->transfer(3));
  host.pump();
  EXPECT_THAT(host.take<TimeoutNow>(), IsEmpty());
  host.hears(2, 1, AppendReply{.accepted = true, .match = 2});
  EXPECT_THAT(host.take<TimeoutNow>(), IsEmpty());
  host.hears(3, 1, AppendReply{.accepted = true, .match = 2});
  EXPECT_THAT(host.take<TimeoutNow>(3), SizeIs(1));
}

TEST(Transfer, WithoutANameGoesToTheMostCaughtUpPeer) {
  Host host = three_with_leader_one();
  ASSERT_TRUE(host.propose("a"));
  host.hears(3, 1, AppendReply{.accepted = true, .match = 2});
  host.take_sent();
  ASSERT_TRUE(host->transfer(0));
  host.pump();
  EXPECT_EQ(host->status().transfer_target, 3U);
  EXPECT_THAT(host.take<TimeoutNow>(3), SizeIs(1));
}

TEST(Transfer, RefusesProposalsMeanwhile) {
  Host host = three_with_leader_one();
  ASSERT_TRUE(host->transfer(2));
  EXPECT_EQ(host.propose("x"), std::unexpected(ProposeError::kTransferring));
}

TEST(Transfer, ThatFailsEndsAfterOneTimeoutAndProposalsGoOn) {
  Host host = three_with_leader_one();
  ASSERT_TRUE(host->transfer(2));
  const MonotonicUs end = host.now() + kTimeout;
  while (host.now() < end) {
    ASSERT_LE(host->next_deadline(), end);
    EXPECT_FALSE(host.propose("x"));
    host.advance_to_deadline();
    for (NodeId id : {2, 3}) host.hears(id, 1, HeartbeatReply{.round = 1, .last_index = 1});
  }
  EXPECT_EQ(host->role(), Role::kLeader);
  EXPECT_EQ(host->status().transfer_target, 0U);
  EXPECT_TRUE(host.propose("x"));
  EXPECT_TRUE(host->transfer(2)) << "and may be tried again";
}

TEST(Transfer, IsNotPossibleToOneselfToStrangersToTheSilentAndForFollowers) {
  Host host = three_with_leader_one();
  EXPECT_FALSE(host->transfer(1));
  EXPECT_FALSE(host->transfer(9));
  host.advance(kTimeout - 1);
  host.hears(2, 1, HeartbeatReply{.round = 1});
  host.advance(1);
  ASSERT_EQ(host->role(), Role::kLeader);
  EXPECT_FALSE(host->transfer(3));
  EXPECT_TRUE(host->transfer(0));
  EXPECT_EQ(host->status().transfer_target, 2U);
  EXPECT_FALSE(host->transfer(3)) << "one at a time";
  Host follower(options_for(1, {1, 2, 3}), kStart);
  EXPECT_FALSE(follower->transfer(2));
  Host alone(options_for(1, {1}), kStart);
  alone.pump();
  EXPECT_FALSE(alone->transfer(0));
}

TEST(Transfer, MovesALeaderWithoutWaitingForTimeouts) {
  Cluster cluster(5);
  const NodeId first = cluster.elect();
  ASSERT_TRUE(cluster[first].propose("a"));
  const NodeId target = first % 5 + 1;
  ASSERT_TRUE(cluster[first]->transfer(target));
  cluster.settle();
  EXPECT_EQ(cluster.leader(), target);
  EXPECT_FALSE(cluster[first]->is_leader());
  EXPECT_TRUE(cluster[target].propose("b"));
  cluster.settle();
  EXPECT_THAT(cluster[target].commands(), testing::ElementsAre("a", "b"));
}

TEST(Transfer, ToANodeThatDiesLeavesTheOldLeader) {
  Cluster cluster(3);
  const NodeId first = cluster.elect();
  const NodeId target = first % 3 + 1;
  cluster.stop(target);
  ASSERT_TRUE(cluster[first]->transfer(target));
  cluster.run(2 * kTimeout);
  EXPECT_EQ(cluster.leader(), first);
  EXPECT_TRUE(cluster[first].propose("a"));
}

}  // namespace
}  // namespace raftkv::raft::test
