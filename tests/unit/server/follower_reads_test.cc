// Linearizable reads on a node that does not lead.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/one_node.h"

namespace raftkv {
namespace {

using ::testing::StartsWith;

server::ReplicaOptions with(server::FollowerReads mode) {
  server::ReplicaOptions options;
  options.follower_reads = mode;
  return options;
}

// Member 1 of three has led and written, and follows node 2 now.
class FollowerReads : public ::testing::Test {
 protected:
  explicit FollowerReads(server::FollowerReads mode = server::FollowerReads::kLinearizable)
      : node_(with(mode), 3), client_(node_) {
    client_.call("SET a 1");
    client_.call("SET short 1 PX 10000");
    node_.depose();
    node_.settle();
    client_.call("READONLY");
    next_entry();
    node_.settle();
  }
  void next_entry() { node_.follow_entry(node_.now_ms() * 1000); }

  test::OneNode node_;
  test::Client client_;
};

TEST_F(FollowerReads, AsksTheLeaderAndAnswersOnceItHasApplied) {
  node_.answer_reads(false);
  EXPECT_TRUE(client_.send("GET a"));
  node_.settle();
  EXPECT_EQ(client_.take(), "");
  EXPECT_EQ(node_.read_requests, 1U);
  node_.answer_reads(true);
  node_.pass_ms(110);
  next_entry();  // the leader speaks, and is asked again
  node_.settle();
  EXPECT_EQ(node_.read_requests, 2U);
  EXPECT_EQ(client_.take(), "$1\r\n1\r\n");
}

TEST_F(FollowerReads, ReadsOfATurnShareAQuestion) {
  test::Client other(node_);
  other.call("READONLY");
  const size_t before = node_.read_requests;
  EXPECT_TRUE(client_.send("GET a"));
  EXPECT_TRUE(client_.send("GET b"));
  EXPECT_TRUE(other.send("GET a"));
  node_.settle();
  EXPECT_EQ(node_.read_requests, before + 1);
  EXPECT_EQ(client_.take(), "$1\r\n1\r\n$-1\r\n");
  EXPECT_EQ(other.take(), "$1\r\n1\r\n");
}

TEST_F(FollowerReads, WithoutReadonlyTheLeaderIsNamed) {
  client_.call("READWRITE");
  EXPECT_EQ(client_.call("GET a"), "-MOVED 15495 127.0.0.1:7002\r\n");
  client_.call("READONLY");
  EXPECT_EQ(client_.call("SET a 2"), "-MOVED 15495 127.0.0.1:7002\r\n");
  client_.call("MULTI");
  EXPECT_THAT(client_.call("GET a"), StartsWith("-MOVED "));
  client_.call("DISCARD");
  EXPECT_THAT(client_.call("WATCH a"), StartsWith("-MOVED "));
}

TEST_F(FollowerReads, ALeaderThatDoesNotAnswerIsGivenUp) {
  node_.answer_reads(false);
  EXPECT_TRUE(client_.send("GET a"));
  EXPECT_TRUE(client_.send("PING"));
  for (int i = 0; i < 17; ++i) {
    node_.pass_ms(50);
    next_entry();
    node_.settle();
  }
  EXPECT_EQ(client_.take(), "-MOVED 15495 127.0.0.1:7002\r\n+PONG\r\n");
}

// An older state than the index asked for may not be shown.
TEST_F(FollowerReads, WaitsUntilTheIndexIsApplied) {
  node_.answer_reads(false);
  EXPECT_TRUE(client_.send("GET a"));
  node_.turn();
  node_.replica().step(
      {.from = 2,
       .to = 1,
       .term = node_.replica().node().term(),
       .body = raft::ReadReply{.number = 1'000'000,
                               .index = node_.replica().node().commit_index() + 1}});
  node_.settle();
  EXPECT_EQ(client_.take(), "");
}

TEST_F(FollowerReads, AKeyThatIsDueIsSettledByTheNextEntry) {
  node_.pass_ms(10'050);
  node_.replica().step({.from = 2,
                        .to = 1,
                        .term = node_.replica().node().term(),
                        .body = raft::Heartbeat{.commit = 0, .round = 5}});
  EXPECT_TRUE(client_.send("GET short"));
  EXPECT_TRUE(client_.send("GET a"));
  node_.settle();
  // Neither the value nor that it is gone; and what came behind it waits, too.
  EXPECT_EQ(client_.take(), "");
  next_entry();
  node_.settle();
  EXPECT_EQ(client_.take(), "$-1\r\n$1\r\n1\r\n");
}

TEST_F(FollowerReads, AKeyThatNobodySettlesSendsToTheLeader) {
  node_.pass_ms(10'050);
  node_.replica().step({.from = 2,
                        .to = 1,
                        .term = node_.replica().node().term(),
                        .body = raft::Heartbeat{.commit = 0, .round = 5}});
  EXPECT_TRUE(client_.send("GET short"));
  EXPECT_TRUE(client_.send("GET a"));
  node_.settle();
  EXPECT_EQ(client_.take(), "");
  node_.pass_ms(150);
  node_.replica().step({.from = 2,
                        .to = 1,
                        .term = node_.replica().node().term(),
                        .body = raft::Heartbeat{.commit = 0, .round = 6}});
  node_.settle();
  EXPECT_EQ(client_.take(), "-MOVED 2103 127.0.0.1:7002\r\n$1\r\n1\r\n");
}

class StaleFollowerReads : public FollowerReads {
 protected:
  StaleFollowerReads() : FollowerReads(server::FollowerReads::kStale) {}
};

TEST_F(StaleFollowerReads, AskNobody) {
  EXPECT_EQ(client_.call("GET a"), "$1\r\n1\r\n");
  EXPECT_EQ(node_.read_requests, 0U);
}

class NoFollowerReads : public FollowerReads {
 protected:
  NoFollowerReads() : FollowerReads(server::FollowerReads::kOff) {}
};

TEST_F(NoFollowerReads, SendEveryReadToTheLeader) {
  EXPECT_EQ(client_.call("GET a"), "-MOVED 15495 127.0.0.1:7002\r\n");
}

}  // namespace
}  // namespace raftkv
