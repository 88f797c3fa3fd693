#include <gtest/gtest.h>

#include "tests/support/run_local.h"

namespace raftkv::server {
namespace {

using test::LocalWorld;

TEST(Ping, AnswersPongOrItsMessage) {
  LocalWorld world;
  EXPECT_EQ(world.run({"PING"}), "+PONG\r\n");
  EXPECT_EQ(world.run({"ping", "hi there"}), "$8\r\nhi there\r\n");
  EXPECT_EQ(world.run({"PING", "a", "b"}), "-ERR wrong number of arguments for 'ping' command\r\n");
}

TEST(Echo, AnswersAnyBytes) {
  LocalWorld world;
  EXPECT_EQ(world.run({"ECHO", std::string_view("\0\r\n", 3)}), std::string("$3\r\n\0\r\n\r\n", 9));
}

TEST(Select, KnowsDatabaseZeroOnly) {
  LocalWorld world;
  EXPECT_EQ(world.run({"SELECT", "0"}), "+OK\r\n");
  EXPECT_EQ(world.run({"SELECT", "1"}), "-ERR SELECT is not allowed in cluster mode\r\n");
  EXPECT_EQ(world.run({"SELECT", "x"}), "-ERR value is not an integer or out of range\r\n");
  EXPECT_EQ(world.run({"SELECT", "2147483648"}),
            "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n");
}

TEST(Auth, AcceptsAnyPasswordForTheUserWhoHasNone) {
  LocalWorld world;
  EXPECT_EQ(world.run({"AUTH", "default", "anything"}), "+OK\r\n");
  EXPECT_EQ(world.run({"AUTH", "somebody", "anything"}),
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
  EXPECT_EQ(world.run({"AUTH", "anything"}),
            "-ERR AUTH <password> called without any password configured for the default user. Are "
            "you sure your configuration is correct?\r\n");
  EXPECT_EQ(world.run({"AUTH", "a", "b", "c"}), "-ERR syntax error\r\n");
}

TEST(Hello, SwitchesTheProtocolAndAnswersInTheNewOne) {
  LocalWorld world;
  EXPECT_EQ(world.run({"HELLO", "3"}),
            "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n"
            "$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:7\r\n$4\r\nmode\r\n$7\r\ncluster\r\n"
            "$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n");
  EXPECT_EQ(world.client.protocol, resp::Protocol::kResp3);
  EXPECT_TRUE(world.run({"HELLO"}).starts_with("%7\r\n"));  // keeps what was chosen
  EXPECT_TRUE(world.run({"HELLO", "2"}).starts_with("*14\r\n"));
  EXPECT_EQ(world.client.protocol, resp::Protocol::kResp2);
}

TEST(Hello, CallsAFollowerReplica) {
  LocalWorld world;
  world.host.lead(2);
  EXPECT_NE(world.run({"HELLO"}).find("$4\r\nrole\r\n$7\r\nreplica\r\n"), std::string::npos);
}

TEST(Hello, TakesUserAndName) {
  LocalWorld world;
  EXPECT_TRUE(world.run({"HELLO", "3", "AUTH", "default", "x", "SETNAME", "me"}).starts_with("%7"));
  EXPECT_EQ(world.client.name, "me");
}

TEST(Hello, LeavesTheProtocolAloneOnAnError) {
  LocalWorld world;
  EXPECT_EQ(world.run({"HELLO", "4"}), "-NOPROTO unsupported protocol version\r\n");
  EXPECT_EQ(world.run({"HELLO", "x"}),
            "-ERR Protocol version is not an integer or out of range\r\n");
  EXPECT_EQ(world.run({"HELLO", "3", "AUTH", "nobody", "x"}),
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
  EXPECT_EQ(world.run({"HELLO", "3", "SETNAME"}),
            "-ERR Syntax error in HELLO option 'SETNAME'\r\n");
  EXPECT_EQ(world.run({"HELLO", "3", "SETNAME", "a b"}),
            "-ERR Client names cannot contain spaces, newlines or special characters.\r\n");
  EXPECT_EQ(world.client.protocol, resp::Protocol::kResp2);
}

TEST(Quit, SaysOkAndEndsTheConnection) {
  LocalWorld world;
  EXPECT_EQ(world.run({"QUIT"}), "+OK\r\n");
  EXPECT_TRUE(world.client.close_after_reply);
}

TEST(Reset, MakesTheConnectionAsNew) {
  LocalWorld world;
  world.run({"HELLO", "3", "SETNAME", "me"});
  world.run({"READONLY"});
  world.run({"CLIENT", "NO-EVICT", "on"});
  EXPECT_EQ(world.run({"RESET"}), "+RESET\r\n");
  EXPECT_TRUE(world.client.reset_requested);
  EXPECT_EQ(world.client.name, "");
  EXPECT_EQ(world.client.protocol, resp::Protocol::kResp2);
  EXPECT_FALSE(world.client.readonly);
  EXPECT_FALSE(world.client.no_evict);
}

TEST(ConnectionCommands, ThoseThatChangeLaterRepliesWaitForEarlierOnes) {
  const auto flags_of = [](const std::vector<std::string_view>& words) {
    const CommandSpec* spec = CommandTable::instance().resolve(Args(words));
    return spec ? spec->flags : 0;
  };
  EXPECT_TRUE(flags_of({"HELLO"}) & kBarrier);
  EXPECT_TRUE(flags_of({"RESET"}) & kBarrier);
  EXPECT_TRUE(flags_of({"QUIT"}) & kBarrier);
  EXPECT_TRUE(flags_of({"CLIENT", "REPLY"}) & kBarrier);
  EXPECT_TRUE(flags_of({"SHUTDOWN"}) & kBarrier);
  EXPECT_FALSE(flags_of({"SELECT"}) & kBarrier);
  EXPECT_FALSE(flags_of({"PING"}) & kBarrier);
}

}  // namespace
}  // namespace raftkv::server
