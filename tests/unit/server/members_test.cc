// RAFT.MEMBERS and RAFT.TRANSFER as a client of the leader sees them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/one_node.h"

namespace raftkv {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kAddFour[] = "RAFT.MEMBERS ADD 4 127.0.0.1:7004 127.0.0.1:17004";

std::string role_of(test::OneNode& node, uint64_t id) {
  const server::Member* member = node.replica().member(id);
  return member ? server::member_role_text(member->role) : "none";
}

TEST(Members, AnAddedNodeVotesOnceItHasCaughtUp) {
  test::OneNode node({}, 3);
  test::Client client(node);
  node.silence_follower(4);
  EXPECT_EQ(client.call(kAddFour), "+OK\r\n");
  EXPECT_EQ(role_of(node, 4), "learner");
  ASSERT_EQ(node.told_members.size(), 4U);
  EXPECT_EQ(node.told_members[3].peer_port, 17004);
  test::OneNode other({}, 3);
  test::Client there(other);
  EXPECT_EQ(there.call(kAddFour), "+OK\r\n");
  other.settle();
  EXPECT_EQ(role_of(other, 4), "voter");
  EXPECT_EQ(there.call("SET a b"), "+OK\r\n");
}

TEST(Members, ALearnerIsPromotedByHandIfThatWasAskedFor) {
  test::OneNode node({}, 3);
  test::Client client(node);
  EXPECT_EQ(client.call(std::string(kAddFour) + " NOPROMOTE"), "+OK\r\n");
  node.settle();
  EXPECT_EQ(role_of(node, 4), "learner");
  EXPECT_EQ(client.call("RAFT.MEMBERS PROMOTE 4"), "+OK\r\n");
  EXPECT_EQ(role_of(node, 4), "voter");
  EXPECT_THAT(client.call("RAFT.MEMBERS PROMOTE 4"), StartsWith("-ERR node 4 (voter"));
  EXPECT_EQ(client.call("RAFT.MEMBERS REMOVE 4"), "+OK\r\n");
  EXPECT_EQ(role_of(node, 4), "none");
}

TEST(Members, AChangeIsAnsweredWhenItIsCommittedAndOthersGoOnMeanwhile) {
  test::OneNode node({}, 3);
  test::Client client(node);
  test::Client other(node);
  node.stop_followers_disks();
  EXPECT_FALSE(client.send(kAddFour));
  node.settle();
  EXPECT_EQ(client.take(), "");
  EXPECT_EQ(node.replica().blocked_count(), 1U);
  EXPECT_EQ(other.call("PING"), "+PONG\r\n");
  // One at a time.
  EXPECT_THAT(other.call("RAFT.MEMBERS REMOVE 3"), StartsWith("-TRYAGAIN another change"));
  node.wake_followers();
  node.pass_ms(60);
  node.settle();
  EXPECT_TRUE(client.may_resume_called());
  EXPECT_TRUE(client.send(kAddFour));
  EXPECT_EQ(client.take(), "+OK\r\n");
}

TEST(Members, AChangeWhoseLeaderIsLostIsUnknown) {
  test::OneNode node({}, 3);
  test::Client client(node);
  node.stop_followers_disks();
  EXPECT_FALSE(client.send(kAddFour));
  node.settle();
  node.depose();
  node.settle();
  // The new leader may say what came of it.
  EXPECT_FALSE(client.may_resume_called());
  node.pass_ms(1000);
  node.settle();
  EXPECT_TRUE(client.may_resume_called());
  EXPECT_TRUE(client.send(kAddFour));
  EXPECT_THAT(client.take(), StartsWith("-UNKNOWN "));
}

TEST(Members, AClientThatLeavesMeanwhileLeavesNothingBehind) {
  test::OneNode node({}, 3);
  test::Client client(node);
  node.stop_followers_disks();
  EXPECT_FALSE(client.send(kAddFour));
  client.close();
  EXPECT_EQ(node.replica().blocked_count(), 0U);
  node.wake_followers();
  node.pass_ms(60);
  node.settle();
  EXPECT_NE(role_of(node, 4), "none");
}

TEST(Members, RefusesWhatMakesNoSense) {
  test::OneNode node({}, 3);
  test::Client client(node);
  const auto refused = [&](const std::string& command) { return client.call(command); };
  EXPECT_THAT(refused("RAFT.MEMBERS ADD 3 127.0.0.1:7009 127.0.0.1:17009"),
              HasSubstr("node 3 (voter, clients 127.0.0.1:7003"));
  EXPECT_THAT(refused("RAFT.MEMBERS ADD 4 127.0.0.1:7003 127.0.0.1:17009"),
              StartsWith("-ERR 127.0.0.1:7003 is an address of node 3"));
  EXPECT_THAT(refused("RAFT.MEMBERS ADD 4 127.0.0.1:7009 127.0.0.1:7009"), StartsWith("-ERR "));
  EXPECT_THAT(refused("RAFT.MEMBERS ADD 4 0.0.0.0:7009 127.0.0.1:17009"),
              HasSubstr("no address at which others reach"));
  EXPECT_THAT(refused("RAFT.MEMBERS ADD 4 nowhere 127.0.0.1:17009"),
              StartsWith("-ERR client address: "));
  EXPECT_THAT(refused("RAFT.MEMBERS ADD 0 127.0.0.1:7009 127.0.0.1:17009"), StartsWith("-ERR "));
  EXPECT_THAT(refused("RAFT.MEMBERS ADD x 127.0.0.1:7009 127.0.0.1:17009"), StartsWith("-ERR "));
  EXPECT_THAT(refused(std::string(kAddFour) + " PERHAPS"), StartsWith("-ERR syntax error"));
  EXPECT_THAT(refused("RAFT.MEMBERS REMOVE 9"), StartsWith("-ERR node 9 is no member"));
  EXPECT_THAT(refused("RAFT.MEMBERS PROMOTE 9"), StartsWith("-ERR node 9 is no member"));
  EXPECT_THAT(refused("RAFT.MEMBERS PROMOTE 2"), StartsWith("-ERR node 2 (voter"));
  EXPECT_THAT(refused("RAFT.TRANSFER 9"), StartsWith("-ERR node 9 is no member"));
  EXPECT_EQ(node.replica().membership().index, 0U);
}

TEST(Members, TheLastVoterStays) {
  test::OneNode node;
  test::Client client(node);
  EXPECT_THAT(client.call("RAFT.MEMBERS REMOVE 1"), StartsWith("-ERR node 1 is the last voter"));
  EXPECT_THAT(client.call("RAFT.TRANSFER"), StartsWith("-ERR there is no other voter"));
}

TEST(Members, ARemovalThatLeavesNoMajorityNeedsForce) {
  test::OneNode node({}, 5);
  test::Client client(node);
  node.silence_follower(4);
  node.silence_follower(5);
  for (int i = 0; i < 20; ++i) {
    node.pass_ms(50);
    node.settle();
  }
  EXPECT_THAT(client.call("RAFT.MEMBERS REMOVE 2"),
              HasSubstr("the voters would be 1, 3, 4, 5, of whom 3 must answer, but nothing is "
                        "heard from 4, 5"));
  EXPECT_EQ(client.call("RAFT.MEMBERS REMOVE 5"), "+OK\r\n");
  EXPECT_FALSE(client.send("RAFT.MEMBERS REMOVE 2 FORCE"));
  EXPECT_EQ(node.replica().membership().joint, true);
}

TEST(Members, AddressesCanBeChanged) {
  test::OneNode node({}, 3);
  test::Client client(node);
  EXPECT_EQ(client.call("RAFT.MEMBERS UPDATE 3 127.0.0.1:8003 127.0.0.1:18003"), "+OK\r\n");
  EXPECT_EQ(node.told_members[2].client_port, 8003);
  const raft::Index index = node.replica().membership().index;
  EXPECT_EQ(client.call("RAFT.MEMBERS UPDATE 3 127.0.0.1:8003 127.0.0.1:18003"), "+OK\r\n");
  EXPECT_EQ(node.replica().membership().index, index);
  EXPECT_THAT(client.call("RAFT.MEMBERS UPDATE 3 127.0.0.1:7002 127.0.0.1:18003"),
              StartsWith("-ERR 127.0.0.1:7002 is an address of node 2"));
}

TEST(Members, FollowersSayWhoLeads) {
  test::OneNode node({}, 3);
  test::Client client(node);
  node.depose();
  EXPECT_EQ(client.call(kAddFour), "-MOVED 0 127.0.0.1:7002\r\n");
  EXPECT_EQ(client.call("RAFT.TRANSFER"), "-MOVED 0 127.0.0.1:7002\r\n");
}

TEST(Members, NothingOfThisGoesIntoATransaction) {
  test::OneNode node({}, 3);
  test::Client client(node);
  client.call("MULTI");
  EXPECT_THAT(client.call("RAFT.TRANSFER 2"), StartsWith("-ERR Command not allowed inside"));
  EXPECT_THAT(client.call(kAddFour), StartsWith("-ERR Command not allowed inside"));
}

TEST(Members, ANodeWithoutAGroupWaitsToBeAdded) {
  test::OneNode node(test::OneNode::Waiting{});
  test::Client client(node);
  EXPECT_EQ(node.replica().membership().self, server::Belonging::kWaiting);
  EXPECT_THAT(client.call("SET a b"), StartsWith("-CLUSTERDOWN node 1 waits to be added"));
  client.call("READONLY");
  EXPECT_THAT(client.call("GET a"), StartsWith("-CLUSTERDOWN node 1 waits to be added"));
  for (int i = 0; i < 100; ++i) {
    node.pass_ms(50);
    node.settle();
  }
  EXPECT_EQ(node.replica().raft_status().elections_started, 0U);
}

// --- handing over -------------------------------------------------------------------------------

TEST(Transfer, IsAnsweredOnceAnotherNodeLeads) {
  test::OneNode node({}, 3);
  test::Client client(node);
  EXPECT_FALSE(client.send("RAFT.TRANSFER 2"));
  node.settle();
  EXPECT_THAT(node.told_to_lead, ElementsAre(2));
  EXPECT_EQ(client.take(), "");
  node.depose();
  node.settle();
  EXPECT_TRUE(client.send("RAFT.TRANSFER 2"));
  EXPECT_EQ(client.take(), "+OK\r\n");
}

TEST(Transfer, WaitsForWhatIsOnItsWayThroughTheLog) {
  test::OneNode node({}, 3);
  test::Client writer(node);
  test::Client late(node);
  test::Client client(node);
  node.stop_followers_disks();
  EXPECT_TRUE(writer.send("SET a 1"));
  node.settle();
  EXPECT_FALSE(client.send("RAFT.TRANSFER 2"));
  EXPECT_TRUE(late.send("SET a 2"));
  node.settle();
  EXPECT_TRUE(node.told_to_lead.empty());
  node.wake_followers();
  node.pass_ms(60);
  node.settle();
  EXPECT_EQ(writer.take(), "+OK\r\n");
  EXPECT_THAT(node.told_to_lead, ElementsAre(2));
  // What came later has not entered the log, and goes to the next leader.
  EXPECT_EQ(late.take(), "");
  node.depose();
  node.settle();
  EXPECT_EQ(late.take(), "-MOVED 15495 127.0.0.1:7002\r\n");
}

// The target has everything, but a majority has not: if this node stepped down now, nobody could
// tell its client what becomes of the write.
TEST(Transfer, WaitsForTheCommitAndNotOnlyForTheTarget) {
  test::OneNode node({}, 5);
  test::Client writer(node);
  test::Client client(node);
  for (const raft::NodeId id : {3, 4, 5}) node.silence_follower(id);
  EXPECT_TRUE(writer.send("SET a 1"));
  node.settle();
  EXPECT_FALSE(client.send("RAFT.TRANSFER 2"));
  node.settle();
  EXPECT_EQ(writer.take(), "");
  EXPECT_TRUE(node.told_to_lead.empty());
}

TEST(Transfer, ThatNobodyTakesLeavesLeadershipHere) {
  test::OneNode node({}, 3);
  test::Client writer(node);
  test::Client client(node);
  EXPECT_FALSE(client.send("RAFT.TRANSFER 2"));
  EXPECT_TRUE(writer.send("SET a 1"));
  node.settle();
  EXPECT_EQ(writer.take(), "");
  for (int i = 0; i < 10; ++i) {
    node.pass_ms(50);
    node.settle();
  }
  EXPECT_EQ(writer.take(), "+OK\r\n");
  EXPECT_TRUE(client.send("RAFT.TRANSFER 2"));
  EXPECT_THAT(client.take(), StartsWith("-ERR leadership was not taken over"));
}

TEST(Transfer, AnElectionThatIsUnderWayIsRedirectedToTheTarget) {
  test::OneNode node({}, 3);
  test::Client client(node);
  EXPECT_FALSE(client.send("RAFT.TRANSFER 3"));
  node.settle();
  node.replica().step(
      {.from = 3,
       .to = 1,
       .term = node.replica().node().term() + 1,
       .body = raft::VoteRequest{
           .transfer = true, .last_index = 100, .last_term = node.replica().node().term()}});
  test::Client writer(node);
  EXPECT_EQ(writer.call("SET a 1"), "-MOVED 15495 127.0.0.1:7003\r\n");
  node.pass_ms(500);
  node.settle();
  EXPECT_THAT(writer.call("SET a 1"), StartsWith("-CLUSTERDOWN "));
}

TEST(Transfer, ALeaderThatIsToRemoveItselfHandsOverFirst) {
  test::OneNode node({}, 3);
  test::Client client(node);
  EXPECT_FALSE(client.send("RAFT.MEMBERS REMOVE 1"));
  node.settle();
  EXPECT_EQ(node.told_to_lead.size(), 1U);
  EXPECT_EQ(node.replica().membership().index, 0U);
  node.depose();
  node.settle();
  EXPECT_TRUE(client.send("RAFT.MEMBERS REMOVE 1"));
  EXPECT_EQ(client.take(), "-MOVED 0 127.0.0.1:7002\r\n");
}

}  // namespace
}  // namespace raftkv
