// What any node tells of the members.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/run_local.h"

namespace raftkv::server {
namespace {

using test::LocalWorld;
using test::reply_body;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string field(const std::string& name, int64_t value) {
  return "$" + std::to_string(name.size()) + "\r\n" + name + "\r\n:" + std::to_string(value) +
         "\r\n";
}

TEST(RaftMembersList, TellsRolesAddressesAndLag) {
  LocalWorld world;
  world.host.status_field.last = 100;
  world.host.status_field.durable = 100;
  world.host.status_field.peers[0].match = 97;
  world.host.members_field[2].role = MemberRole::kLearner;
  world.host.members_field[2].promote = true;
  const std::string reply = world.run({"RAFT.MEMBERS", "LIST"});
  EXPECT_THAT(reply, StartsWith("*14\r\n$10\r\ncluster_id\r\n$40\r\n"));
  EXPECT_THAT(reply, HasSubstr(field("answered_by", 1) + field("leader", 1) + field("term", 5)));
  EXPECT_THAT(reply, HasSubstr("$5\r\nphase\r\n$6\r\nstable\r\n"));
  EXPECT_THAT(reply, HasSubstr("$4\r\nrole\r\n$7\r\nlearner\r\n"));
  EXPECT_THAT(reply, HasSubstr("$4\r\npeer\r\n$15\r\n127.0.0.1:17002\r\n"));
  EXPECT_THAT(reply, HasSubstr(field("match", 97) + field("lag", 3)));
  EXPECT_THAT(reply, HasSubstr(field("promote", 1)));
}

TEST(RaftMembersList, AFollowerKnowsNoLag) {
  LocalWorld world;
  world.host.lead(2);
  const std::string reply = world.run({"RAFT.MEMBERS", "LIST"});
  EXPECT_THAT(reply, HasSubstr(field("active", -1) + field("match", -1) + field("lag", -1)));
  EXPECT_THAT(reply, Not(HasSubstr(field("active", 1))));
}

TEST(RaftMembersList, TellsThePhase) {
  LocalWorld world;
  world.host.membership_field = {.index = 7, .joint = true, .committed = true};
  EXPECT_THAT(world.run({"RAFT.MEMBERS", "LIST"}), HasSubstr("$5\r\nphase\r\n$5\r\njoint\r\n"));
  world.host.membership_field = {.index = 7, .joint = false, .committed = false};
  EXPECT_THAT(world.run({"RAFT.MEMBERS", "LIST"}), HasSubstr("$8\r\nchanging\r\n"));
}

TEST(RaftSnapshot, TellsTheNewestFile) {
  LocalWorld world;
  EXPECT_EQ(world.run({"RAFT.SNAPSHOT", "INFO"}), "*10\r\n" + field("node", 1) + field("index", 0) +
                                                      field("term", 0) + field("time_ms", 0) +
                                                      field("bytes", 0));
  world.host.snapshot_file_field =
      SnapshotFileFacts{.index = 30, .term = 2, .time_us = 1'700'000'000'123'456, .bytes = 4096};
  EXPECT_EQ(world.run({"raft.snapshot", "info"}),
            "*10\r\n" + field("node", 1) + field("index", 30) + field("term", 2) +
                field("time_ms", 1'700'000'000'123) + field("bytes", 4096));
  world.host.snapshot_file_field = std::unexpected("cannot open it");
  EXPECT_EQ(world.run({"RAFT.SNAPSHOT", "INFO"}), "-ERR cannot open it\r\n");
}

TEST(RaftSnapshot, ReadsAPartOfAFile) {
  LocalWorld world;
  world.host.snapshot_bytes_field = "REDIS";
  EXPECT_EQ(world.run({"RAFT.SNAPSHOT", "READ", "30", "2", "100", "5"}), "$5\r\nREDIS\r\n");
  EXPECT_EQ(world.host.snapshot_reads_field, (std::vector<std::vector<uint64_t>>{{30, 2, 100, 5}}));
  world.host.snapshot_bytes_field = std::unexpected("NOSNAPSHOT it is gone");
  EXPECT_EQ(world.run({"RAFT.SNAPSHOT", "READ", "30", "2", "0", "5"}),
            "-NOSNAPSHOT it is gone\r\n");
}

TEST(RaftSnapshot, TakesNumbersOnly) {
  LocalWorld world;
  for (const std::string_view bad : {"", "x", "-1", "1.5", "9223372036854775808"}) {
    EXPECT_EQ(world.run({"RAFT.SNAPSHOT", "READ", "30", "2", bad, "5"}),
              "-ERR value is not an integer or out of range\r\n");
  }
  EXPECT_TRUE(world.host.snapshot_reads_field.empty());
  EXPECT_THAT(world.run({"RAFT.SNAPSHOT", "READ", "30"}), StartsWith("-ERR wrong number"));
  EXPECT_THAT(world.run({"RAFT.SNAPSHOT", "HELP"}), HasSubstr("READ <index> <term> <offset>"));
}

TEST(InfoRaft, CountsVotersAndNamesMembers) {
  LocalWorld world;
  world.host.members_field[2].role = MemberRole::kLearner;
  const std::string info = reply_body(world.run({"INFO", "raft"}));
  EXPECT_THAT(info, HasSubstr("raft_members:3\r\nraft_voters:2\r\nraft_membership:voter\r\n"));
  EXPECT_THAT(info, HasSubstr("raft_member2:id=3,role=learner,addr=127.0.0.1:7003,"
                              "peer_addr=127.0.0.1:17003\r\n"));
}

TEST(ClusterView, WhoIsNoMemberKnowsNoLeader) {
  for (const Belonging self : {Belonging::kWaiting, Belonging::kRemoved}) {
    LocalWorld world;
    world.host.lead(2);
    world.host.membership_field.self = self;
    EXPECT_EQ(world.run({"CLUSTER", "SLOTS"}), "*0\r\n");
    EXPECT_THAT(reply_body(world.run({"CLUSTER", "INFO"})), HasSubstr("cluster_state:fail"));
    EXPECT_THAT(reply_body(world.run({"INFO", "raft"})),
                HasSubstr(self == Belonging::kRemoved ? "raft_membership:removed"
                                                      : "raft_membership:waiting"));
  }
}

TEST(ClusterView, LearnersAreShownAsReplicas) {
  LocalWorld world;
  world.host.members_field[2].role = MemberRole::kLearner;
  EXPECT_THAT(reply_body(world.run({"CLUSTER", "NODES"})), HasSubstr("127.0.0.1:7003@17003 slave"));
}

TEST(ClusterAdministration, NamesWhatToUse) {
  LocalWorld world;
  EXPECT_THAT(world.run({"CLUSTER", "FORGET", "x"}), HasSubstr("RAFT.MEMBERS REMOVE"));
  EXPECT_THAT(world.run({"CLUSTER", "MEET", "h", "1"}), HasSubstr("RAFT.MEMBERS ADD"));
  EXPECT_THAT(world.run({"CLUSTER", "REPLICATE", "x"}), HasSubstr("RAFT.MEMBERS ADD"));
  world.host.lead(2);
  EXPECT_THAT(world.run({"CLUSTER", "FAILOVER"}),
              HasSubstr("send RAFT.TRANSFER 1 to the leader, 127.0.0.1:7002"));
  world.host.lead(0);
  EXPECT_THAT(world.run({"CLUSTER", "FAILOVER"}), StartsWith("-CLUSTERDOWN "));
}

}  // namespace
}  // namespace raftkv::server
