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

// Clients that send one after the other, each `every_us` after the one before it, and are answered
// at once; until a moment at the end of a period of 10 ms.
class EvenLoad {
 public:
  EvenLoad(WriteGathering& gathering, size_t clients, uint64_t every_us)
      : gathering_(gathering), seen_(clients) {
    for (uint64_t now = 0; now < kNow; now += every_us) {
      gathering_.client_asks(seen_[next_++ % clients], now);
      gathering_.client_is_answered();
    }
  }
  // So many of them send now, and wait.
  void ask(size_t clients) {
    for (size_t i = 0; i < clients; ++i) gathering_.client_asks(seen_[i], kNow);
  }
  static constexpr uint64_t kNow = 30'000;

 private:
  WriteGathering& gathering_;
  std::vector<WriteGathering::Seen> seen_;
  size_t next_ = 0;
};

constexpr uint64_t kNow = EvenLoad::kNow;

TEST(WriteGathering, WaitsTwiceACommitFromOneBatchToTheNext) {
  WriteGathering gathering(kLongest);
  gathering.committed_in(300);
  EvenLoad load(gathering, 50, 100);
  load.ask(5);
  gathering.proposed(kNow);
  EXPECT_EQ(gathering.until_us(), kNow + 600);
  EXPECT_TRUE(gathering.waits(kNow + 599));
  EXPECT_FALSE(gathering.waits(kNow + 600));
}

TEST(WriteGathering, ASlowDiskMakesNoLongerPauseThanTheLongest) {
  WriteGathering gathering(kLongest);
  gathering.committed_in(50'000);
  gathering.proposed(kNow);
  EXPECT_EQ(gathering.until_us(), kNow + kLongest);
}

TEST(WriteGathering, ACommitIsOneOfManyThatItIsJudgedBy) {
  WriteGathering gathering(kLongest);
  gathering.committed_in(80);
  gathering.committed_in(400);
  gathering.proposed(0);
  EXPECT_EQ(gathering.until_us(), 2U * (7 * 80 + 400) / 8);
}

TEST(WriteGathering, ClientsOfWhomHalfWaitKeepNobodyWaiting) {
  WriteGathering gathering(kLongest);
  gathering.committed_in(400);
  EvenLoad load(gathering, 20, 100);
  gathering.proposed(kNow);
  load.ask(9);
  EXPECT_TRUE(gathering.waits(kNow));
  load.ask(1);
  EXPECT_FALSE(gathering.waits(kNow));
  gathering.client_is_answered();
  EXPECT_TRUE(gathering.waits(kNow));
}

TEST(WriteGathering, ALoneClientNeverWaits) {
  WriteGathering gathering(kLongest);
  gathering.committed_in(400);
  EvenLoad load(gathering, 1, 50);
  gathering.proposed(kNow);
  load.ask(1);
  EXPECT_FALSE(gathering.waits(kNow));
}

TEST(WriteGathering, FewWhoSendSeldomAreNotWaitedFor) {
  WriteGathering gathering(kLongest);
  gathering.committed_in(400);  // a pause of 800 us: four are expected in it if 50 come in 10 ms
  EvenLoad dense(gathering, 25, 200);
  gathering.proposed(kNow);
  EXPECT_TRUE(gathering.waits(kNow));

  WriteGathering other(kLongest);
  other.committed_in(400);
  EvenLoad thin(other, 25, 250);
  other.proposed(kNow);
  EXPECT_FALSE(other.waits(kNow));
}

TEST(WriteGathering, WhoSentLongAgoIsNotExpected) {
  WriteGathering gathering(kLongest);
  gathering.committed_in(400);
  EvenLoad load(gathering, 50, 100);
  constexpr uint64_t kLater = kNow + 20'000;
  gathering.proposed(kLater);
  EXPECT_FALSE(gathering.waits(kLater));
}

TEST(WriteGathering, NoneIfNoneIsAllowed) {
  WriteGathering gathering(0);
  gathering.committed_in(400);
  EvenLoad load(gathering, 50, 100);
  gathering.proposed(kNow);
  EXPECT_FALSE(gathering.waits(kNow));
}

// Twenty clients, of whom one sends each 100 us, on a disk that takes kSyncUs.
class GatheringReplica : public testing::Test {
 protected:
  explicit GatheringReplica(size_t voters = 1) : node({}, voters) {
    for (int i = 0; i < 20; ++i) clients.push_back(std::make_unique<Client>(node));
    for (int i = 0; i < 400; ++i) {
      send_one();
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
    // The next batch is due, and is proposed at once.
    node.pass_us(kLongest);
    send_one();
  }
  void send_one() {
    ASSERT_TRUE(clients[next++ % clients.size()]->send("SET key value"));
    node.turn();
  }
  void finish() {
    node.finish_writes();
    node.deliver_answers();
    node.turn();
  }
  raft::Index last() { return node.replica().node().last_index(); }

  OneNode node;
  std::vector<std::unique_ptr<Client>> clients;
  size_t next = 0;
  raft::Index written = 0;
  raft::MonotonicUs began_us = 0;  // of the write that is under way; 0: none
};

TEST_F(GatheringReplica, WritesOfSeveralTurnsShareAnEntry) {
  finish();
  for (auto& client : clients) client->take();
  const raft::Index before = last();
  for (int i = 0; i < 4; ++i) {
    node.pass_us(100);
    send_one();
    EXPECT_EQ(last(), before) << i;
  }
  const raft::MonotonicUs due = node.replica().next_deadline();
  EXPECT_GT(due, node.now_monotonic_us());
  EXPECT_LE(due, node.now_monotonic_us() + kLongest);
  node.pass_us(due - node.now_monotonic_us());
  node.turn();
  EXPECT_EQ(last(), before + 1);
  finish();
  for (size_t i = next - 4; i < next; ++i) {
    EXPECT_EQ(clients[i % clients.size()]->take(), "+OK\r\n");
  }
}

TEST_F(GatheringReplica, ButNotWhenHalfOfTheClientsWait) {
  const raft::Index before = last();  // one waits already
  for (int i = 0; i < 8; ++i) {
    send_one();
    EXPECT_EQ(last(), before) << i;
  }
  send_one();
  EXPECT_EQ(last(), before + 1);
}

TEST_F(GatheringReplica, AReadDoesNotWaitForTheWritesThatGather) {
  finish();
  send_one();
  const raft::Index before = last();
  Client reader(node);
  EXPECT_EQ(reader.call("GET key"), "$5\r\nvalue\r\n");
  EXPECT_EQ(last(), before);
}

class GatheringLeader : public GatheringReplica {
 protected:
  GatheringLeader() : GatheringReplica(3) {}
};

TEST_F(GatheringLeader, WhoIsDeposedTellsThoseWhoWaitAndLeavesNoDeadline) {
  finish();
  for (auto& client : clients) client->take();
  const raft::Index before = last();
  send_one();
  ASSERT_EQ(last(), before);
  node.depose();
  node.turn();
  EXPECT_TRUE(clients[(next - 1) % clients.size()]->take().starts_with("-MOVED"));
  node.pass_us(kLongest);
  node.turn();
  EXPECT_GT(node.replica().next_deadline(), node.now_monotonic_us());
}

}  // namespace
}  // namespace raftkv
