#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "server/command/info.h"
#include "tests/support/run_local.h"

namespace raftkv::server {
namespace {

using test::LocalWorld;
using test::reply_body;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Key;
using testing::Not;

struct ParsedInfo {
  std::vector<std::string> titles;
  std::map<std::string, std::string> fields;
};

// As client libraries read it: lines with CRLF, "# Title", "name:value" cut at the first colon.
ParsedInfo parse(const std::string& text) {
  ParsedInfo info;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_TRUE(line.ends_with('\r')) << line;
    line.pop_back();
    if (line.empty()) continue;
    if (line.starts_with("# ")) {
      info.titles.push_back(line.substr(2));
      continue;
    }
    const size_t colon = line.find(':');
    EXPECT_NE(colon, std::string::npos) << line;
    const bool fresh = info.fields.emplace(line.substr(0, colon), line.substr(colon + 1)).second;
    EXPECT_TRUE(fresh) << "twice: " << line;
  }
  return info;
}

ParsedInfo info_of(LocalWorld& world, std::vector<std::string_view> sections = {}) {
  sections.insert(sections.begin(), "INFO");
  return parse(reply_body(world.run(sections)));
}

TEST(Info, HasTheSectionsThatToolsLookFor) {
  LocalWorld world;
  EXPECT_THAT(info_of(world).titles,
              ElementsAre("Server", "Clients", "Memory", "Persistence", "Stats", "Replication",
                          "CPU", "Errorstats", "Cluster", "Keyspace", "Raft"));
  for (const char* all : {"all", "everything", "ALL"}) {
    EXPECT_THAT(
        info_of(world, {all}).titles,
        ElementsAre("Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU",
                    "Commandstats", "Errorstats", "Latencystats", "Cluster", "Keyspace", "Raft"));
  }
}

TEST(Info, TakesSeveralSectionsInAnyCase) {
  LocalWorld world;
  EXPECT_THAT(info_of(world, {"raft", "SERVER"}).titles, ElementsAre("Server", "Raft"));
  EXPECT_THAT(info_of(world, {"commandstats", "default"}).titles, Contains("Commandstats"));
  EXPECT_EQ(world.run({"INFO", "nonsense"}), "$0\r\n\r\n");
}

TEST(Info, SeparatesSectionsByAnEmptyLine) {
  LocalWorld world;
  EXPECT_EQ(reply_body(world.run({"INFO", "cluster", "keyspace"})),
            "# Cluster\r\ncluster_enabled:1\r\n\r\n# Keyspace\r\n");
}

TEST(Info, IsVerbatimInResp3) {
  LocalWorld world;
  world.client.protocol = resp::Protocol::kResp3;
  EXPECT_EQ(world.run({"INFO", "cluster"}), "=34\r\ntxt:# Cluster\r\ncluster_enabled:1\r\n\r\n");
}

TEST(Info, HasEveryFieldThatToolsRead) {
  LocalWorld world;
  const auto fields = info_of(world, {"all"}).fields;
  for (const char* name : {"redis_version",
                           "redis_mode",
                           "raftkv_version",
                           "run_id",
                           "process_id",
                           "tcp_port",
                           "uptime_in_seconds",
                           "uptime_in_days",
                           "connected_clients",
                           "blocked_clients",
                           "maxclients",
                           "used_memory",
                           "used_memory_human",
                           "used_memory_rss",
                           "used_memory_peak",
                           "maxmemory",
                           "maxmemory_policy",
                           "mem_fragmentation_ratio",
                           "loading",
                           "rdb_last_save_time",
                           "rdb_last_bgsave_status",
                           "rdb_changes_since_last_save",
                           "aof_enabled",
                           "total_connections_received",
                           "total_commands_processed",
                           "instantaneous_ops_per_sec",
                           "instantaneous_input_kbps",
                           "instantaneous_output_kbps",
                           "total_net_input_bytes",
                           "total_net_output_bytes",
                           "keyspace_hits",
                           "keyspace_misses",
                           "expired_keys",
                           "evicted_keys",
                           "rejected_connections",
                           "role",
                           "connected_slaves",
                           "master_repl_offset",
                           "used_cpu_sys",
                           "used_cpu_user",
                           "cluster_enabled"}) {
    EXPECT_THAT(fields, Contains(Key(name)));
  }
}

TEST(InfoServer, SaysWhatTheNodeIs) {
  LocalWorld world;
  const auto fields = info_of(world, {"server"}).fields;
  EXPECT_EQ(fields.at("redis_version"), "7.0.15");
  EXPECT_EQ(fields.at("redis_mode"), "cluster");
  EXPECT_EQ(fields.at("tcp_port"), "7001");
  EXPECT_EQ(fields.at("run_id"), world.host.run_id_field);
  EXPECT_EQ(fields.at("uptime_in_seconds"), "400");
  EXPECT_EQ(fields.at("uptime_in_days"), "0");
}

TEST(InfoMemory, IsMeasured) {
  LocalWorld world;
  const auto fields = info_of(world, {"memory"}).fields;
  EXPECT_GT(std::stoull(fields.at("used_memory_rss")), 1'000'000);
  EXPECT_GE(std::stoull(fields.at("used_memory_peak")), std::stoull(fields.at("used_memory_rss")));
  EXPECT_EQ(fields.at("used_memory_dataset"),
            std::to_string(world.host.keyspace_field.memory_used()));
  EXPECT_EQ(fields.at("maxmemory_policy"), "noeviction");
}

TEST(InfoMemory, WritesSizesForPeople) {
  EXPECT_EQ(human_bytes(0), "0B");
  EXPECT_EQ(human_bytes(1023), "1023B");
  EXPECT_EQ(human_bytes(1536), "1.50K");
  EXPECT_EQ(human_bytes(uint64_t{5} << 20), "5.00M");
  EXPECT_EQ(human_bytes(uint64_t{3} << 30), "3.00G");
  EXPECT_EQ(human_bytes(uint64_t{3} << 60), "3072.00P");
}

TEST(InfoClients, CountsThem) {
  LocalWorld world;
  world.host.blocked_field = 2;
  world.host.settings_field = {{"maxclients", "77", true}};
  const auto fields = info_of(world, {"clients"}).fields;
  EXPECT_EQ(fields.at("connected_clients"), "1");
  EXPECT_EQ(fields.at("blocked_clients"), "2");
  EXPECT_EQ(fields.at("maxclients"), "77");
}

TEST(InfoPersistence, CountsWhatNoSnapshotHas) {
  LocalWorld world;
  world.host.applied_field = 100;
  world.host.snapshot_field = 60;
  world.host.loading_field = true;
  const auto fields = info_of(world, {"persistence"}).fields;
  EXPECT_EQ(fields.at("rdb_changes_since_last_save"), "40");
  EXPECT_EQ(fields.at("loading"), "1");
  EXPECT_EQ(fields.at("aof_enabled"), "1");
}

TEST(InfoPersistence, TellsOfTheSnapshotInProgressAndTheLastOne) {
  LocalWorld world;
  auto fields = info_of(world, {"persistence"}).fields;
  EXPECT_EQ(fields.at("rdb_bgsave_in_progress"), "0");
  EXPECT_EQ(fields.at("rdb_last_save_time"), "1699999600");  // the start
  EXPECT_EQ(fields.at("rdb_last_bgsave_time_sec"), "-1");
  EXPECT_EQ(fields.at("rdb_current_bgsave_time_sec"), "-1");
  world.host.snapshots_field = {.index = 60,
                                .in_progress = true,
                                .began_wall_us = world.host.wall_us_field - 7'000'000,
                                .saved_wall_us = 1'699'999'900'000'000,
                                .took_us = 3'900'000,
                                .saves = 2,
                                .failures = 1,
                                .error = "disk full"};
  fields = info_of(world, {"persistence"}).fields;
  EXPECT_EQ(fields.at("rdb_bgsave_in_progress"), "1");
  EXPECT_EQ(fields.at("rdb_last_save_time"), "1699999900");
  EXPECT_EQ(fields.at("rdb_last_bgsave_status"), "err");
  EXPECT_EQ(fields.at("rdb_last_bgsave_time_sec"), "3");
  EXPECT_EQ(fields.at("rdb_current_bgsave_time_sec"), "7");
  EXPECT_EQ(fields.at("rdb_saves"), "2");
}

TEST(InfoPersistence, TellsHowFarLoadingIs) {
  LocalWorld world;
  EXPECT_THAT(info_of(world, {"persistence"}).fields, Not(Contains(Key("loading_total_bytes"))));
  world.host.load_field = LoadFacts{.bytes = 250, .bytes_total = 1000, .elapsed_us = 4'000'000};
  const auto fields = info_of(world, {"persistence"}).fields;
  EXPECT_EQ(fields.at("loading_start_time"), "1699999996");
  EXPECT_EQ(fields.at("loading_total_bytes"), "1000");
  EXPECT_EQ(fields.at("loading_loaded_bytes"), "250");
  EXPECT_EQ(fields.at("loading_loaded_perc"), "25.00");
  EXPECT_EQ(fields.at("loading_eta_seconds"), "12");
}

TEST(InfoRaft, TellsWhatBecameOfSnapshots) {
  LocalWorld world;
  world.host.snapshots_field = {.saves = 4, .failures = 3, .installs = 2, .error = "two\r\nlines"};
  world.host.status_field.repairing = true;
  const auto fields = info_of(world, {"raft"}).fields;
  EXPECT_EQ(fields.at("raft_snapshots_taken"), "4");
  EXPECT_EQ(fields.at("raft_snapshots_failed"), "3");
  EXPECT_EQ(fields.at("raft_snapshots_installed"), "2");
  EXPECT_EQ(fields.at("raft_snapshot_last_error"), "two  lines");
  EXPECT_EQ(fields.at("raft_repairing"), "1");
}

TEST(InfoRaft, TellsWhatCameOfComparingDigests) {
  LocalWorld world;
  auto fields = info_of(world, {"raft"}).fields;
  EXPECT_EQ(fields.at("raft_digest_checks"), "0");
  EXPECT_EQ(fields.at("raft_digest_last_value"), "");
  world.host.digests_field = {.in_progress = true,
                              .checks = 9,
                              .mismatches = 2,
                              .skipped = 3,
                              .undecided = 4,
                              .last_index = 77,
                              .last_value = {.low = 0xab, .high = 0x12},
                              .last_ok_index = 76,
                              .last_ok_wall_us = 1'700'000'001'999'999,
                              .last_mismatch = "two\r\nlines"};
  fields = info_of(world, {"raft"}).fields;
  EXPECT_EQ(fields.at("raft_digest_in_progress"), "1");
  EXPECT_EQ(fields.at("raft_digest_checks"), "9");
  EXPECT_EQ(fields.at("raft_digest_mismatches"), "2");
  EXPECT_EQ(fields.at("raft_digest_skipped"), "3");
  EXPECT_EQ(fields.at("raft_digest_undecided"), "4");
  EXPECT_EQ(fields.at("raft_digest_last_index"), "77");
  EXPECT_EQ(fields.at("raft_digest_last_value"), "000000000000001200000000000000ab");
  EXPECT_EQ(fields.at("raft_digest_last_ok_index"), "76");
  EXPECT_EQ(fields.at("raft_digest_last_ok_time"), "1700000001");
  EXPECT_EQ(fields.at("raft_digest_last_mismatch"), "two  lines");
}

TEST(InfoStats, ShowsTheCountersUntilTheyAreReset) {
  LocalWorld world;
  world.host.stats_field.commands_processed = 12;
  world.host.stats_field.keyspace_hits = 3;
  world.host.stats_field.ops_per_second = 41.7;
  world.host.stats_field.input_kbps = 1.005;
  world.host.stats_field.errors["ERR"] = 2;
  world.host.stats_field.errors["MOVED"] = 3;
  auto fields = info_of(world, {"stats"}).fields;
  EXPECT_EQ(fields.at("total_commands_processed"), "12");
  EXPECT_EQ(fields.at("keyspace_hits"), "3");
  EXPECT_EQ(fields.at("instantaneous_ops_per_sec"), "41");
  EXPECT_EQ(fields.at("instantaneous_input_kbps"), "1.00");
  EXPECT_EQ(fields.at("total_error_replies"), "5");

  CommandStats& counted_while_reset = world.host.stats_field.commands["config|resetstat"];
  counted_while_reset.calls = 1;
  EXPECT_EQ(world.run({"CONFIG", "RESETSTAT"}), "+OK\r\n");
  EXPECT_EQ(counted_while_reset.calls, 0);
  fields = info_of(world, {"stats", "errorstats", "commandstats"}).fields;
  EXPECT_EQ(fields.at("total_commands_processed"), "0");
  EXPECT_THAT(fields, Not(Contains(Key("errorstat_ERR"))));
  EXPECT_THAT(fields, Not(Contains(Key("cmdstat_config|resetstat"))));
  EXPECT_EQ(world.host.stats_field.resets, 1);
}

TEST(InfoCommandstats, WritesOneLineACommand) {
  LocalWorld world;
  world.host.stats_field.commands["get"] = {.calls = 4, .us = 10, .rejected = 1, .failed = 2};
  world.host.stats_field.commands["client|list"] = {.rejected = 1};
  const auto fields = info_of(world, {"commandstats"}).fields;
  EXPECT_EQ(fields.at("cmdstat_get"),
            "calls=4,usec=10,usec_per_call=2.50,rejected_calls=1,failed_calls=2");
  EXPECT_EQ(fields.at("cmdstat_client|list"),
            "calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0");
}

TEST(InfoErrorstats, WritesOneLineACode) {
  LocalWorld world;
  world.host.stats_field.errors["MOVED"] = 3;
  EXPECT_EQ(info_of(world, {"errorstats"}).fields.at("errorstat_MOVED"), "count=3");
}

TEST(InfoKeyspace, NamesTheDatabaseOnlyWhenItHasKeys) {
  LocalWorld world;
  EXPECT_THAT(info_of(world, {"keyspace"}).fields, IsEmpty());
  const auto now_ms = static_cast<data::TimeMs>(world.host.wall_us_field / 1000);
  world.host.keyspace_field.set_string("a", "1");
  world.host.keyspace_field.set_string("b", "1", now_ms + 5000);
  EXPECT_EQ(info_of(world, {"keyspace"}).fields.at("db0"), "keys=2,expires=1,avg_ttl=5000");
}

TEST(InfoReplication, NamesTheConnectedReplicasOnTheLeader) {
  LocalWorld world;
  world.host.status_field.commit = 50;
  world.host.status_field.peers[0].active = false;
  world.host.status_field.peers[1].match = 49;
  world.host.status_field.peers[1].silent_us = 1'500'000;
  const auto fields = info_of(world, {"replication"}).fields;
  EXPECT_EQ(fields.at("role"), "master");
  EXPECT_EQ(fields.at("connected_slaves"), "1");
  EXPECT_EQ(fields.at("slave0"), "ip=127.0.0.1,port=7003,state=online,offset=49,lag=1");
  EXPECT_EQ(fields.at("master_repl_offset"), "50");
  EXPECT_THAT(fields, Not(Contains(Key("slave1"))));
  EXPECT_THAT(fields, Not(Contains(Key("master_host"))));
}

TEST(InfoReplication, NamesTheLeaderOnAFollower) {
  LocalWorld world;
  world.host.lead(2);
  world.host.applied_field = 33;
  auto fields = info_of(world, {"replication"}).fields;
  EXPECT_EQ(fields.at("role"), "slave");
  EXPECT_EQ(fields.at("master_host"), "127.0.0.1");
  EXPECT_EQ(fields.at("master_port"), "7002");
  EXPECT_EQ(fields.at("master_link_status"), "up");
  EXPECT_EQ(fields.at("slave_repl_offset"), "33");
  EXPECT_EQ(fields.at("connected_slaves"), "0");

  world.host.lead(0);
  fields = info_of(world, {"replication"}).fields;
  EXPECT_EQ(fields.at("master_link_status"), "down");
  EXPECT_THAT(fields, Not(Contains(Key("master_host")))) << "an empty host would be dialled";
}

TEST(InfoRaft, TellsTheLeaderAboutItsPeers) {
  LocalWorld world;
  world.host.status_field.commit = 90;
  world.host.status_field.last = 100;
  world.host.status_field.durable = 95;
  world.host.applied_field = 89;
  world.host.snapshot_field = 10;
  world.host.log_time_us_field = 1'700'000'000'001'999;
  world.host.disk_field.first_index = 5;
  world.host.disk_field.log_bytes = 4096;
  world.host.disk_field.syncs = 7;
  world.host.disk_field.last_sync_us = 321;
  world.host.disk_field.sync_histogram = {1, 4, 2};
  raft::PeerStatus& peer = world.host.status_field.peers[0];
  peer.match = 97;
  peer.next = 99;
  peer.silent_us = 12'345;
  peer.inflight_messages = 2;
  const auto fields = info_of(world, {"raft"}).fields;
  EXPECT_EQ(fields.at("raft_node_id"), "1");
  EXPECT_EQ(fields.at("raft_role"), "leader");
  EXPECT_EQ(fields.at("raft_term"), "5");
  EXPECT_EQ(fields.at("raft_leader_id"), "1");
  EXPECT_EQ(fields.at("raft_leader_addr"), "127.0.0.1:7001");
  EXPECT_EQ(fields.at("raft_commit_index"), "90");
  EXPECT_EQ(fields.at("raft_applied_index"), "89");
  EXPECT_EQ(fields.at("raft_last_index"), "100");
  EXPECT_EQ(fields.at("raft_durable_index"), "95");
  EXPECT_EQ(fields.at("raft_snapshot_index"), "10");
  EXPECT_EQ(fields.at("raft_first_index"), "5");
  EXPECT_EQ(fields.at("raft_log_bytes"), "4096");
  EXPECT_EQ(fields.at("raft_log_time_ms"), "1700000000001");
  EXPECT_EQ(fields.at("raft_syncs"), "7");
  EXPECT_EQ(fields.at("raft_sync_us_last"), "321");
  EXPECT_EQ(fields.at("raft_sync_histogram"), "100us=1,200us=4,more=2");
  EXPECT_EQ(fields.at("raft_cluster_id"), world.host.cluster_id_field);
  EXPECT_EQ(fields.at("raft_members"), "3");
  EXPECT_EQ(fields.at("raft_peer0"),
            "id=2,addr=127.0.0.1:7002,role=voter,match=97,next=99,lag=3,active=1,silent_ms=12,"
            "inflight=2");
  EXPECT_THAT(fields, Contains(Key("raft_peer1")));
}

TEST(InfoRaft, TellsEveryRoleAndAnUnknownLeader) {
  LocalWorld world;
  world.host.lead(0);
  const std::pair<raft::Role, const char*> roles[] = {{raft::Role::kFollower, "follower"},
                                                      {raft::Role::kPreCandidate, "precandidate"},
                                                      {raft::Role::kCandidate, "candidate"}};
  for (const auto& [role, name] : roles) {
    world.host.status_field.role = role;
    const auto fields = info_of(world, {"RAFT"}).fields;
    EXPECT_EQ(fields.at("raft_role"), name);
    EXPECT_EQ(fields.at("raft_leader_id"), "0");
    EXPECT_EQ(fields.at("raft_leader_addr"), "");
    EXPECT_THAT(fields, Not(Contains(Key("raft_peer0"))));
  }
}

}  // namespace
}  // namespace raftkv::server
