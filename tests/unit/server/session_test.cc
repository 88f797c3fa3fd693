// The order of replies and effects on one connection, and what a session does when it must wait.
#include "server/replica/session.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/one_node.h"

namespace raftkv {
namespace {

using test::Client;
using test::OneNode;

TEST(Session, AWriteIsAnsweredOnlyAfterItsSync) {
  OneNode node;
  Client client(node);
  node.stop_disk();
  ASSERT_TRUE(client.send("SET x 1"));
  node.settle();
  EXPECT_EQ(client.take(), "");
  node.finish_writes();
  node.settle();
  EXPECT_EQ(client.take(), "+OK\r\n");
}

TEST(Session, AReadInAPipelineSeesTheWritesBeforeItAndNotThoseBehindIt) {
  OneNode node;
  Client client(node);
  for (const char* command : {"GET x", "SET x 1", "GET x", "SET x 2", "GET x"}) {
    ASSERT_TRUE(client.send(command));
  }
  node.settle();
  EXPECT_EQ(client.take(), "$-1\r\n+OK\r\n$1\r\n1\r\n+OK\r\n$1\r\n2\r\n");
}

TEST(Session, AReadDoesNotSeeALaterWriteOfItsConnectionThatCameInAnotherTurn) {
  OneNode node;
  Client client(node);
  client.call("SET x old");
  node.stop_disk();
  ASSERT_TRUE(client.send("SET y 1"));
  node.turn();
  // The read waits for the write before it; the write behind it enters the log meanwhile.
  ASSERT_TRUE(client.send("GET x"));
  node.turn();
  ASSERT_TRUE(client.send("SET x new"));
  node.turn();
  node.finish_writes();
  node.settle();
  node.start_disk();
  node.settle();
  EXPECT_EQ(client.take(), "+OK\r\n$3\r\nold\r\n+OK\r\n");
}

TEST(Session, LocalRepliesStandInTheOrderOfTheirCommands) {
  OneNode node;
  Client client(node);
  for (const char* command : {"PING", "SET x 1", "PING a", "ECHO b", "GET x", "NOSUCH", "PING c"}) {
    ASSERT_TRUE(client.send(command));
  }
  node.settle();
  EXPECT_EQ(client.take(),
            "+PONG\r\n+OK\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\n1\r\n"
            "-ERR unknown command 'NOSUCH', with args beginning with: \r\n$1\r\nc\r\n");
}

TEST(Session, AProtocolErrorComesAfterTheRepliesBeforeIt) {
  OneNode node;
  Client client(node);
  ASSERT_TRUE(client.send("SET x 1"));
  client.session().protocol_error("ERR Protocol error: invalid bulk length");
  EXPECT_FALSE(client.session().finished());
  node.settle();
  EXPECT_EQ(client.take(), "+OK\r\n-ERR Protocol error: invalid bulk length\r\n");
  EXPECT_TRUE(client.session().finished());
}

TEST(Session, WhatIsInFlightWhenAConnectionClosesStillTakesEffect) {
  OneNode node;
  Client other(node);
  {
    Client client(node);
    ASSERT_TRUE(client.send("SET x 1"));
    ASSERT_TRUE(client.send("GET x"));
  }
  node.settle();
  EXPECT_EQ(other.call("GET x"), "$1\r\n1\r\n");
}

TEST(Session, ACommandThatChangesTheConnectionWaitsForTheRepliesBeforeIt) {
  OneNode node;
  Client client(node);
  ASSERT_TRUE(client.send("SET x 1"));
  ASSERT_FALSE(client.send("HELLO 3"));
  node.settle();
  EXPECT_TRUE(client.may_resume_called());
  EXPECT_EQ(client.take(), "+OK\r\n");
  EXPECT_EQ(client.call("HELLO 3").substr(0, 2), "%7");
  EXPECT_EQ(client.call("GET nothing"), "_\r\n");
}

TEST(Session, ClientReplyOffAndSkipSilenceCommandsButRunThem) {
  OneNode node;
  Client client(node);
  EXPECT_EQ(client.call("CLIENT REPLY SKIP"), "");
  EXPECT_EQ(client.call("SET x 1"), "");
  EXPECT_EQ(client.call("GET x"), "$1\r\n1\r\n");
  EXPECT_EQ(client.call("CLIENT REPLY OFF"), "");
  EXPECT_EQ(client.call("SET x 2"), "");
  EXPECT_EQ(client.call("PING"), "");
  EXPECT_EQ(client.call("CLIENT REPLY ON"), "+OK\r\n");
  EXPECT_EQ(client.call("GET x"), "$1\r\n2\r\n");
}

TEST(Session, AFullQueueMakesConnectionsWaitAndLetsThemGoOn) {
  server::ReplicaOptions options;
  options.batch_bytes = 100;
  options.queue_bytes_max = 1000;
  OneNode node(options);
  Client client(node);
  node.stop_disk();
  int accepted = 0;
  const auto fill = [&] {
    while (client.send(fmt::format("SET key:{} value", accepted))) ASSERT_LT(++accepted, 1000);
  };
  fill();
  EXPECT_GT(accepted, 20);
  // Some of it enters the log, which makes room once; then nothing moves until something commits.
  node.turn();
  EXPECT_TRUE(client.may_resume_called());
  fill();
  for (int i = 0; i < 5; ++i) node.turn();
  EXPECT_FALSE(client.may_resume_called());
  node.start_disk();
  node.settle();
  EXPECT_TRUE(client.may_resume_called());
  EXPECT_EQ(client.take().size(), static_cast<size_t>(accepted) * 5);
  EXPECT_EQ(client.call("SET last 1"), "+OK\r\n");
}

TEST(Session, ACommandThatIsTooLargeIsRefusedWithWhatToDo) {
  server::ReplicaOptions options;
  options.command_bytes_max = 1000;
  OneNode node(options);
  Client client(node);
  const std::string reply = client.call("SET x " + std::string(2000, 'v'));
  EXPECT_TRUE(reply.starts_with("-ERR the command has ")) << reply;
  EXPECT_NE(reply.find("--max_entry_bytes=1000"), std::string::npos) << reply;
  EXPECT_EQ(client.call("GET x"), "$-1\r\n");
}

TEST(Session, ManyLocalRepliesBehindOneWriteStayWithinALimit) {
  OneNode node;
  Client client(node);
  node.stop_disk();
  ASSERT_TRUE(client.send("SET x 1"));
  const std::string echo = "ECHO " + std::string(10'000, 'e');
  size_t held = 0;
  while (client.send(echo)) ASSERT_LT(++held, 1000u);
  EXPECT_GT(held, 50u);
  node.start_disk();
  node.settle();
  EXPECT_TRUE(client.may_resume_called());
  EXPECT_GT(client.take().size(), held * 10'000);
}

TEST(Session, ManyErrorsBehindOneWriteStayWithinALimitToo) {
  OneNode node;
  Client client(node);
  node.stop_disk();
  ASSERT_TRUE(client.send("SET x 1"));
  const std::string unknown = "NOSUCH " + std::string(100, 'e');
  size_t held = 0;
  while (client.send(unknown)) ASSERT_LT(++held, 100'000u);
  EXPECT_GT(held, 1000u);
  node.start_disk();
  node.settle();
  EXPECT_TRUE(client.may_resume_called());
  EXPECT_TRUE(client.call("PING").ends_with("+PONG\r\n"));
}

TEST(Session, APipelineOfLargeReadsIsAdmittedAsItsRepliesAreTaken) {
  OneNode node;
  Client client(node);
  client.call("SET big " + std::string(400'000, 'b'));
  size_t replies = 0;
  for (size_t sent = 0; sent < 50;) {
    size_t admitted = 0;
    while (sent < 50 && client.send("GET big")) ++sent, ++admitted;
    ASSERT_GE(admitted, 1u);
    ASSERT_LE(admitted, 3u) << "more than a megabyte of replies would stand in memory";
    node.settle();
    const std::string output = client.take();
    EXPECT_LE(output.size(), 1'300'000u);
    replies += output.size() / 400'000;
    node.settle();
  }
  EXPECT_EQ(replies, 50u);
}

TEST(Session, WaitTellsHowManyFollowersHaveTheLastWrite) {
  OneNode node;
  Client client(node);
  EXPECT_EQ(client.call("SET x 1"), "+OK\r\n");
  EXPECT_EQ(client.call("WAIT 0 0"), ":0\r\n");
  EXPECT_EQ(client.call("WAIT 1 x"), "-ERR value is not an integer or out of range\r\n");
  EXPECT_EQ(client.call("WAIT 1 -1"), "-ERR timeout is negative\r\n");
  // There is nobody to wait for: it ends by its timeout.
  ASSERT_FALSE(client.send("WAIT 1 50"));
  node.settle();
  EXPECT_FALSE(client.may_resume_called());
  EXPECT_EQ(node.replica().blocked_count(), 1u);
  EXPECT_LE(node.replica().next_deadline(), node.now_monotonic_us() + 50'000);
  node.pass_ms(50);
  node.settle();
  EXPECT_TRUE(client.may_resume_called());
  EXPECT_EQ(client.call("WAIT 1 50"), ":0\r\n");
}

}  // namespace
}  // namespace raftkv
