// A node whose disk has no room for more.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/one_node.h"

namespace raftkv {
namespace {

using test::Client;
using test::OneNode;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

TEST(DiskFull, WritesAreRefusedAndReadsGoOn) {
  OneNode node;
  Client client(node);
  client.call("SET x 1");
  const raft::Index last = node.replica().node().last_index();
  node.fill_disk(true);
  EXPECT_THAT(client.call("SET x 2"), StartsWith("-MISCONF the disk"));
  EXPECT_THAT(client.call("DEL x"), StartsWith("-MISCONF"));
  EXPECT_EQ(client.call("GET x"), "$1\r\n1\r\n");
  EXPECT_EQ(node.replica().node().last_index(), last) << "a refused write entered the log";
  node.fill_disk(false);
  EXPECT_EQ(client.call("SET x 2"), "+OK\r\n");
}

TEST(DiskFull, WhatWasAcceptedBeforeIsAnsweredWhenThereIsRoom) {
  OneNode node;
  Client client(node);
  node.stop_disk();
  ASSERT_TRUE(client.send("SET x 1"));
  node.settle();
  node.fill_disk(true);
  ASSERT_TRUE(client.send("SET x 2"));
  node.settle();
  EXPECT_EQ(client.take(), "");
  node.fill_disk(false);
  node.start_disk();
  node.settle();
  const std::string replies = client.take();
  EXPECT_THAT(replies, StartsWith("+OK\r\n-MISCONF"));
  EXPECT_EQ(client.call("GET x"), "$1\r\n1\r\n");
}

TEST(DiskFull, ATransactionThatWritesIsRefusedWhereverTheDiskFills) {
  OneNode node;
  Client client(node);
  client.call("MULTI");
  node.fill_disk(true);
  EXPECT_THAT(client.call("SET x 1"), StartsWith("-MISCONF"));
  EXPECT_THAT(client.call("EXEC"), StartsWith("-EXECABORT"));
  client.call("MULTI");
  node.fill_disk(false);
  EXPECT_EQ(client.call("SET x 1"), "+QUEUED\r\n");
  node.fill_disk(true);
  EXPECT_THAT(client.call("EXEC"),
              StartsWith("-EXECABORT Transaction discarded because of: MISCONF"));
  client.call("MULTI");
  EXPECT_EQ(client.call("GET x"), "+QUEUED\r\n");
  EXPECT_EQ(client.call("EXEC"), "*1\r\n$-1\r\n");
}

TEST(DiskFull, AKeyExpiresForReadersAndNothingIsProposedForIt) {
  OneNode node;
  Client client(node);
  client.call("SET x 1 PX 100");
  node.fill_disk(true);
  const raft::Index last = node.replica().node().last_index();
  node.pass_ms(200);
  node.settle();
  EXPECT_EQ(node.replica().node().last_index(), last);
}

TEST(DiskFull, ALeaderHandsOverAndDoesNotHurryIfThatChangesNothing) {
  OneNode node({}, 3);
  node.pass_ms(100);
  node.fill_disk(true);
  node.settle();
  EXPECT_THAT(node.told_to_lead, IsEmpty()) << "it has led for too short a time";
  for (int i = 0; i < 60; ++i) {
    node.pass_ms(50);
    node.settle();
  }
  EXPECT_THAT(node.told_to_lead, SizeIs(1));
  // Nobody took over: the same again, but not at once.
  for (int i = 0; i < 40; ++i) {
    node.pass_ms(50);
    node.settle();
  }
  EXPECT_THAT(node.told_to_lead, SizeIs(1));
  EXPECT_TRUE(node.replica().node().is_leader());
}

}  // namespace
}  // namespace raftkv
