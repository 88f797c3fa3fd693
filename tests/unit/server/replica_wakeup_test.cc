// Nothing that waits is forgotten: each test leaves a replica to itself at a point where only its
// own care, and no heartbeat or other traffic, can bring it on.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/one_node.h"

namespace raftkv {
namespace {

using test::Client;
using test::OneNode;

TEST(WakeUp, AReadThatNeedsALaterTimeGetsItsEntryThoughTheTurnBeganWithLeftovers) {
  server::ReplicaOptions options;
  options.batch_bytes = 1;     // each write is an entry
  options.apply_slice_us = 0;  // and each entry takes a turn of its own
  OneNode node(options);
  Client client(node);
  client.call("SET x 1 PX 100");
  node.stop_disk();
  ASSERT_TRUE(client.send("SET a 1"));
  ASSERT_TRUE(client.send("SET b 1"));
  node.turn();
  node.pass_ms(150);
  // It waits for the second write, finds x due, and the writes' time does not settle that.
  ASSERT_TRUE(client.send("GET x"));
  node.turn();
  node.start_disk();
  node.settle();
  EXPECT_EQ(client.take(), "+OK\r\n+OK\r\n$-1\r\n");
}

TEST(WakeUp, WaitEndsWithARedirectWhenLeadershipDoes) {
  OneNode node({}, 3);
  Client client(node);
  ASSERT_EQ(client.call("SET x 1"), "+OK\r\n");
  ASSERT_FALSE(client.send("WAIT 5 0"));
  node.settle();
  ASSERT_FALSE(client.may_resume_called());
  node.depose();
  node.settle();
  ASSERT_TRUE(client.may_resume_called());
  EXPECT_TRUE(client.call("WAIT 5 0").starts_with("-MOVED "));
}

TEST(WakeUp, AReadThatDoesNotFitIsNotTriedAgainBeforeItDoes) {
  OneNode node({}, 3);
  Client client(node);
  client.call("SET small " + std::string(300'000, 's'));
  client.call("SET big " + std::string(900'000, 'b'));
  node.silence_followers();
  ASSERT_TRUE(client.send("GET small"));
  ASSERT_FALSE(client.send("GET big"));
  for (int i = 0; i < 3; ++i) node.turn();
  EXPECT_FALSE(client.may_resume_called()) << "the loop would spin until the first read is granted";
  node.wake_followers();
  node.pass_ms(60);
  node.settle();
  EXPECT_TRUE(client.may_resume_called());
  EXPECT_GT(client.call("GET big").size(), 900'000u);
}

TEST(WakeUp, TheConnectionHearsThatSilentCommandsAreDone) {
  OneNode node;
  Client client(node);
  client.call("CLIENT REPLY OFF");
  ASSERT_TRUE(client.send("SET x 1"));
  client.output_ready_called();
  node.settle();
  EXPECT_EQ(client.session().state().outstanding, 0u);
  EXPECT_TRUE(client.output_ready_called()) << "it may have been held back by their number";
}

TEST(WakeUp, AReplyHeldBehindASilentCommandIsFlushed) {
  OneNode node;
  Client client(node);
  for (const char* command : {"CLIENT REPLY SKIP", "SET x 1", "PING"}) {
    ASSERT_TRUE(client.send(command));
  }
  client.output_ready_called();
  node.settle();
  EXPECT_TRUE(client.output_ready_called());
  EXPECT_EQ(client.take(), "+PONG\r\n");
}

TEST(WakeUp, EverythingThatWaitsForRoomGoesOnWhenLeadershipEnds) {
  server::ReplicaOptions options;
  options.batch_bytes = 100;
  options.queue_bytes_max = 1000;
  OneNode node(options, 3);
  Client client(node);
  node.silence_followers();
  int accepted = 0;
  while (client.send(fmt::format("SET key:{} value", accepted))) ASSERT_LT(++accepted, 1000);
  node.turn();
  client.may_resume_called();
  while (client.send(fmt::format("SET key:{} value", accepted))) ASSERT_LT(++accepted, 1000);
  node.turn();
  EXPECT_FALSE(client.may_resume_called());
  node.depose();
  node.turn();
  EXPECT_TRUE(client.may_resume_called());
  // First those in the log, then those that never entered it.
  const std::string output = client.take();
  EXPECT_TRUE(output.starts_with("-UNKNOWN "));
  EXPECT_GT(output.rfind("-MOVED "), output.rfind("-UNKNOWN "));
  EXPECT_GT(output.find("-MOVED "), output.rfind("-UNKNOWN "));
}

}  // namespace
}  // namespace raftkv
