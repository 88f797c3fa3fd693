// SAVE: who waits, for what, and what it is told.
#include <gtest/gtest.h>

#include "tests/support/one_node.h"

namespace raftkv {
namespace {

using test::Client;
using test::OneNode;

server::ReplicaOptions only_when_asked() {
  server::ReplicaOptions options;
  options.snapshots.limits.log_bytes = 0;
  return options;
}

// Walks a hundred keys or so a turn.
server::ReplicaOptions slowly() {
  server::ReplicaOptions options = only_when_asked();
  options.snapshots.slice_us = 0;
  return options;
}

void fill(OneNode& node, int keys) {
  Client client(node);
  std::string command = "MSET";
  for (int i = 0; i < keys; ++i) command += " key:" + std::to_string(i) + " v";
  ASSERT_EQ(client.call(command), "+OK\r\n");
}

TEST(Save, AnswersWhenAStartWouldBeginWithTheSnapshotAndNotBefore) {
  OneNode node(only_when_asked());
  fill(node, 5);
  node.stop_disk();
  Client client(node);
  EXPECT_FALSE(client.send("SAVE"));
  node.settle();
  // The file is there; that it is the newest is still on its way to the log's disk.
  EXPECT_EQ(node.replica().snapshot_status().saves, 1u);
  EXPECT_FALSE(client.may_resume_called());
  EXPECT_EQ(node.replica().blocked_count(), 1u);
  node.start_disk();
  node.settle();
  EXPECT_TRUE(client.may_resume_called());
  EXPECT_EQ(client.call("SAVE"), "+OK\r\n");
  EXPECT_EQ(node.replica().snapshot_status().recorded_index, 2u);
  EXPECT_EQ(node.replica().blocked_count(), 0u);
}

TEST(Save, HoldsUpNobodyElse) {
  OneNode node(only_when_asked());
  fill(node, 5);
  node.stop_disk();
  Client client(node);
  Client other(node);
  EXPECT_FALSE(client.send("SAVE"));
  EXPECT_EQ(other.call("GET key:1"), "$1\r\nv\r\n");
}

TEST(Save, CoversWhatItsConnectionSentBefore) {
  OneNode node(only_when_asked());
  Client client(node);
  EXPECT_TRUE(client.send("SET a 1"));
  EXPECT_EQ(client.call("SAVE"), "+OK\r\n+OK\r\n");
  const raft::Index index = node.replica().snapshot_status().index;
  const auto snapshot = node.read_snapshot({.term = node.replica().node().term(), .index = index});
  ASSERT_TRUE(snapshot.has_value()) << snapshot.error();
  EXPECT_EQ(snapshot->keyspace.size(), 1u);
}

TEST(Save, TakesNoneWhereNothingIsNew) {
  OneNode node(only_when_asked());
  fill(node, 5);
  Client client(node);
  EXPECT_EQ(client.call("SAVE"), "+OK\r\n");
  EXPECT_EQ(client.call("SAVE"), "+OK\r\n");
  EXPECT_EQ(node.replica().snapshot_status().saves, 1u);
}

TEST(Save, AFailureIsToldWithItsCause) {
  OneNode node(only_when_asked());
  fill(node, 5);
  node.snapshot_files().fail_next_write("no space left on device");
  Client client(node);
  EXPECT_EQ(client.call("SAVE"), "-ERR the snapshot failed: no space left on device\r\n");
  EXPECT_EQ(client.call("SAVE"), "+OK\r\n");
}

TEST(Save, AnOlderSnapshotUnderWayIsNotItsAnswer) {
  OneNode node(slowly());
  fill(node, 2000);
  ASSERT_TRUE(node.replica().request_snapshot());
  node.turn();
  ASSERT_TRUE(node.replica().snapshot_status().in_progress);
  Client client(node);
  EXPECT_TRUE(client.send("SET later 1"));
  node.turn();
  node.finish_writes();
  node.turn();
  ASSERT_TRUE(node.replica().snapshot_status().in_progress);
  EXPECT_EQ(client.call("SAVE"), "+OK\r\n+OK\r\n");
  EXPECT_EQ(node.replica().snapshot_status().saves, 2u);
  EXPECT_EQ(node.replica().snapshot_status().recorded_index, 3u);
}

TEST(Save, AnOlderSnapshotThatFailsIsNotItsFailure) {
  OneNode node(slowly());
  fill(node, 2000);
  node.snapshot_files().fail_next_write("no space left on device");
  ASSERT_TRUE(node.replica().request_snapshot());
  node.turn();
  Client client(node);
  EXPECT_TRUE(client.send("SET later 1"));
  node.turn();
  node.finish_writes();
  node.turn();
  ASSERT_TRUE(node.replica().snapshot_status().in_progress);
  EXPECT_EQ(client.call("SAVE"), "+OK\r\n+OK\r\n");
  EXPECT_EQ(node.replica().snapshot_status().failures, 1u);
  EXPECT_EQ(node.replica().snapshot_status().saves, 1u);
}

TEST(Save, ASnapshotOfTheLeadersThatIsInstalledMeanwhileCounts) {
  OneNode leader(only_when_asked());
  fill(leader, 10);
  Client writer(leader);
  for (int i = 0; i < 20; ++i) writer.call("INCR n");
  EXPECT_EQ(writer.call("SAVE"), "+OK\r\n");
  const raft::Index index = leader.replica().snapshot_status().index;
  auto snapshot = leader.read_snapshot({.term = leader.replica().node().term(), .index = index});
  ASSERT_TRUE(snapshot.has_value()) << snapshot.error();

  OneNode follower(slowly(), 3);
  fill(follower, 2000);
  follower.depose();
  follower.settle();
  Client client(follower);
  EXPECT_FALSE(client.send("SAVE"));
  follower.turn();
  ASSERT_TRUE(follower.replica().snapshot_status().in_progress);
  ASSERT_TRUE(follower.replica().install(std::move(*snapshot)));
  EXPECT_EQ(client.call("SAVE"), "+OK\r\n");
  EXPECT_EQ(follower.replica().snapshot_status().saves, 0u);
}

TEST(Save, IsRefusedWhereThereIsNothingToSave) {
  OneNode node(OneNode::Waiting{});
  Client client(node);
  EXPECT_EQ(client.call("SAVE"), "-ERR this node has nothing to save yet\r\n");
}

TEST(Save, IsRefusedWhileTheDatasetIsLoaded) {
  OneNode node(only_when_asked());
  fill(node, 5);
  {
    Client client(node);
    ASSERT_EQ(client.call("SAVE"), "+OK\r\n");
  }
  const server::StartPoint start = node.restart();
  ASSERT_NE(start.snapshot.index, 0u);
  Client client(node);
  EXPECT_TRUE(client.call("SAVE").starts_with("-LOADING"));
}

TEST(Save, HasNoPlaceInATransaction) {
  OneNode node(only_when_asked());
  Client client(node);
  EXPECT_EQ(client.call("MULTI"), "+OK\r\n");
  EXPECT_EQ(client.call("SAVE"), "-ERR Command not allowed inside a transaction\r\n");
  EXPECT_TRUE(client.call("EXEC").starts_with("-EXECABORT"));
}

TEST(Save, AConnectionMayCloseWhileItWaits) {
  OneNode node(only_when_asked());
  fill(node, 5);
  node.stop_disk();
  {
    Client client(node);
    EXPECT_FALSE(client.send("SAVE"));
    node.settle();
  }
  node.start_disk();
  node.settle();
  EXPECT_EQ(node.replica().snapshot_status().recorded_index, 2u);
}

}  // namespace
}  // namespace raftkv
