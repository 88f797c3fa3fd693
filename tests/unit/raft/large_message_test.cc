// Messages that take longer on the network than an election timeout.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/raft/cluster.h"

namespace raftkv::raft::test {
namespace {

const std::vector<NodeId> kThree = {1, 2, 3};

TEST(LargeMessage, AFollowerDoesNotCampaignWhileItsLeadersMessageArrives) {
  Host host(options_for(1, kThree), kStart);
  host.hears(2, 1, Heartbeat{.round = 1});
  for (int i = 0; i < 100; i++) {
    host.advance(kTimeout / 2);
    host->receiving_from(2);
    host.pump();
  }
  EXPECT_EQ(host->role(), Role::kFollower);
  EXPECT_EQ(host->term(), 1U);
  EXPECT_GE(host->next_deadline(), host.now() + kTimeout);
}

TEST(LargeMessage, OnlyTheLeadersMessageCounts) {
  Host host(options_for(1, kThree), kStart);
  host.hears(2, 1, Heartbeat{.round = 1});
  const MonotonicUs deadline = host->next_deadline();
  host.advance(kTimeout / 2);
  host->receiving_from(3);
  EXPECT_EQ(host->next_deadline(), deadline);
}

TEST(LargeMessage, TheLeaderIsToldOnceAHeartbeatIntervalThatItsFollowerLives) {
  Host host(options_for(1, kThree), kStart);
  host.hears(2, 1, Heartbeat{.round = 7});
  host.take_sent();
  host.advance(host.options().heartbeat_us);
  for (int i = 0; i < 10; i++) host->receiving_from(2);
  host.pump();
  const auto answers = host.take<HeartbeatReply>(2);
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].round, 0U) << "it must confirm no round: reads and leases rest on those";
}

TEST(LargeMessage, ASignOfLifeKeepsTheLeaderInOfficeButGrantsNoRead) {
  Host host(options_for(1, kThree), kStart);
  host.become_leader();
  const uint64_t read = host.read();
  for (int i = 0; i < 10; i++) {
    host.advance(kTimeout / 2);
    host.hears(2, host->term(), HeartbeatReply{.round = 0, .last_index = 1});
  }
  EXPECT_EQ(host->role(), Role::kLeader);
  EXPECT_FALSE(host.granted(read));
}

}  // namespace
}  // namespace raftkv::raft::test
