// MULTI, EXEC and WATCH.
#include <gtest/gtest.h>

#include "tests/support/one_node.h"

namespace raftkv {
namespace {

using test::Client;
using test::OneNode;

TEST(Transaction, RunsAllItsCommandsAtOnePlace) {
  OneNode node;
  Client client(node);
  EXPECT_EQ(client.call("MULTI"), "+OK\r\n");
  EXPECT_EQ(client.call("SET x 1"), "+QUEUED\r\n");
  EXPECT_EQ(client.call("PING"), "+QUEUED\r\n");
  EXPECT_EQ(client.call("INCR x"), "+QUEUED\r\n");
  EXPECT_EQ(client.call("GET x"), "+QUEUED\r\n");
  EXPECT_EQ(client.call("EXEC"), "*4\r\n+OK\r\n+PONG\r\n:2\r\n$1\r\n2\r\n");
}

TEST(Transaction, OfReadsOnlyEntersNoLog) {
  OneNode node;
  Client client(node);
  client.call("SET x 1");
  const auto before = node.replica().node().last_index();
  client.call("MULTI");
  client.call("GET x");
  client.call("STRLEN x");
  EXPECT_EQ(client.call("EXEC"), "*2\r\n$1\r\n1\r\n:1\r\n");
  EXPECT_EQ(node.replica().node().last_index(), before);
}

TEST(Transaction, OfReadsBehindAWriteInOnePipelineSeesIt) {
  OneNode node;
  Client client(node);
  for (const char* command : {"SET x 7", "MULTI", "GET x", "EXEC", "SET x 8"}) {
    ASSERT_TRUE(client.send(command));
  }
  node.settle();
  EXPECT_EQ(client.take(), "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n$1\r\n7\r\n+OK\r\n");
}

TEST(Transaction, EmptyIsAnEmptyArray) {
  OneNode node;
  Client client(node);
  client.call("MULTI");
  EXPECT_EQ(client.call("EXEC"), "*0\r\n");
}

TEST(Transaction, AMistakeWhileQueueingAbortsIt) {
  OneNode node;
  Client client(node);
  client.call("MULTI");
  client.call("SET x 1");
  EXPECT_EQ(client.call("SET x"), "-ERR wrong number of arguments for 'set' command\r\n");
  EXPECT_EQ(client.call("EXEC"),
            "-EXECABORT Transaction discarded because of previous errors.\r\n");
  EXPECT_EQ(client.call("GET x"), "$-1\r\n");
}

TEST(Transaction, AMistakeWhileRunningStopsNothing) {
  OneNode node;
  Client client(node);
  client.call("SET text abc");
  client.call("MULTI");
  client.call("INCR text");
  client.call("SET x 1");
  EXPECT_EQ(client.call("EXEC"), "*2\r\n-ERR value is not an integer or out of range\r\n+OK\r\n");
  EXPECT_EQ(client.call("GET x"), "$1\r\n1\r\n");
}

TEST(Transaction, CommandsOutOfPlaceSaySo) {
  OneNode node;
  Client client(node);
  EXPECT_EQ(client.call("EXEC"), "-ERR EXEC without MULTI\r\n");
  EXPECT_EQ(client.call("DISCARD"), "-ERR DISCARD without MULTI\r\n");
  client.call("MULTI");
  EXPECT_EQ(client.call("MULTI"), "-ERR MULTI calls can not be nested\r\n");
  EXPECT_EQ(client.call("WATCH x"), "-ERR WATCH inside MULTI is not allowed\r\n");
  client.call("SET x 1");
  EXPECT_EQ(client.call("DISCARD"), "+OK\r\n");
  EXPECT_EQ(client.call("GET x"), "$-1\r\n");
}

TEST(Watch, AChangeByAnotherConnectionAborts) {
  OneNode node;
  Client client(node);
  Client other(node);
  client.call("SET x 1");
  EXPECT_EQ(client.call("WATCH x"), "+OK\r\n");
  other.call("SET x 2");
  client.call("MULTI");
  client.call("SET x 3");
  EXPECT_EQ(client.call("EXEC"), "*-1\r\n");
  EXPECT_EQ(client.call("GET x"), "$1\r\n2\r\n");
  // The watch is over: the next one goes through.
  client.call("MULTI");
  client.call("SET x 3");
  EXPECT_EQ(client.call("EXEC"), "*1\r\n+OK\r\n");
}

TEST(Watch, AWriteThatIsProposedButNotCommittedAborts) {
  OneNode node;
  Client client(node);
  Client other(node);
  client.call("SET x 1");
  client.call("WATCH x");
  client.call("MULTI");
  client.call("SET x 3");
  node.stop_disk();
  ASSERT_TRUE(other.send("SET x 2"));
  node.turn();
  ASSERT_TRUE(client.send("EXEC"));
  EXPECT_EQ(client.take(), "*-1\r\n");
}

TEST(Watch, WhatIsReadAfterItSeesEveryWriteProposedBeforeIt) {
  OneNode node;
  Client client(node);
  Client other(node);
  client.call("SET x 1");
  node.stop_disk();
  ASSERT_TRUE(other.send("SET x 2"));
  node.turn();
  ASSERT_TRUE(client.send("WATCH x"));
  ASSERT_TRUE(client.send("GET x"));
  node.turn();
  // The old value would lead to a lost update: the write before WATCH is no change of the watched
  // key.
  EXPECT_EQ(client.take(), "+OK\r\n");
  node.start_disk();
  node.settle();
  EXPECT_EQ(client.take(), "$1\r\n2\r\n");
}

TEST(Watch, OtherKeysOrReadsDoNotAbort) {
  OneNode node;
  Client client(node);
  Client other(node);
  client.call("WATCH x");
  other.call("SET y 2");
  other.call("GET x");
  client.call("MULTI");
  client.call("SET x 3");
  EXPECT_EQ(client.call("EXEC"), "*1\r\n+OK\r\n");
}

TEST(Watch, FlushAllAndUnwatch) {
  OneNode node;
  Client client(node);
  Client other(node);
  client.call("SET x 1");
  client.call("WATCH x");
  other.call("FLUSHALL");
  client.call("MULTI");
  EXPECT_EQ(client.call("EXEC"), "*-1\r\n");
  client.call("WATCH x");
  other.call("SET x 1");
  EXPECT_EQ(client.call("UNWATCH"), "+OK\r\n");
  client.call("MULTI");
  EXPECT_EQ(client.call("EXEC"), "*0\r\n");
}

TEST(Watch, AKeyWhoseTimePassedAborts) {
  OneNode node;
  Client client(node);
  client.call("SET x 1 PX 100");
  client.call("WATCH x");
  node.pass_ms(200);
  client.call("MULTI");
  client.call("SET y 1");
  EXPECT_EQ(client.call("EXEC"), "*-1\r\n");
}

TEST(Watch, ItsOwnExecDoesNotAbortItself) {
  OneNode node;
  Client client(node);
  for (int i = 0; i < 3; ++i) {
    client.call("WATCH x");
    client.call("MULTI");
    client.call("INCR x");
    EXPECT_TRUE(client.call("EXEC").starts_with("*1\r\n:"));
  }
}

}  // namespace
}  // namespace raftkv
