// When a batch waits for company, and that it never waits for nobody.
#include "server/replica/write_gathering.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/support/one_node.h"

namespace raftkv {
namespace {

using server::WriteGathering;
using test::Client;
using test::OneNode;

constexpr uint64_t kLongest = 1'000;
constexpr uint64_t kSyncUs = 400;

// The end of a period of 10 ms.
constexpr uint64_t kNow = 30'000;

// Has seen clients that write one after the other, each `every_us` after the one before it, until
// kNow; and a batch of theirs that took `commit_us`, and one that was proposed just now.
WriteGathering after_even_load(size_t clients, uint64_t every_us, uint64_t commit_us = kSyncUs) {
  WriteGathering gathering(kLongest);
  std::vector<WriteGathering::Wrote> wrote(clients);
  size_t next = 0;
  for (uint64_t now = 0; now < kNow; now += every_us) {
    gathering.client_writes(wrote[next++ % clients], now);
  }
  gathering.committed_in(commit_us);
  gathering.proposed(kNow);
  return gathering;
}

TEST(WriteGathering, WaitsTwiceACommitFromOneBatchToTheNext) {
  WriteGathering gathering = after_even_load(50, 100, 300);
  EXPECT_EQ(gathering.until_us(), kNow + 600);
  EXPECT_TRUE(gathering.waits(kNow + 599, 5));
  EXPECT_FALSE(gathering.waits(kNow + 600, 5));
}

TEST(WriteGathering, ASlowDiskMakesNoLongerPauseThanTheLongest) {
  EXPECT_EQ(after_even_load(50, 100, 50'000).until_us(), kNow + kLongest);
}

TEST(WriteGathering, ACommitIsOneOfManyThatItIsJudgedBy) {
  WriteGathering gathering(kLongest);
  gathering.committed_in(80);
  gathering.committed_in(400);
  gathering.proposed(0);
  EXPECT_EQ(gathering.until_us(), 2U * (7 * 80 + 400) / 8);
}

// So that the commits after it are judged by others than that one.
TEST(WriteGathering, AStalledCommitCountsAsTheLongest) {
  WriteGathering gathering(kLongest);
  gathering.committed_in(80);
  gathering.committed_in(1'000'000);
  gathering.proposed(0);
  EXPECT_EQ(gathering.until_us(), 2U * (7 * 80 + kLongest) / 8);
}

TEST(WriteGathering, ClientsOfWhomAThirdWaitKeepNobodyWaiting) {
  WriteGathering gathering = after_even_load(21, 100);
  EXPECT_TRUE(gathering.waits(kNow, 6));
  EXPECT_FALSE(gathering.waits(kNow, 7));
}

TEST(WriteGathering, ALoneClientNeverWaits) {
  EXPECT_FALSE(after_even_load(1, 50).waits(kNow, 1));
}

// A pause of 800 us: four are expected in it if 50 come in 10 ms.
TEST(WriteGathering, FewWhoWriteSeldomAreNotWaitedFor) {
  EXPECT_TRUE(after_even_load(25, 200).waits(kNow, 1));
  EXPECT_FALSE(after_even_load(25, 250).waits(kNow, 1));
}

TEST(WriteGathering, WhoWroteLongAgoIsNotExpected) {
  WriteGathering gathering = after_even_load(50, 100);
  constexpr uint64_t kLater = kNow + 20'000;
  gathering.proposed(kLater);
  EXPECT_FALSE(gathering.waits(kLater, 1));
  // Nor are others, of whom it is not known yet how often they write.
  for (int client = 0; client < 5; ++client) {
    WriteGathering::Wrote wrote = 0;
    gathering.client_writes(wrote, kLater);
  }
  EXPECT_FALSE(gathering.waits(kLater, 1));
}

// Twenty clients, of whom one sends each 100 us, on a disk that takes kSyncUs. The last one's write
// is on its way.
struct GatheringWorld {
  struct Plan {
    server::ReplicaOptions options = {};
    size_t voters = 1;
    size_t writers = 20;  // the others read
  };
  GatheringWorld() : GatheringWorld(Plan()) {}
  explicit GatheringWorld(const Plan& plan) : node(plan.options, plan.voters) {
    for (int i = 0; i < 20; ++i) clients.push_back(std::make_unique<Client>(node));
    raft::Index written = last();
    raft::MonotonicUs began_us = 0;  // of the write that is under way; 0: none
    for (int i = 0; i < 400; ++i) {
      send_one(next % clients.size() < plan.writers ? "SET key value" : "GET key");
      node.pass_us(100);
      if (written == last()) continue;
      if (began_us == 0) began_us = node.now_monotonic_us() - 100;
      if (node.now_monotonic_us() < began_us + kSyncUs) continue;
      written = last();
      began_us = 0;
      finish();
    }
    // What still gathers.
    node.pass_us(kLongest);
    node.turn();
    finish();
    for (auto& client : clients) client->take();
    // The next batch is due, and is proposed at once.
    node.pass_us(kLongest);
    send_one();
  }
  void send_one(const char* command = "SET key value") {
    ASSERT_TRUE(client(next++).send(command));
    node.turn();
  }
  void finish() {
    node.finish_writes();
    node.deliver_answers();
    node.turn();
  }
  Client& client(size_t number) { return *clients[number % clients.size()]; }
  raft::Index last() { return node.replica().node().last_index(); }

  OneNode node;
  std::vector<std::unique_ptr<Client>> clients;
  size_t next = 0;
};

TEST(GatheringReplica, NoneIfNoneIsAllowed) {
  server::ReplicaOptions options;
  options.gathering_us_max = 0;
  GatheringWorld world({.options = options});
  world.finish();
  const raft::Index before = world.last();
  world.send_one();
  world.send_one();
  EXPECT_EQ(world.last(), before + 2);
}

TEST(GatheringReplica, WritesOfSeveralTurnsShareAnEntry) {
  GatheringWorld world;
  world.finish();
  const raft::Index before = world.last();
  for (int i = 0; i < 4; ++i) {
    world.node.pass_us(100);
    world.send_one();
    EXPECT_EQ(world.last(), before) << i;
  }
  const raft::MonotonicUs due = world.node.replica().next_deadline();
  EXPECT_GT(due, world.node.now_monotonic_us());
  EXPECT_LE(due, world.node.now_monotonic_us() + kLongest);
  world.node.pass_us(due - world.node.now_monotonic_us());
  world.node.turn();
  EXPECT_EQ(world.last(), before + 1);
  world.finish();
  for (size_t i = world.next - 4; i < world.next; ++i) {
    EXPECT_EQ(world.client(i).take(), "+OK\r\n");
  }
}

TEST(GatheringReplica, ButNotWhenAThirdOfTheClientsWaits) {
  GatheringWorld world;
  const raft::Index before = world.last();  // one waits already
  for (int i = 0; i < 5; ++i) {
    world.send_one();
    EXPECT_EQ(world.last(), before) << i;
  }
  world.send_one();
  EXPECT_EQ(world.last(), before + 1);
}

TEST(GatheringReplica, APipelineIsOneClient) {
  GatheringWorld world;
  world.finish();
  const raft::Index before = world.last();
  for (int i = 0; i < 16; ++i) ASSERT_TRUE(world.client(7).send("SET key value"));
  world.node.turn();
  EXPECT_EQ(world.last(), before);
}

TEST(GatheringReplica, NobodyWaitsForReaders) {
  GatheringWorld world({.writers = 1});
  world.finish();
  const raft::Index before = world.last();
  world.send_one();
  EXPECT_EQ(world.last(), before + 1);
}

TEST(GatheringReplica, AReadDoesNotWaitForTheWritesThatGather) {
  GatheringWorld world;
  world.finish();
  world.send_one();
  const raft::Index before = world.last();
  Client reader(world.node);
  EXPECT_EQ(reader.call("GET key"), "$5\r\nvalue\r\n");
  EXPECT_EQ(world.last(), before);
}

TEST(GatheringReplica, WhoIsDeposedTellsThoseWhoWaitAndLeavesNoDeadline) {
  GatheringWorld world({.voters = 3});
  world.finish();
  const raft::Index before = world.last();
  world.send_one();
  ASSERT_EQ(world.last(), before);
  world.node.depose();
  world.node.turn();
  EXPECT_TRUE(world.client(world.next - 1).take().starts_with("-MOVED"));
  world.node.pass_us(kLongest);
  world.node.turn();
  EXPECT_GT(world.node.replica().next_deadline(), world.node.now_monotonic_us());
}

}  // namespace
}  // namespace raftkv
