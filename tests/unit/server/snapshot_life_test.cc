// A replica's snapshots: when they are taken, what is cut behind them, and how a state comes back
// from one.
#include <gtest/gtest.h>

#include "tests/support/one_node.h"

namespace raftkv {
namespace {

using test::Client;
using test::OneNode;

server::ReplicaOptions every(uint64_t entries, uint64_t tail = 0) {
  server::ReplicaOptions options;
  options.snapshots.limits.log_bytes = 0;
  options.snapshots.limits.log_entries = entries;
  options.snapshots.limits.tail_entries = tail;
  return options;
}

// Each is an entry of its own.
void write(OneNode& node, int from, int to) {
  Client client(node);
  for (int i = from; i < to; ++i) {
    const std::string n = std::to_string(i);
    ASSERT_EQ(client.call("SET key:" + n + " value:" + n), "+OK\r\n");
  }
}

void expect_there(OneNode& node, int from, int to) {
  Client client(node);
  for (int i = from; i < to; ++i) {
    const std::string value = "value:" + std::to_string(i);
    EXPECT_EQ(client.call("GET key:" + std::to_string(i)),
              "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n");
  }
}

TEST(SnapshotLife, OneIsTakenOfExactlyTheEntryAtWhichItIsDue) {
  OneNode node(every(30));
  write(node, 0, 28);  // the no-op is entry 1
  EXPECT_EQ(node.replica().snapshot_status().index, 0u);
  write(node, 28, 40);
  EXPECT_EQ(node.replica().snapshot_status().index, 30u);
  EXPECT_EQ(node.replica().snapshot_status().saves, 1u);
  const auto snapshot = node.read_snapshot({.term = node.replica().node().term(), .index = 30});
  ASSERT_TRUE(snapshot.has_value()) << snapshot.error();
  EXPECT_EQ(snapshot->keyspace.size(), 29u);
}

TEST(SnapshotLife, AFollowerThatAppliesManyEntriesAtOnceTakesItOfTheSameOne) {
  OneNode node(every(30), 3);
  node.depose();
  node.settle();
  const raft::Index last = node.replica().node().last_index();
  for (raft::Index i = last; i < 45; ++i) node.follow_entry(1'800'000'000'000'000);
  node.settle();
  EXPECT_EQ(node.replica().state().applied_index(), 45u);
  EXPECT_EQ(node.replica().snapshot_status().index, 30u);
}

TEST(SnapshotLife, TheLogIsCutBehindItButForATail) {
  OneNode node(every(30, 10));
  write(node, 0, 40);
  EXPECT_EQ(node.replica().node().first_index(), 21u);
  EXPECT_EQ(node.log_store().stats().first_index, 21u);
}

TEST(SnapshotLife, ASnapshotByBytesIsDueWhenSoManyWereApplied) {
  server::ReplicaOptions options;
  options.snapshots.limits.log_bytes = 2000;
  OneNode node(options);
  write(node, 0, 10);
  EXPECT_EQ(node.replica().snapshot_status().index, 0u);
  write(node, 10, 60);
  EXPECT_GT(node.replica().snapshot_status().index, 0u);
}

TEST(SnapshotLife, ARestartedNodeHasTheSnapshotAndTheLogBehindIt) {
  OneNode node(every(30));
  write(node, 0, 50);
  const auto digest = node.replica().state().digest();
  const server::StartPoint start = node.restart();
  EXPECT_EQ(start.snapshot.index, 30u);
  EXPECT_TRUE(node.replica().loading());
  auto snapshot = node.read_snapshot(start.snapshot);
  ASSERT_TRUE(snapshot.has_value()) << snapshot.error();
  node.replica().loaded(std::move(*snapshot));
  node.become_leader();
  EXPECT_FALSE(node.replica().loading());
  EXPECT_EQ(node.replica().state().digest(), digest);
  expect_there(node, 0, 50);
}

TEST(SnapshotLife, NothingIsAppliedOrServedBeforeTheStateIsLoaded) {
  OneNode node(every(30));
  write(node, 0, 50);
  const server::StartPoint start = node.restart();
  for (int i = 0; i < 100; ++i) {
    node.pass_ms(50);
    node.settle();
  }
  EXPECT_EQ(node.replica().state().applied_index(), 0u);
  EXPECT_FALSE(node.replica().node().is_leader()) << "whoever leads must serve";
  {
    Client client(node);
    EXPECT_TRUE(client.call("GET key:1").starts_with("-LOADING"));
  }
  node.replica().loaded(std::move(*node.read_snapshot(start.snapshot)));
  node.become_leader();
  expect_there(node, 0, 50);
}

TEST(SnapshotLife, WithoutTheNewestFileTheOlderOneAndTheLogDo) {
  OneNode node(every(30, 1000));
  write(node, 0, 70);
  const raft::Term term = node.replica().node().term();
  ASSERT_EQ(node.replica().snapshot_status().index, 60u);
  ASSERT_TRUE(node.snapshot_files().remove({.term = term, .index = 60}).has_value());
  const server::StartPoint start = node.restart();
  EXPECT_EQ(start.snapshot.index, 30u);
  EXPECT_NE(start.notice, "");
  node.replica().loaded(std::move(*node.read_snapshot(start.snapshot)));
  node.become_leader();
  expect_there(node, 0, 70);
}

// The log's metadata name the lost one, and do not go back to an older one.
TEST(SnapshotLife, NoneIsTakenBeforeOneThatIsRecordedAndLost) {
  OneNode node(every(30, 1000));
  write(node, 0, 40);
  ASSERT_EQ(node.replica().snapshot_status().recorded_index, 30u);
  ASSERT_TRUE(node.replica().request_snapshot());
  node.settle();
  const raft::Index lost = node.replica().snapshot_status().recorded_index;
  ASSERT_GT(lost, 35u);
  const raft::Term term = node.replica().node().term();
  ASSERT_TRUE(node.snapshot_files().remove({.term = term, .index = lost}).has_value());
  node.options().snapshots.limits.log_entries = 5;  // due at once, on the way through the log
  const server::StartPoint start = node.restart();
  EXPECT_EQ(start.snapshot.index, 30u);
  node.replica().loaded(std::move(*node.read_snapshot(start.snapshot)));
  node.become_leader();
  node.settle();
  EXPECT_GE(node.replica().snapshot_status().recorded_index, lost);
  const server::StartPoint again = node.restart();
  EXPECT_GE(again.snapshot.index, lost);
  EXPECT_EQ(again.notice, "");
}

TEST(SnapshotLife, WithoutAnyFileANodeNeitherVotesNorGuesses) {
  OneNode node(every(30), 3);
  write(node, 0, 40);
  const raft::Index last = node.replica().node().last_index();
  const std::vector<storage::SnapshotInfo> files = *node.snapshot_files().list();
  for (const storage::SnapshotInfo& file : files) {
    ASSERT_TRUE(node.snapshot_files().remove(file.id).has_value());
  }
  const server::StartPoint start = node.restart();
  EXPECT_EQ(start.snapshot.index, 0u);
  EXPECT_NE(start.notice, "");
  for (int i = 0; i < 100; ++i) {
    node.pass_ms(50);
    node.settle();
  }
  EXPECT_FALSE(node.replica().node().is_leader()) << "it lost what it had acknowledged";
  EXPECT_TRUE(node.replica().raft_status().repairing);
  EXPECT_LT(node.replica().node().last_index(), last);
}

TEST(SnapshotLife, OnlyTheNewestFileAndTheOneBeforeAreKept) {
  OneNode node(every(10));
  write(node, 0, 60);
  const std::vector<storage::SnapshotInfo> files = *node.snapshot_files().list();
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].id.index, 60u);
  EXPECT_EQ(files[1].id.index, 50u);
}

TEST(SnapshotLife, TheOldFileStaysUntilTheNewOneIsRecorded) {
  OneNode node(every(10));
  write(node, 0, 28);
  ASSERT_EQ(node.replica().snapshot_status().index, 20u);
  node.stop_disk();
  // The file is finished at once, its record waits for the log's disk.
  {
    Client client(node);
    ASSERT_TRUE(node.replica().request_snapshot());
    node.settle();
  }
  ASSERT_GT(node.replica().snapshot_status().index, 20u);
  const server::StartPoint start = node.restart();
  EXPECT_EQ(start.snapshot.index, 20u) << "the record of the newer one was lost with the process";
}

TEST(SnapshotLife, AFailedOneIsTriedAgainLater) {
  OneNode node(every(30));
  node.snapshot_files().fail_next_write("no space left on device");
  write(node, 0, 40);
  EXPECT_EQ(node.replica().snapshot_status().index, 0u);
  EXPECT_EQ(node.replica().snapshot_status().failures, 1u);
  EXPECT_NE(node.replica().snapshot_status().error, "");
  write(node, 40, 45);
  EXPECT_EQ(node.replica().snapshot_status().failures, 1u) << "not again at once";
  node.pass_ms(11'000);
  write(node, 45, 46);
  node.settle();
  EXPECT_GE(node.replica().snapshot_status().index, 46u);
  EXPECT_EQ(node.replica().snapshot_status().error, "");
}

TEST(SnapshotLife, SessionsThatExecuteOnceComeBackToo) {
  OneNode node(every(0));
  std::string id;
  {
    Client client(node);
    id = client.call("RAFT.SESSION OPEN");
    id = id.substr(1, id.size() - 3);
    EXPECT_EQ(client.call("RAFT.ONCE " + id + " 1 INCR n"), ":1\r\n");
  }
  ASSERT_TRUE(node.replica().request_snapshot());
  node.settle();
  const server::StartPoint start = node.restart();
  ASSERT_NE(start.snapshot.index, 0u);
  node.replica().loaded(std::move(*node.read_snapshot(start.snapshot)));
  node.become_leader();
  Client client(node);
  EXPECT_EQ(client.call("RAFT.ONCE " + id + " 1 INCR n"), ":1\r\n") << "not executed again";
  EXPECT_EQ(client.call("GET n"), "$1\r\n1\r\n");
}

TEST(SnapshotLife, AFollowerTakesOverTheLeadersState) {
  OneNode leader(every(0));
  write(leader, 0, 50);
  ASSERT_TRUE(leader.replica().request_snapshot());
  leader.settle();
  const raft::Index index = leader.replica().snapshot_status().index;
  auto snapshot = leader.read_snapshot({.term = leader.replica().node().term(), .index = index});
  ASSERT_TRUE(snapshot.has_value()) << snapshot.error();

  OneNode follower({}, 3);
  write(follower, 100, 105);
  EXPECT_FALSE(follower.replica().wants_snapshot(snapshot->facts.meta)) << "it leads";
  follower.depose();
  follower.settle();
  ASSERT_TRUE(follower.replica().wants_snapshot(snapshot->facts.meta));
  EXPECT_TRUE(follower.replica().install(std::move(*snapshot)));
  follower.settle();
  EXPECT_EQ(follower.replica().state().applied_index(), index);
  EXPECT_EQ(follower.replica().state().digest(), leader.replica().state().digest());
  EXPECT_EQ(follower.log_store().stats().first_index, 0u) << "its own log is gone";
  EXPECT_EQ(follower.replica().snapshot_status().installs, 1u);
}

TEST(SnapshotLife, WhatWasNotDurableWhenItWasTakenIsCutWhenItIs) {
  OneNode node(every(0, 3), 3);
  node.depose();
  node.settle();
  const raft::Index first = node.log_store().stats().first_index;
  node.stop_disk();
  for (int i = 0; i < 10; ++i) node.follow_entry(1'800'000'000'000'000);
  node.settle();
  const raft::Index last = node.replica().node().last_index();
  ASSERT_EQ(node.replica().state().applied_index(), last)
      << "a majority without this node has them";
  ASSERT_TRUE(node.replica().request_snapshot());
  node.settle();
  ASSERT_EQ(node.replica().snapshot_status().index, last);
  ASSERT_EQ(node.log_store().stats().first_index, first);
  node.start_disk();
  node.settle();
  EXPECT_EQ(node.log_store().stats().first_index, last - 2) << "but for the tail";
  EXPECT_EQ(node.log_store().stats().last_index, last);
}

TEST(SnapshotLife, WhatAnInstalledOneHoldsIsCutFromALogThatAgreesWithIt) {
  OneNode leader(every(0));
  write(leader, 0, 5);
  ASSERT_TRUE(leader.replica().request_snapshot());
  leader.settle();
  auto snapshot = leader.read_snapshot(
      {.term = leader.replica().node().term(), .index = leader.replica().snapshot_status().index});
  ASSERT_TRUE(snapshot.has_value()) << snapshot.error();

  OneNode follower(every(0, 3), 3);
  const raft::Term before = follower.replica().node().term();
  follower.depose();
  follower.settle();
  // It has heard of ten entries, and not yet that they are committed.
  const raft::Node& node = follower.replica().node();
  raft::Append append{
      .prev_index = node.last_index(), .prev_term = before, .commit = 0, .entries = {}};
  for (uint64_t i = 1; i <= 10; ++i) {
    append.entries.push_back({.term = node.term(),
                              .index = append.prev_index + i,
                              .time_us = 1'800'000'000'000'000,
                              .kind = raft::EntryKind::kCommands,
                              .payload = std::make_shared<const std::string>()});
  }
  follower.replica().step({.from = 2, .to = 1, .term = node.term(), .body = append});
  follower.settle();
  raft::SnapshotMeta& meta = snapshot->facts.meta;
  meta.term = node.term();
  meta.index = node.last_index() - 2;
  meta.membership = node.membership().membership;
  const raft::Index index = meta.index;
  ASSERT_TRUE(follower.replica().install(std::move(*snapshot)));
  follower.settle();
  EXPECT_EQ(follower.log_store().stats().first_index, index - 2) << "but for the tail";
  EXPECT_EQ(follower.log_store().stats().last_index, index + 2);
}

}  // namespace
}  // namespace raftkv
