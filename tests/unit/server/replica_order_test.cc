// Replies come in the order of their commands, and each command sees what it must, whatever the
// order in which disk, rounds and leadership move on.
#include <gtest/gtest.h>

#include "tests/support/one_node.h"

namespace raftkv {
namespace {

using test::Client;
using test::OneNode;

TEST(Order, AReadBehindAWatchedTransactionOfReadsWaitsForIt) {
  OneNode node;
  Client client(node);
  client.call("SET x 1");
  client.call("SET y 2");
  client.call("WATCH x");
  client.call("MULTI");
  client.call("GET x");
  node.stop_disk();
  ASSERT_TRUE(client.send("EXEC"));
  ASSERT_TRUE(client.send("GET y"));
  node.turn();
  EXPECT_EQ(client.take(), "");
  node.start_disk();
  node.settle();
  EXPECT_EQ(client.take(), "*1\r\n$1\r\n1\r\n$1\r\n2\r\n");
}

TEST(Order, ALeaseIsJudgedByTheTimeAtWhichItsReadsHadCome) {
  server::ReplicaOptions options;
  options.read_mode = server::ReadMode::kLease;
  OneNode node(options, 3);
  Client client(node);
  client.call("SET x 1");
  ASSERT_TRUE(node.replica().node().lease_valid());
  // A turn has begun; the process is stopped for ten seconds before it reads what its clients sent
  // meanwhile.
  node.replica().touch();
  node.silence_followers();
  node.pass_ms(10'000);
  ASSERT_TRUE(client.send("GET x"));
  node.settle();
  EXPECT_FALSE(client.take().starts_with("$")) << "another node may lead and have changed x";
}

TEST(Order, LosingLeadershipAnswersEachCommandInItsPlaceWithTheTruth) {
  server::ReplicaOptions options;
  options.entries_inflight_max = 1;
  OneNode node(options, 3);
  Client client(node);
  client.call("SET x 0");
  node.silence_followers();
  ASSERT_TRUE(client.send("GET x"));
  ASSERT_TRUE(client.send("SET x 1"));
  ASSERT_TRUE(client.send("GET x"));
  node.turn();  // the first batch enters the log
  ASSERT_TRUE(client.send("GET x"));
  ASSERT_TRUE(client.send("SET x 2"));
  ASSERT_TRUE(client.send("PING"));
  node.turn();  // the second waits for its place
  node.depose();
  ASSERT_TRUE(client.send("SET x 3"));
  node.turn();
  std::string kinds;
  const std::string output = client.take();
  for (size_t at = 0; at < output.size(); at = output.find("\r\n", at) + 2) kinds += output[at + 1];
  // MOVED, UNKNOWN, MOVED; MOVED, MOVED, PONG; MOVED
  EXPECT_EQ(kinds, "MUMMMPM") << output;
}

TEST(Order, AConnectionThatClosedMeanwhileIsForgottenWithItsLeader) {
  OneNode node({}, 3);
  node.silence_followers();
  {
    Client client(node);
    for (const char* command : {"SET x 1", "GET x", "WATCH y", "MULTI", "GET x"}) {
      ASSERT_TRUE(client.send(command));
    }
    node.turn();
    ASSERT_FALSE(client.send("EXEC"));
  }
  {
    Client client(node);
    for (const char* command : {"SET x 2", "MULTI", "SET x 3", "EXEC", "GET x"}) {
      ASSERT_TRUE(client.send(command));
    }
  }
  node.depose();
  node.settle();
  EXPECT_FALSE(node.replica().leads());
}

TEST(Order, LeadershipLostAndWonInOneTurnRefusesWhatWaited) {
  OneNode node({}, 3);
  Client client(node);
  node.silence_followers();
  ASSERT_TRUE(client.send("SET x 1"));
  node.turn();
  const raft::Term term = node.replica().node().term();
  node.depose();
  node.wake_followers();
  while (!node.replica().node().is_leader()) {
    node.pass_ms(50);
    node.replica().end_turn();
    node.finish_writes();
    node.deliver_answers();
  }
  node.settle();
  EXPECT_GT(node.replica().node().term(), term + 1);
  EXPECT_TRUE(client.take().starts_with("-UNKNOWN "));
  EXPECT_EQ(client.call("SET x 2"), "+OK\r\n");
  EXPECT_EQ(client.call("GET x"), "$1\r\n2\r\n");
}

TEST(Order, APostponedReadIsRefusedWithTheRestWhenLeadershipEnds) {
  OneNode node({}, 3);
  Client client(node);
  client.call("SET x 1 PX 100");
  node.pass_ms(60);
  node.settle();
  node.pass_ms(60);
  // The reads are granted; the entry that settles x is committed by nobody.
  node.stop_followers_disks();
  ASSERT_TRUE(client.send("GET x"));
  ASSERT_TRUE(client.send("GET y"));
  node.settle();
  EXPECT_EQ(client.take(), "");
  node.depose();
  node.settle();
  const std::string output = client.take();
  EXPECT_TRUE(output.starts_with("-MOVED ")) << output;
  EXPECT_EQ(client.session().state().outstanding, 0u);
}

TEST(Order, BatchesThatWaitForAPlaceInTheLogSurelyHaveNoEffect) {
  server::ReplicaOptions options;
  options.batch_bytes = 1;  // each write is closed at once
  options.entries_inflight_max = 1;
  OneNode node(options, 3);
  Client client(node);
  node.silence_followers();
  for (const char* command : {"SET a 1", "SET b 1", "SET c 1"}) ASSERT_TRUE(client.send(command));
  node.turn();
  node.depose();
  node.turn();
  const std::string output = client.take();
  EXPECT_TRUE(output.starts_with("-UNKNOWN ")) << output;
  EXPECT_EQ(output.find("-UNKNOWN ", 1), std::string::npos) << output;
}

TEST(Order, AWatchDoesNotOutliveItsTerm) {
  OneNode node({}, 3);
  Client client(node);
  client.call("SET x 1");
  ASSERT_EQ(client.call("WATCH x"), "+OK\r\n");
  const raft::Term term = node.replica().node().term();
  node.depose();
  node.settle();
  while (!node.replica().node().is_leader()) {
    node.pass_ms(50);
    node.settle();
  }
  ASSERT_GT(node.replica().node().term(), term);
  client.call("MULTI");
  client.call("SET x 2");
  EXPECT_EQ(client.call("EXEC"), "*-1\r\n") << "somebody else may have led and changed x";
}

TEST(Order, ATransactionOfWritesChangesWhatOthersWatch) {
  OneNode node;
  Client client(node);
  Client other(node);
  client.call("WATCH x");
  for (const char* command : {"MULTI", "SET x 1", "EXEC"}) other.call(command);
  client.call("MULTI");
  client.call("SET x 2");
  EXPECT_EQ(client.call("EXEC"), "*-1\r\n");
}

TEST(Order, ResetInsideMultiForgetsTheTransactionAndTheWatch) {
  OneNode node;
  Client client(node);
  Client other(node);
  client.call("WATCH x");
  client.call("MULTI");
  client.call("SET x 1");
  EXPECT_EQ(client.call("RESET"), "+RESET\r\n");
  EXPECT_EQ(client.call("EXEC"), "-ERR EXEC without MULTI\r\n");
  other.call("SET x 2");
  client.call("MULTI");
  client.call("GET x");
  EXPECT_EQ(client.call("EXEC"), "*1\r\n$1\r\n2\r\n");
}

TEST(Order, AnEmptyWatchedTransactionAlsoSaysThatNothingChanged) {
  OneNode node({}, 3);
  Client client(node);
  client.call("WATCH x");
  client.call("MULTI");
  node.silence_followers();
  ASSERT_TRUE(client.send("EXEC"));
  node.turn();
  EXPECT_EQ(client.take(), "") << "another leader may have changed x already";
}

}  // namespace
}  // namespace raftkv
