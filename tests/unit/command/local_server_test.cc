#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/command/local_text.h"
#include "tests/support/run_local.h"

namespace raftkv::server {
namespace {

using test::LocalWorld;

TEST(Time, IsSecondsAndMicroseconds) {
  LocalWorld world;
  world.host.wall_us_field = 1'700'000'000'000'042;
  EXPECT_EQ(world.run({"TIME"}), "*2\r\n$10\r\n1700000000\r\n$2\r\n42\r\n");
}

TEST(Role, ListsTheReachableReplicasOnTheLeader) {
  LocalWorld world;
  world.host.status_field.commit = 50;
  world.host.status_field.peers[0].match = 48;
  world.host.status_field.peers[1].active = false;
  EXPECT_EQ(
      world.run({"ROLE"}),
      "*3\r\n$6\r\nmaster\r\n:50\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n7002\r\n$2\r\n48\r\n");
}

TEST(Role, NamesTheLeaderOnAFollower) {
  LocalWorld world;
  world.host.lead(3);
  world.host.applied_field = 9;
  EXPECT_EQ(world.run({"ROLE"}),
            "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:7003\r\n$9\r\nconnected\r\n:9\r\n");
  world.host.lead(0);
  EXPECT_EQ(world.run({"ROLE"}), "*5\r\n$5\r\nslave\r\n$0\r\n\r\n:0\r\n$7\r\nconnect\r\n:9\r\n");
}

TEST(Replicaof, IsRefused) {
  LocalWorld world;
  EXPECT_EQ(world.run({"REPLICAOF", "NO", "ONE"}), world.run({"SLAVEOF", "127.0.0.1", "7002"}));
  EXPECT_TRUE(world.run({"REPLICAOF", "NO", "ONE"})
                  .starts_with("-ERR REPLICAOF not allowed in cluster mode"));
}

TEST(Bgsave, AsksForASnapshotUnlessOneIsOnItsWay) {
  LocalWorld world;
  EXPECT_EQ(world.run({"BGSAVE"}), "+Background saving started\r\n");
  EXPECT_EQ(world.run({"BGSAVE", "schedule"}), "+Background saving started\r\n");
  EXPECT_EQ(world.run({"BGSAVE", "now"}), "-ERR syntax error\r\n");
  EXPECT_EQ(world.host.snapshot_requests_field, 2);
  world.host.snapshots_field.requested = true;
  EXPECT_EQ(world.run({"BGSAVE"}), "-ERR Background save already in progress\r\n");
  world.host.snapshots_field = {.index = 9, .in_progress = true, .error = {}};
  EXPECT_EQ(world.run({"BGSAVE"}), "-ERR Background save already in progress\r\n");
  EXPECT_EQ(world.host.snapshot_requests_field, 2);
  world.host.snapshots_field.in_progress = false;
  world.host.something_to_save_field = false;
  EXPECT_EQ(world.run({"BGSAVE"}), "+Nothing new to save since the snapshot at index 9\r\n");
}

TEST(Lastsave, IsTheLastSnapshotOrTheStart) {
  LocalWorld world;
  EXPECT_EQ(world.run({"LASTSAVE"}), ":1699999600\r\n");
  world.host.snapshots_field.saved_wall_us = 1'699'999'900'000'000;
  EXPECT_EQ(world.run({"LASTSAVE"}), ":1699999900\r\n");
}

TEST(Shutdown, EndsTheNodeWithoutAReply) {
  for (const std::vector<std::string_view>& words : {std::vector<std::string_view>{"SHUTDOWN"},
                                                     {"SHUTDOWN", "NOSAVE"},
                                                     {"shutdown", "save", "now", "force"}}) {
    LocalWorld world;
    EXPECT_EQ(world.run(words), "");
    EXPECT_EQ(world.host.shutdowns_field, 1);
    EXPECT_TRUE(world.client.close_after_reply);
  }
}

TEST(Shutdown, RefusesWhatContradictsItself) {
  LocalWorld world;
  EXPECT_EQ(world.run({"SHUTDOWN", "SAVE", "NOSAVE"}), "-ERR syntax error\r\n");
  EXPECT_EQ(world.run({"SHUTDOWN", "LATER"}), "-ERR syntax error\r\n");
  EXPECT_EQ(world.run({"SHUTDOWN", "ABORT", "NOW"}), "-ERR syntax error\r\n");
  EXPECT_EQ(world.run({"SHUTDOWN", "ABORT"}), "-ERR No shutdown in progress.\r\n");
  EXPECT_EQ(world.host.shutdowns_field, 0);
  EXPECT_FALSE(world.client.close_after_reply);
}

TEST(Introspection, SaysThatWhatIsNotKeptIsEmpty) {
  LocalWorld world;
  EXPECT_EQ(world.run({"LATENCY", "LATEST"}), "*0\r\n");
  EXPECT_EQ(world.run({"LATENCY", "HISTORY", "command"}), "*0\r\n");
  EXPECT_EQ(world.run({"LATENCY", "HISTOGRAM"}), "*0\r\n");
  EXPECT_EQ(world.run({"LATENCY", "RESET"}), ":0\r\n");
  EXPECT_EQ(world.run({"SLOWLOG", "LEN"}), ":0\r\n");
  EXPECT_EQ(world.run({"SLOWLOG", "GET", "1"}), "*0\r\n");
  EXPECT_EQ(world.run({"SLOWLOG", "GET", "-2"}),
            "-ERR count should be greater than or equal to -1\r\n");
  EXPECT_EQ(
      world.run({"SLOWLOG", "get", "1", "2"}),
      "-ERR unknown subcommand or wrong number of arguments for 'get'. Try SLOWLOG HELP.\r\n");
  EXPECT_EQ(world.run({"SLOWLOG", "RESET"}), "+OK\r\n");
  EXPECT_EQ(world.run({"MODULE", "LIST"}), "*0\r\n");
}

TEST(MemoryUsage, IsWhatTheKeyspaceSays) {
  LocalWorld world;
  world.host.keyspace_field.set_string("k", std::string(1000, 'x'));
  const std::string reply = world.run({"MEMORY", "USAGE", "k"});
  ASSERT_TRUE(reply.starts_with(":")) << reply;
  EXPECT_GT(std::stoi(reply.substr(1)), 1000);
  EXPECT_EQ(world.run({"MEMORY", "USAGE", "k", "SAMPLES", "0"}), reply);
  EXPECT_EQ(world.run({"MEMORY", "USAGE", "missing"}), "$-1\r\n");
  EXPECT_EQ(world.run({"MEMORY", "USAGE", "k", "SAMPLES"}), "-ERR syntax error\r\n");
  EXPECT_EQ(world.run({"MEMORY", "USAGE", "k", "SAMPLES", "-1"}), "-ERR syntax error\r\n");
}

TEST(Acl, KnowsOneUser) {
  LocalWorld world;
  EXPECT_EQ(world.run({"ACL", "WHOAMI"}), "$7\r\ndefault\r\n");
  EXPECT_EQ(world.run({"ACL", "USERS"}), "*1\r\n$7\r\ndefault\r\n");
  EXPECT_EQ(world.run({"ACL", "LIST"}), "*1\r\n$34\r\nuser default on nopass ~* &* +@all\r\n");
}

TEST(AclCat, ListsCategoriesAndTheirCommands) {
  LocalWorld world;
  EXPECT_TRUE(world.run({"ACL", "CAT"}).starts_with("*21\r\n"));
  const std::string connection = world.run({"ACL", "CAT", "CONNECTION"});
  EXPECT_NE(connection.find("$4\r\nping\r\n"), std::string::npos);
  EXPECT_NE(connection.find("$11\r\nclient|list\r\n"), std::string::npos);
  EXPECT_NE(connection.find("$8\r\nreadonly\r\n"), std::string::npos);
  EXPECT_EQ(connection.find("$3\r\nget\r\n"), std::string::npos);
  EXPECT_EQ(world.run({"ACL", "CAT", "x"}), "-ERR Unknown category 'x'\r\n");
}

TEST(Help, IsThereForEveryContainer) {
  LocalWorld world;
  for (const CommandSpec* command : CommandTable::instance().all()) {
    if (command->subcommands.empty()) continue;
    const std::string help = world.run({command->name, "HELP"});
    EXPECT_TRUE(help.starts_with("*")) << command->name;
    EXPECT_NE(help.find("Subcommands are:"), std::string::npos) << command->name;
  }
}

TEST(ParseInteger, TakesCanonicalNumbersOnly) {
  EXPECT_EQ(parse_integer("0"), 0);
  EXPECT_EQ(parse_integer("-1"), -1);
  EXPECT_EQ(parse_integer("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(parse_integer("-9223372036854775808"), INT64_MIN);
  for (const char* bad : {"", "-", "+1", "01", "-0", " 1", "1 ", "1.0", "0x1",
                          "9223372036854775808", "-9223372036854775809"}) {
    EXPECT_EQ(parse_integer(bad), std::nullopt) << bad;
  }
}

TEST(SplitAddress, CutsAtTheLastColon) {
  EXPECT_EQ(split_address("127.0.0.1:7001").host, "127.0.0.1");
  EXPECT_EQ(split_address("[::1]:7001").host, "::1");
  EXPECT_EQ(split_address("::1:7001").port, "7001");
  EXPECT_EQ(split_address("host").port, "");
}

}  // namespace
}  // namespace raftkv::server
