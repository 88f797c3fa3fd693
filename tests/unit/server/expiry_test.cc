// Deadlines: judged by the log's clock, never shown past their time.
#include <gtest/gtest.h>

#include "server/replica/log_clock.h"
#include "tests/support/one_node.h"

namespace raftkv {
namespace {

using test::Client;
using test::OneNode;

TEST(Expiry, ADueKeyIsNeitherShownNorCalledGoneBeforeTheLogSettlesIt) {
  OneNode node;
  Client client(node);
  client.call("SET x 1 PX 100");
  EXPECT_EQ(client.call("GET x"), "$1\r\n1\r\n");
  node.pass_ms(150);
  node.stop_disk();
  ASSERT_TRUE(client.send("GET x"));
  node.settle();
  EXPECT_EQ(client.take(), "") << "the log's clock has not passed the deadline yet";
  node.start_disk();
  node.settle();
  EXPECT_EQ(client.take(), "$-1\r\n");
}

TEST(Expiry, ReadsBehindAPostponedOneKeepTheirOrder) {
  OneNode node;
  Client client(node);
  client.call("SET x 1 PX 100");
  client.call("SET y 1");
  node.pass_ms(150);
  for (const char* command : {"GET x", "GET y", "SET y 2", "GET y", "GET x"}) {
    ASSERT_TRUE(client.send(command));
  }
  node.settle();
  EXPECT_EQ(client.take(), "$-1\r\n$1\r\n1\r\n+OK\r\n$1\r\n2\r\n$-1\r\n");
}

TEST(Expiry, TheLeaderProposesTheDeletionWithoutTraffic) {
  OneNode node;
  Client client(node);
  client.call("SET x 1 PX 100");
  client.call("SET y 1");
  EXPECT_EQ(node.replica().state().keyspace().size(), 2u);
  EXPECT_LE(node.replica().next_deadline(), node.now_monotonic_us() + 101'000);
  node.pass_ms(200);
  node.settle();
  EXPECT_EQ(node.replica().state().keyspace().size(), 1u);
}

TEST(Expiry, AWriteIsJudgedByItsEntrysTime) {
  OneNode node;
  Client client(node);
  client.call("SET x 5 PX 100");
  node.pass_ms(150);
  EXPECT_EQ(client.call("INCR x"), ":1\r\n");
  EXPECT_EQ(client.call("PTTL x"), ":-1\r\n");
}

TEST(Expiry, SettingTheWallClockBackDoesNotProlongIt) {
  OneNode node;
  Client client(node);
  client.call("SET x 1 PX 1000");
  node.set_wall_back_ms(3'600'000);
  node.pass_ms(1200);
  EXPECT_EQ(client.call("GET x"), "$-1\r\n");
}

TEST(LogClock, FollowsTheWallClockSlowlyAndNeverJumps) {
  server::LogClock clock;
  EXPECT_EQ(clock.advance(1'000, 5'000'000, 0), 5'000'000u);
  EXPECT_EQ(clock.advance(2'000, 5'001'000, 0), 5'001'000u);
  // An hour forward: only a tenth of the time that passed is caught up.
  EXPECT_EQ(clock.advance(12'000, 5'011'000 + 3'600'000'000, 0), 5'012'000u);
  // An hour back: it goes on, a tenth slower.
  EXPECT_EQ(clock.advance(22'000, 1, 0), 5'021'000u);
  // No time, no change.
  EXPECT_EQ(clock.advance(22'000, 9'000'000'000, 0), 5'021'000u);
}

TEST(LogClock, IsNeverBehindTheLog) {
  server::LogClock clock;
  EXPECT_EQ(clock.advance(1'000, 5'000'000, 7'000'000), 7'000'000u);
  EXPECT_EQ(clock.advance(2'000, 5'001'000, 7'000'000), 7'000'900u);
}

}  // namespace
}  // namespace raftkv
