#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/server/peer_kit.h"

namespace raftkv::server {
namespace {

using namespace test;  // NOLINT: the kit of these tests
using testing::AllOf;
using testing::HasSubstr;

class PeerMembersTest : public PeerTransportTest {
 protected:
  std::unique_ptr<Node> start_with(uint64_t id, const std::vector<uint64_t>& ids) {
    PeerOptions with = options(id);
    with.members = members(ids);
    return start(std::move(with));
  }
  std::unique_ptr<Node> start_joining(uint64_t id) {
    PeerOptions with = options(id);
    with.members = {};
    with.joining = true;
    return start(std::move(with));
  }
  static bool knows(const Node& node, uint64_t peer) {
    return std::ranges::any_of(node.transport.status(),
                               [&](const PeerLinkStatus& each) { return each.id == peer; });
  }
  static bool linked(const Node& node, uint64_t peer) {
    return std::ranges::any_of(node.transport.status(), [&](const PeerLinkStatus& each) {
      return each.id == peer && each.connected;
    });
  }
  // A hello of a node that says to belong to a newer membership.
  Hello newer_hello(uint64_t id, uint64_t target, uint64_t membership_index) const {
    Hello hello = hello_from(id, target);
    hello.membership_index = membership_index;
    hello.peer_host = "127.0.0.1";
    hello.peer_port = port(id > 5 ? 5 : id);
    return hello;
  }
};

TEST_F(PeerMembersTest, ANewMemberIsDialledAndHeard) {
  const auto one = start_with(1, {1, 2});
  const auto two = start_with(2, {1, 2});
  const auto three = start_with(3, {1, 2, 3});
  ASSERT_TRUE(until([&] { return !three->status(1).last_error.empty(); }));
  EXPECT_THAT(three->status(1).last_error, HasSubstr("node 3 is no member of this cluster"));
  for (const auto* node : {&one, &two}) {
    (*node)->transport.set_members(members({1, 2, 3}), 5);
  }
  ASSERT_TRUE(until([&] {
    return linked(*one, 3) && linked(*two, 3) && linked(*three, 1) && linked(*three, 2);
  }));
  one->transport.send(heartbeat(1, 3, 4));
  three->transport.send(heartbeat(3, 1, 5));
  ASSERT_TRUE(until([&] { return three->received.size() == 1 && one->received.size() == 1; }));
}

TEST_F(PeerMembersTest, AGoneMemberGetsWhatWasQueuedAndIsThenRefused) {
  PeerOptions patient = options(1);
  patient.leave_ms = 2000;  // a busy machine may stop us for long
  const auto one = start(std::move(patient));
  const auto three = start(3);
  ASSERT_TRUE(until([&] { return linked(*one, 3) && linked(*three, 1); }));
  for (uint64_t round = 1; round <= 20; ++round) one->transport.send(append(1, 3, 100'000));
  one->transport.set_members(members({1, 2}), 5);
  // What commits its removal is still to be answered.
  one->transport.send(heartbeat(1, 3, 7));
  EXPECT_FALSE(one->status(3).member);
  ASSERT_TRUE(until([&] { return three->received.size() == 21; }));
  EXPECT_EQ(round_of(three->received.back()), 7u);
  three->transport.send(heartbeat(3, 1, 8));
  ASSERT_TRUE(until([&] { return one->received.size() == 1; }));
  ASSERT_TRUE(until([&] { return !knows(*one, 3); }));
  ASSERT_TRUE(
      until([&] { return three->status(1).last_error.find("refuses us") != std::string::npos; }));
  EXPECT_THAT(three->status(1).last_error,
              HasSubstr("node 3 is not a member of this cluster any more;"));
  one->transport.send(heartbeat(1, 3, 9));  // to nobody: dropped
  loop_.turns(20);
  EXPECT_EQ(three->received.size(), 21u);
}

TEST_F(PeerMembersTest, AMemberThatNeverAnsweredIsGoneAtOnce) {
  const auto one = start(1);
  one->transport.set_members(members({1, 2}), 5);
  EXPECT_FALSE(knows(*one, 3));
  EXPECT_TRUE(knows(*one, 2));
}

TEST_F(PeerMembersTest, ARemovalThatIsRolledBackLeavesTheConnections) {
  const auto one = start(1);
  const auto three = start(3);
  ASSERT_TRUE(until([&] { return linked(*one, 3) && linked(*three, 1); }));
  one->transport.set_members(members({1, 2}), 5);
  one->transport.set_members(members({1, 2, 3}), 0);
  EXPECT_TRUE(one->status(3).member);
  // Longer than a leaving member would have.
  const uint64_t end = uv_hrtime() + 500'000'000;
  while (uv_hrtime() < end) {
    loop_.turns(1);
    ASSERT_TRUE(linked(*one, 3) && linked(*three, 1));
  }
}

TEST_F(PeerMembersTest, AChangedAddressIsDialledAndTheOldOneGetsWhatWasQueued) {
  // However long the queue takes on a busy machine: a connection on which nothing moves meanwhile
  // is not given up.
  const auto patient = [this](uint64_t id) {
    PeerOptions with = options(id);
    with.leave_ms = with.drain_ms = with.silence_max_ms = kPatienceMs;
    return with;
  };
  const auto one = start(patient(1));
  auto two = start(patient(2));
  ASSERT_TRUE(until([&] { return linked(*one, 2); }));
  for (int i = 0; i < 50; ++i) one->transport.send(append(1, 2, 100'000));
  std::vector<Member> moved = members({1, 2, 3});
  moved[1].peer_port = free_port();
  one->transport.set_members(moved, 5);
  ASSERT_TRUE(until([&] { return two->received.size() == 50; }));
  two.reset();
  PeerOptions at_new_place = options(2);
  at_new_place.listen_port = moved[1].peer_port;
  two = start(std::move(at_new_place));
  ASSERT_TRUE(until([&] { return linked(*one, 2); }));
  one->transport.send(heartbeat(1, 2, 9));
  ASSERT_TRUE(until([&] { return two->received.size() == 1; }));
}

TEST_F(PeerMembersTest, AJoiningNodeAnswersAMemberItDoesNotKnow) {
  const auto four = start_joining(4);
  EXPECT_TRUE(four->transport.status().empty());
  const auto one = start_with(1, {1, 2, 4});
  one->transport.set_members(members({1, 2, 4}), 30);
  ASSERT_TRUE(until([&] { return linked(*one, 4) && linked(*four, 1); }));
  EXPECT_FALSE(four->status(1).member);
  one->transport.send(heartbeat(1, 4, 1));
  ASSERT_TRUE(until([&] { return four->received.size() == 1; }));
  four->transport.send(heartbeat(4, 1, 2));
  ASSERT_TRUE(until([&] { return one->received.size() == 1; }));
  // Now it is told; the connections stay.
  four->transport.set_members(members({1, 2, 4}), 30);
  EXPECT_TRUE(four->status(1).member);
  EXPECT_TRUE(linked(*four, 1));
}

// Its log begins with a membership in which the leader of today was unknown.
TEST_F(PeerMembersTest, ANodeThatLearnsAnOldMembershipGoesOnListeningToItsLeader) {
  PeerOptions joining = options(4);
  joining.members = {};
  joining.joining = true;
  joining.silence_max_ms = 60'000;
  const auto four = start(std::move(joining));
  Socket leader = Socket::connect(port(4));
  leader.send(hello_bytes(newer_hello(1, 4, 30)) + message_bytes(heartbeat(1, 4, 5)));
  ASSERT_TRUE(until(leader, [&] { return four->received.size() == 1; }));
  four->transport.set_members(members({2, 3}), 10);
  EXPECT_TRUE(knows(*four, 1));
  const uint64_t end = uv_hrtime() + 500'000'000;
  ASSERT_TRUE(until(leader, [&] { return uv_hrtime() > end || leader.ended; }));
  EXPECT_FALSE(leader.ended) << "longer than it talks to one who leaves";
  // It lets go of it when the membership of that index does not have it.
  four->transport.set_members(members({2, 3, 4}), 30);
  ASSERT_TRUE(until(leader, [&] { return leader.ended; }));
}

TEST_F(PeerMembersTest, AJoiningNodeRefusesOtherClustersAndKnowsStrangersNoMoreOnceItIsTold) {
  const auto four = start_joining(4);
  Hello foreign = newer_hello(1, 4, 3);
  foreign.cluster_id = "another";
  Socket socket = Socket::connect(port(4));
  socket.send(hello_bytes(foreign));
  ASSERT_TRUE(until(socket, [&] { return socket.ended; }));
  EXPECT_THAT(frames_in(socket.incoming).at(0).second, HasSubstr("belongs to cluster another"));
  four->transport.set_members(members({1, 2, 4}), 30);
  Socket stranger = Socket::connect(port(4));
  stranger.send(hello_bytes(newer_hello(3, 4, 0)));
  ASSERT_TRUE(until(stranger, [&] { return stranger.ended; }));
  EXPECT_THAT(frames_in(stranger.incoming).at(0).second, HasSubstr("node 3 is no member"));
}

TEST_F(PeerMembersTest, ALaggingNodeListensToALeaderThatWasAddedMeanwhile) {
  const auto two = start(2);
  two->transport.set_members(members({1, 2, 3}), 5);
  const auto four = start_with(4, {2, 4});
  four->transport.set_members(members({2, 4}), 9);
  ASSERT_TRUE(until([&] { return linked(*four, 2) && linked(*two, 4); }));
  four->transport.send(heartbeat(4, 2, 1));
  ASSERT_TRUE(until([&] { return two->received.size() == 1; }));
  two->transport.send(heartbeat(2, 4, 2));
  ASSERT_TRUE(until([&] { return four->received.size() == 1; }));
}

TEST_F(PeerMembersTest, WhoIsNoMemberIsTalkedToWhileItTalks) {
  const auto two = start(2);
  {
    Socket socket = Socket::connect(port(2));
    socket.send(hello_bytes(newer_hello(5, 2, 7)));
    ASSERT_TRUE(until(socket, [&] { return knows(*two, 5); }));
  }
  ASSERT_TRUE(until([&] { return !knows(*two, 5); }));
}

TEST_F(PeerMembersTest, NodesThatAreNoMembersAreBounded) {
  const auto two = start(2);
  std::vector<Socket> crowd;
  size_t refused = 0;
  for (uint64_t id = 100; id < 130; ++id) {
    crowd.push_back(Socket::connect(port(2)));
    crowd.back().send(hello_bytes(newer_hello(id, 2, 7)));
    ASSERT_TRUE(until(crowd.back(), [&] { return !crowd.back().incoming.empty(); }));
    if (frames_in(crowd.back().incoming).at(0).first == FrameType::kRefusal) ++refused;
  }
  EXPECT_EQ(refused, 14u);
}

TEST_F(PeerMembersTest, StrangersAreNotRememberedBeforeTheyAreMembers) {
  std::vector<std::pair<uint64_t, uint64_t>> learnt;
  PeerOptions keeping = options(2);
  keeping.on_peer_incarnation = [&](uint64_t id, uint64_t incarnation) {
    learnt.emplace_back(id, incarnation);
  };
  const auto two = start(std::move(keeping));
  Socket socket = Socket::connect(port(2));
  socket.send(hello_bytes(newer_hello(5, 2, 7)));
  ASSERT_TRUE(until(socket, [&] { return knows(*two, 5); }));
  EXPECT_TRUE(learnt.empty());
  two->transport.set_members(members({1, 2, 3, 5}), 7);
  EXPECT_EQ(learnt, (std::vector<std::pair<uint64_t, uint64_t>>{{5, 1005}}));
}

TEST_F(PeerMembersTest, AWipedNodeIsToldWhatToDoAndComesBackOnceItsOldSelfIsForgotten) {
  std::vector<uint64_t> forgotten;
  PeerOptions remembering = options(1);
  remembering.known_incarnations = {{2, 1002}};
  remembering.on_peer_forgotten = [&](uint64_t id) { forgotten.push_back(id); };
  const auto one = start(std::move(remembering));
  PeerOptions wiped = options(2);
  wiped.incarnation = 4711;
  const auto two = start(std::move(wiped));
  ASSERT_TRUE(until([&] { return !two->status(1).last_error.empty(); }));
  EXPECT_THAT(two->status(1).last_error, AllOf(HasSubstr("its data directory was replaced"),
                                               HasSubstr("raftkv-cli members replace --id 2"),
                                               HasSubstr("members remove and then members add")));
  one->transport.set_members(members({1, 3}), 5);
  one->transport.forget(2);
  one->transport.forget(99);
  EXPECT_EQ(forgotten, std::vector<uint64_t>{2});
  one->transport.set_members(members({1, 2, 3}), 6);
  ASSERT_TRUE(until([&] { return linked(*one, 2) && linked(*two, 1); }));
}

TEST_F(PeerMembersTest, TrafficBetweenTwoMembersFlowsWhileOthersComeAndGo) {
  std::mt19937_64 random(3);
  const auto one = start(1);
  const auto two = start(2);
  const auto three = start(3);
  ASSERT_TRUE(until([&] { return linked(*one, 2) && linked(*two, 1); }));
  for (uint64_t round = 1; round <= 300; ++round) {
    one->transport.send(heartbeat(1, 2, round));
    two->transport.send(heartbeat(2, 1, round));
    one->transport.send(heartbeat(1, 3, round));
    for (Node* node : {one.get(), two.get()}) {
      std::vector<uint64_t> ids = {1, 2};
      for (const uint64_t id : {3, 4, 5}) {
        if (random() % 2 == 0) ids.push_back(id);
      }
      node->transport.set_members(members(ids), round);
    }
    loop_.turns(2);
  }
  const auto from = [](const Node& node, uint64_t id) {
    std::vector<uint64_t> rounds;
    for (const raft::Message& message : node.received) {
      if (message.from == id) rounds.push_back(round_of(message));
    }
    return rounds;
  };
  ASSERT_TRUE(until([&] { return from(*one, 2).size() == 300 && from(*two, 1).size() == 300; }));
  for (uint64_t round = 1; round <= 300; ++round) {
    ASSERT_EQ(from(*one, 2)[round - 1], round);
    ASSERT_EQ(from(*two, 1)[round - 1], round);
  }
}

TEST_F(PeerMembersTest, AHostNameThatFitsIntoNoHelloIsAnError) {
  PeerOptions long_name = options(1);
  long_name.self.peer_host = std::string(256, 'h');
  Node one(loop_, nodes_, std::move(long_name));
  const auto started = one.transport.start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error(), HasSubstr("too long: at most 255 bytes"));
}

}  // namespace
}  // namespace raftkv::server
