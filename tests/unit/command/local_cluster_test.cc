#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "tests/support/run_local.h"

namespace raftkv::server {
namespace {

using test::LocalWorld;
using test::reply_body;
using testing::ElementsAre;
using testing::HasSubstr;

std::string name_of(const LocalWorld& world, uint64_t id) {
  return cluster_node_name(world.host.cluster_id_field, id);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST(ClusterNodeName, IsHexadecimalAndDiffersForEveryMemberAndCluster) {
  std::set<std::string> names;
  for (uint64_t id = 1; id <= 100; ++id) {
    for (const char cluster : {'a', 'b'}) {
      const std::string name = cluster_node_name(std::string(40, cluster), id);
      EXPECT_TRUE(std::regex_match(name, std::regex("[0-9a-f]{40}"))) << name;
      names.insert(name);
    }
  }
  EXPECT_EQ(names.size(), 200);
}

TEST(ClusterNodeName, NeverChanges) {
  // Clients and operators keep it: a new way to compute it would rename every running cluster.
  EXPECT_EQ(cluster_node_name(std::string(40, 'c'), 1), "c2a7cf8cf3cd71c96be8eb38a554b0c6ea5efed1");
}

TEST(ClusterLeader, GivesHostAndPortFirst) {
  LocalWorld world;
  world.host.lead(2);
  EXPECT_EQ(world.run({"CLUSTER", "LEADER"}),
            "*5\r\n$9\r\n127.0.0.1\r\n:7002\r\n$40\r\n" + name_of(world, 2) + "\r\n:2\r\n:5\r\n");
}

TEST(ClusterLeader, IsAnErrorThatClientsRetryWhileThereIsNone) {
  LocalWorld world;
  world.host.lead(0);
  EXPECT_THAT(world.run({"CLUSTER", "LEADER"}), testing::StartsWith("-CLUSTERDOWN "));
}

TEST(ClusterInfo, IsOkOnlyWithALeader) {
  LocalWorld world;
  EXPECT_THAT(reply_body(world.run({"CLUSTER", "INFO"})),
              HasSubstr("cluster_state:ok\r\ncluster_slots_assigned:16384\r\n"
                        "cluster_slots_ok:16384\r\ncluster_slots_pfail:0\r\n"
                        "cluster_slots_fail:0\r\ncluster_known_nodes:3\r\ncluster_size:1\r\n"
                        "cluster_current_epoch:5\r\ncluster_my_epoch:5\r\n"));
  world.host.lead(0);
  EXPECT_THAT(reply_body(world.run({"CLUSTER", "INFO"})),
              HasSubstr("cluster_state:fail\r\ncluster_slots_assigned:16384\r\n"
                        "cluster_slots_ok:0\r\ncluster_slots_pfail:0\r\n"
                        "cluster_slots_fail:16384\r\n"));
}

TEST(ClusterInfo, CountsMessagesWhereTheyAreCounted) {
  LocalWorld world;
  EXPECT_THAT(world.run({"CLUSTER", "INFO"}), testing::Not(HasSubstr("cluster_stats_messages")));
  world.host.traffic_field = PeerTraffic{.messages_sent = 11, .messages_received = 12};
  EXPECT_THAT(
      world.run({"CLUSTER", "INFO"}),
      HasSubstr("cluster_stats_messages_sent:11\r\ncluster_stats_messages_received:12\r\n"));
}

TEST(ClusterSlots, IsOneRangeWithTheLeaderFirst) {
  LocalWorld world;
  world.host.lead(3);
  const auto node = [&](uint64_t id) {
    return "*4\r\n$9\r\n127.0.0.1\r\n:" + std::to_string(7000 + id) + "\r\n$40\r\n" +
           name_of(world, id) + "\r\n*0\r\n";
  };
  EXPECT_EQ(world.run({"CLUSTER", "SLOTS"}),
            "*1\r\n*5\r\n:0\r\n:16383\r\n" + node(3) + node(1) + node(2));
}

TEST(ClusterSlots, IsEmptyWithoutALeader) {
  LocalWorld world;
  world.host.lead(0);
  EXPECT_EQ(world.run({"CLUSTER", "SLOTS"}), "*0\r\n");
}

TEST(ClusterSlots, EndsEachNodeWithAnEmptyMapInResp3) {
  LocalWorld world;
  world.client.protocol = resp::Protocol::kResp3;
  EXPECT_THAT(world.run({"CLUSTER", "SLOTS"}), testing::EndsWith("\r\n%0\r\n"));
}

TEST(ClusterView, ShowsAWildcardListenerUnderTheAddressItWasReachedAt) {
  LocalWorld world;
  world.host.members_field[0].client_host = "0.0.0.0";
  world.client.local_address = "10.1.2.3:7001";
  EXPECT_THAT(world.run({"CLUSTER", "LEADER"}), HasSubstr("$8\r\n10.1.2.3\r\n"));
}

TEST(ClusterShards, HasSlotsAndTheNodesInRedisFields) {
  LocalWorld world;
  world.host.applied_field = 42;
  world.host.status_field.peers[1].match = 40;
  world.host.status_field.peers[0].active = false;
  const auto node = [&](uint64_t id, const std::string& role, int offset,
                        const std::string& health) {
    const auto bulk = [](const std::string& text) {
      return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
    };
    return "*14\r\n" + bulk("id") + bulk(name_of(world, id)) + bulk("port") + ":" +
           std::to_string(7000 + id) + "\r\n" + bulk("ip") + bulk("127.0.0.1") + bulk("endpoint") +
           bulk("127.0.0.1") + bulk("role") + bulk(role) + bulk("replication-offset") + ":" +
           std::to_string(offset) + "\r\n" + bulk("health") + bulk(health);
  };
  EXPECT_EQ(world.run({"CLUSTER", "SHARDS"}),
            "*1\r\n*4\r\n$5\r\nslots\r\n*2\r\n:0\r\n:16383\r\n$5\r\nnodes\r\n*3\r\n" +
                node(1, "master", 42, "online") + node(2, "replica", 0, "fail") +
                node(3, "replica", 40, "online"));
}

TEST(ClusterShards, HasNoSlotsWithoutALeader) {
  LocalWorld world;
  world.host.lead(0);
  EXPECT_THAT(world.run({"CLUSTER", "SHARDS"}),
              testing::StartsWith("*1\r\n*4\r\n$5\r\nslots\r\n*0\r\n$5\r\nnodes\r\n*3\r\n"));
}

TEST(ClusterNodes, WritesRedisLinesOnTheLeader) {
  LocalWorld world;
  world.host.status_field.peers[0].silent_us = 20'000;
  world.host.status_field.peers[1].silent_us = 3'000'000;
  world.host.status_field.peers[1].active = false;
  EXPECT_THAT(lines_of(reply_body(world.run({"CLUSTER", "NODES"}))),
              ElementsAre(name_of(world, 1) +
                              " 127.0.0.1:7001@17001 myself,master - 0 0 5 connected 0-16383",
                          name_of(world, 2) + " 127.0.0.1:7002@17002 slave " + name_of(world, 1) +
                              " 0 1700000000103 5 connected",
                          name_of(world, 3) + " 127.0.0.1:7003@17003 slave,fail? " +
                              name_of(world, 1) + " 0 1699999997123 5 disconnected"));
}

TEST(ClusterNodes, WritesRedisLinesOnAFollower) {
  LocalWorld world;
  world.host.lead(2);
  EXPECT_THAT(
      lines_of(reply_body(world.run({"CLUSTER", "NODES"}))),
      ElementsAre(name_of(world, 2) + " 127.0.0.1:7002@17002 master - 0 0 5 connected 0-16383",
                  name_of(world, 1) + " 127.0.0.1:7001@17001 myself,slave " + name_of(world, 2) +
                      " 0 0 5 connected",
                  name_of(world, 3) + " 127.0.0.1:7003@17003 slave " + name_of(world, 2) +
                      " 0 0 5 connected"));
}

TEST(ClusterNodes, GivesNobodySlotsWithoutALeader) {
  LocalWorld world;
  world.host.lead(0);
  for (const std::string& line : lines_of(reply_body(world.run({"CLUSTER", "NODES"})))) {
    EXPECT_THAT(line, testing::EndsWith(" - 0 0 5 connected"));
    EXPECT_THAT(line, testing::Not(HasSubstr("master")));
  }
}

TEST(ClusterMyid, IsTheNameThatOthersSee) {
  LocalWorld world;
  world.host.status_field.id = 3;
  EXPECT_EQ(reply_body(world.run({"CLUSTER", "MYID"})), name_of(world, 3));
}

TEST(ClusterKeyslot, MindsHashTags) {
  LocalWorld world;
  EXPECT_EQ(world.run({"CLUSTER", "KEYSLOT", "foo"}), ":12182\r\n");
  EXPECT_EQ(world.run({"CLUSTER", "KEYSLOT", "{foo}.bar"}), ":12182\r\n");
}

TEST(ClusterCountkeysinslot, CountsLiveKeysOfTheSlotOnly) {
  LocalWorld world;
  const auto now_ms = static_cast<data::TimeMs>(world.host.wall_us_field / 1000);
  world.host.keyspace_field.set_string("foo", "1");
  world.host.keyspace_field.set_string("{foo}2", "1");
  world.host.keyspace_field.set_string("{foo}gone", "1", now_ms - 1);
  world.host.keyspace_field.set_string("bar", "1");
  EXPECT_EQ(world.run({"CLUSTER", "COUNTKEYSINSLOT", "12182"}), ":2\r\n");
  EXPECT_EQ(world.run({"CLUSTER", "COUNTKEYSINSLOT", "0"}), ":0\r\n");
  EXPECT_EQ(world.run({"CLUSTER", "COUNTKEYSINSLOT", "16384"}), "-ERR Invalid slot\r\n");
  EXPECT_EQ(world.run({"CLUSTER", "COUNTKEYSINSLOT", "x"}),
            "-ERR value is not an integer or out of range\r\n");
}

TEST(ClusterGetkeysinslot, ListsAtMostAsManyAsAskedFor) {
  LocalWorld world;
  world.host.keyspace_field.set_string("foo", "1");
  world.host.keyspace_field.set_string("{foo}2", "1");
  world.host.keyspace_field.set_string("bar", "1");
  EXPECT_THAT(world.run({"CLUSTER", "GETKEYSINSLOT", "12182", "10"}),
              testing::AllOf(testing::StartsWith("*2\r\n"), HasSubstr("$3\r\nfoo\r\n"),
                             HasSubstr("$6\r\n{foo}2\r\n")));
  EXPECT_THAT(world.run({"CLUSTER", "GETKEYSINSLOT", "12182", "1"}), testing::StartsWith("*1\r\n"));
  EXPECT_EQ(world.run({"CLUSTER", "GETKEYSINSLOT", "12182", "-1"}),
            "-ERR Invalid slot or number of keys\r\n");
}

TEST(ClusterMode, ReadonlyIsAModeOfTheConnection) {
  LocalWorld world;
  EXPECT_EQ(world.run({"READONLY"}), "+OK\r\n");
  EXPECT_TRUE(world.client.readonly);
  EXPECT_EQ(world.run({"READWRITE"}), "+OK\r\n");
  EXPECT_FALSE(world.client.readonly);
  EXPECT_EQ(world.run({"ASKING"}), "+OK\r\n");
}

}  // namespace
}  // namespace raftkv::server
