// Whole replicas on a network without faults, of which some have other data than they should: they
// are found, take themselves out, and come back with the right ones.
#include <gtest/gtest.h>

#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "raft/codec.h"
#include "tests/sim/sim_node.h"

namespace raftkv::sim {
namespace {

constexpr uint64_t kSecond = 1'000'000;

class Client final : public server::SessionOwner {
 public:
  void output_ready() override {}
  void may_resume() override {}
};

class Group {
 public:
  explicit Group(size_t size, uint64_t snapshot_entries = 0) {
    std::vector<server::Member> members;
    for (uint64_t id = 1; id <= size; ++id) {
      const auto port = static_cast<uint16_t>(7000 + id);
      members.push_back({id, "node", port, "node", static_cast<uint16_t>(port + 10'000)});
    }
    for (const server::Member& member : members) {
      NodeProfile profile;
      profile.hash_seed = member.id;
      profile.options.digest_interval_us = 2 * kSecond;
      profile.options.snapshots.limits.log_bytes = 0;
      profile.options.snapshots.limits.log_entries = snapshot_entries;
      profile.options.snapshots.limits.tail_entries = 0;
      nodes_.push_back(std::make_unique<SimNode>(
          world_, trace_, member.id, members, profile,
          [this](const raft::Message& message) { route(message); },
          [this](const SnapshotTransfer& transfer) { carry(transfer); }));
      nodes_.back()->expect_differences();
      nodes_.back()->start();
    }
    leader();
  }

  SimNode& node(uint64_t id) { return *nodes_[id - 1]; }
  void pass(uint64_t us) { world_.run_until(world_.now_us() + us); }
  SimNode& leader() {
    for (int i = 0; i < 1000; ++i) {
      for (auto& node : nodes_) {
        if (node->up() && node->replica().node().is_leader()) return *node;
      }
      pass(10'000);
    }
    throw std::runtime_error("nobody leads");
  }
  SimNode& follower() { return node(leader().id() == 1 ? 2 : 1); }

  // At `node`; the reply, or nothing if the connection is lost.
  std::string call(SimNode& node, const std::string& command) {
    Client client;
    server::Session* session = node.connect(client);
    const uint64_t life = node.life();
    node.before_end = [&](SimNode&) { session->close(); };
    node.enqueue([&, command] {
      std::istringstream words(command);
      std::vector<std::string> owned;
      for (std::string word; words >> word;) owned.push_back(word);
      session->execute(std::vector<std::string_view>(owned.begin(), owned.end()));
    });
    for (int i = 0; i < 500 && life == node.life() && session->output().empty(); ++i) pass(10'000);
    if (life != node.life()) return "";
    const std::string reply = session->output();
    session->close();
    node.before_end = nullptr;
    return reply;
  }
  void write(int from, int to) {
    for (int i = from; i < to; ++i) {
      const std::string n = std::to_string(i);
      ASSERT_EQ(call(leader(), "SET key:" + n + " value:" + n), "+OK\r\n");
    }
  }
  // One value of one node is not what was written.
  void damage(SimNode& node, const std::string& value = "wrong") {
    node.replica().state().keyspace().set_string("key:3", value);
  }
  // All have applied the same, and hold the same.
  void expect_agreement() {
    const raft::Index applied = leader().applied_index();
    const auto digest = leader().replica().state().digest();
    for (auto& node : nodes_) {
      EXPECT_EQ(node->applied_index(), applied) << "node " << node->id();
      EXPECT_EQ(node->replica().state().digest(), digest) << "node " << node->id();
    }
    EXPECT_EQ(call(leader(), "GET key:3"), "$7\r\nvalue:3\r\n");
  }

 private:
  void route(const raft::Message& message) {
    std::string bytes;
    raft::encode_message(message, bytes);
    world_.after(500, [this, bytes] {
      raft::Message arrived = *raft::decode_message(bytes);
      const raft::NodeId to = arrived.to;
      node(to).deliver(std::move(arrived));
    });
  }
  void carry(const SnapshotTransfer& transfer) {
    world_.after(5000, [this, transfer] {
      if (!node(transfer.to).up()) return transfer.done(0);
      node(transfer.to).receive_snapshot(transfer, transfer.done);
    });
  }

  World world_{7};
  Trace trace_{world_};
  std::vector<std::unique_ptr<SimNode>> nodes_;
};

TEST(DigestSim, ReplicasThatAgreeGoOn) {
  Group group(3);
  group.write(0, 20);
  group.pass(5 * kSecond);
  for (uint64_t id : {1, 2, 3}) {
    EXPECT_EQ(group.node(id).replica().digest_status().checks, 1U);
    EXPECT_EQ(group.node(id).life(), 1U);
  }
  group.expect_agreement();
}

TEST(DigestSim, AFollowerWithOtherDataIsFoundAndGetsTheRightOnes) {
  Group group(3, 10);
  group.write(0, 35);
  SimNode& wrong = group.follower();
  group.damage(wrong);
  const raft::Term term = group.leader().replica().node().term();
  group.write(40, 41);
  group.pass(5 * kSecond);
  ASSERT_EQ(wrong.differences.size(), 1U);
  EXPECT_EQ(wrong.life(), 3U) << "a crash and a start";
  EXPECT_GT(wrong.counts().installs, 0U) << "the log of the others does not reach back";
  EXPECT_FALSE(wrong.raft_status().repairing);
  EXPECT_EQ(group.leader().replica().node().term(), term) << "the others were not disturbed";
  group.write(41, 60);
  group.pass(5 * kSecond);
  group.expect_agreement();
  EXPECT_EQ(wrong.differences.size(), 1U);
  EXPECT_EQ(wrong.replica().digest_status().mismatches, 0U);
  EXPECT_GT(wrong.replica().digest_status().checks, 0U);
}

TEST(DigestSim, ALeaderWithOtherDataIsFoundAndFollowsFromThenOn) {
  Group group(3, 10);
  group.write(0, 35);
  SimNode& wrong = group.leader();
  group.damage(wrong);
  group.write(40, 41);
  group.pass(5 * kSecond);
  ASSERT_EQ(wrong.differences.size(), 1U);
  EXPECT_NE(&group.leader(), &wrong);
  group.write(41, 60);
  group.pass(5 * kSecond);
  group.expect_agreement();
  for (uint64_t id : {1, 2, 3}) {
    EXPECT_EQ(group.node(id).differences.size(), &group.node(id) == &wrong ? 1U : 0U);
  }
}

TEST(DigestSim, TwoOfFiveAreAMinority) {
  Group group(5);
  group.write(0, 20);
  SimNode& one = group.leader();
  SimNode& two = group.follower();
  group.damage(one, "wrong");
  group.damage(two, "wrong");
  group.write(20, 21);
  group.pass(5 * kSecond);
  EXPECT_EQ(one.differences.size(), 1U);
  EXPECT_EQ(two.differences.size(), 1U);
  group.write(21, 30);
  group.pass(5 * kSecond);
  group.expect_agreement();
}

TEST(DigestSim, WhereNobodyAgreesNobodyLeaves) {
  Group group(3);
  group.write(0, 20);
  group.damage(group.node(1), "one");
  group.damage(group.node(2), "two");
  group.write(20, 21);
  group.pass(5 * kSecond);
  for (uint64_t id : {1, 2, 3}) {
    EXPECT_EQ(group.node(id).undecided.size(), 1U);
    EXPECT_TRUE(group.node(id).differences.empty());
    EXPECT_EQ(group.node(id).life(), 1U);
  }
  EXPECT_EQ(group.call(group.leader(), "SET a b"), "+OK\r\n");
}

// What it had acknowledged it must have again before its vote counts: else the only other node that
// has a write could be outvoted.
TEST(DigestSim, WhoWasDiscardedDoesNotVoteBeforeItHasItsLogAgain) {
  Group group(3, 10);
  group.write(0, 35);
  SimNode& wrong = group.follower();
  SimNode& leader = group.leader();
  group.damage(wrong);
  group.write(40, 41);
  for (int i = 0; i < 10'000 && wrong.life() < 3; ++i) group.pass(1000);
  ASSERT_EQ(wrong.life(), 3U);
  // The moment of its new life: the one that could repair it is gone.
  leader.crash();
  EXPECT_TRUE(wrong.raft_status().repairing);
  group.pass(10 * kSecond);
  for (uint64_t id : {1, 2, 3}) {
    SimNode& node = group.node(id);
    EXPECT_FALSE(node.up() && node.replica().node().is_leader()) << "node " << id;
  }
  leader.start();
  group.pass(5 * kSecond);
  group.expect_agreement();
}

}  // namespace
}  // namespace raftkv::sim
