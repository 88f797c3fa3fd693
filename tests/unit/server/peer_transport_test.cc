#include "server/peer/transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/server/peer_kit.h"

namespace raftkv::server {
namespace {

using namespace test;  // NOLINT: the kit of these tests
using testing::AllOf;
using testing::HasSubstr;

// --- delivery ---------------------------------------------------------------------------------

TEST_F(PeerTransportTest, MessagesArriveInTheOrderInWhichTheyWereSent) {
  const auto one = start(1);
  const auto two = start(2);
  ASSERT_TRUE(until([&] { return one->status(2).connected && two->status(1).connected; }));
  for (uint64_t round = 1; round <= 1000; ++round) {
    one->transport.send(heartbeat(1, 2, round));
    two->transport.send(heartbeat(2, 1, round));
    if (round % 100 == 0) loop_.turns(1);
  }
  ASSERT_TRUE(until([&] { return one->received.size() == 1000 && two->received.size() == 1000; }));
  for (uint64_t round = 1; round <= 1000; ++round) {
    ASSERT_EQ(round_of(two->received[round - 1]), round);
    ASSERT_EQ(round_of(one->received[round - 1]), round);
  }
  EXPECT_EQ(two->received[0].from, 1u);
  EXPECT_EQ(one->status(2).dropped_messages, 0u);
}

TEST_F(PeerTransportTest, ThreeNodesReachEachOther) {
  std::vector<std::unique_ptr<Node>> all;
  for (uint64_t id = 1; id <= 3; ++id) all.push_back(start(id));
  ASSERT_TRUE(until([&] {
    return std::ranges::all_of(all, [](const auto& node) {
      return std::ranges::all_of(node->transport.status(), &PeerLinkStatus::connected);
    });
  }));
  for (uint64_t from = 1; from <= 3; ++from) {
    for (uint64_t to = 1; to <= 3; ++to) {
      if (from != to) all[from - 1]->transport.send(heartbeat(from, to, 10 * from + to));
    }
  }
  ASSERT_TRUE(until([&] {
    return std::ranges::all_of(all, [](const auto& node) { return node->received.size() == 2; });
  }));
  for (uint64_t id = 1; id <= 3; ++id) {
    for (const raft::Message& message : all[id - 1]->received) {
      EXPECT_EQ(round_of(message), 10 * message.from + id);
    }
  }
}

TEST_F(PeerTransportTest, BigMessagesArriveWholeBetweenSmallOnes) {
  // Both ends share a thread, which a busy machine may stop for longer than silence lasts here.
  PeerOptions patient[] = {options(1), options(2)};
  for (PeerOptions& each : patient) each.silence_max_ms = 20'000;
  const auto one = start(patient[0]);
  const auto two = start(patient[1]);
  ASSERT_TRUE(until([&] { return one->status(2).connected; }));
  one->transport.send(heartbeat(1, 2, 1));
  one->transport.send(append(1, 2, 20 << 20));
  one->transport.send(heartbeat(1, 2, 2));
  ASSERT_TRUE(until([&] { return two->received.size() == 3; }));
  const auto& body = std::get<raft::Append>(two->received[1].body);
  EXPECT_EQ(*body.entries.at(0).payload, std::string(20 << 20, 'p'));
  EXPECT_EQ(round_of(two->received[2]), 2u);
  EXPECT_GT(two->status(1).received_bytes, uint64_t{20} << 20);
}

TEST_F(PeerTransportTest, NothingIsWrittenBeforeTheFlush) {
  const auto one = start(1);
  const auto two = start(2);
  ASSERT_TRUE(until([&] { return one->status(2).connected; }));
  loop_.end_of_turn = nullptr;
  one->transport.send(heartbeat(1, 2, 1));
  loop_.turns(20);
  EXPECT_TRUE(two->received.empty());
  one->transport.flush();
  EXPECT_TRUE(until([&] { return two->received.size() == 1; }));
}

TEST_F(PeerTransportTest, TheRoundTripIsMeasured) {
  const auto one = start(1);
  const auto two = start(2);
  ASSERT_TRUE(until([&] { return one->status(2).round_trip_us != 0; }));
  EXPECT_LT(one->status(2).round_trip_us, 5'000'000u);
}

TEST_F(PeerTransportTest, AMemberIsReachedByName) {
  PeerOptions named = options(1);
  named.members[1].peer_host = "localhost";
  const auto one = start(std::move(named));
  const auto two = start(2);
  ASSERT_TRUE(until([&] { return one->status(2).connected; }));
}

TEST_F(PeerTransportTest, AnUnknownNameIsRetriedAndNamedInTheStatus) {
  PeerOptions named = options(1);
  named.members[1].peer_host = "no-such-host.invalid";
  const auto one = start(std::move(named));
  ASSERT_TRUE(until([&] { return !one->status(2).last_error.empty(); }));
  EXPECT_THAT(one->status(2).last_error, HasSubstr("no-such-host.invalid"));
}

// --- start and stop ---------------------------------------------------------------------------

TEST_F(PeerTransportTest, AnOccupiedPortIsOneClearLine) {
  const Acceptor squatter(port(1));
  Node one(loop_, nodes_, options(1));
  const auto started = one.transport.start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error(),
              AllOf(HasSubstr("can't listen for peers on 127.0.0.1:"),
                    HasSubstr("address already in use"), HasSubstr("--peer_listen")));
}

TEST_F(PeerTransportTest, WhatIsSentWithoutAConnectionIsDroppedAndCounted) {
  const auto one = start(1);
  one->transport.send(heartbeat(1, 2, 1));
  EXPECT_EQ(one->status(2).dropped_messages, 1u);
  EXPECT_FALSE(one->status(2).connected);
}

TEST_F(PeerTransportTest, ConnectsAgainAfterTheOtherSideRestarts) {
  const auto one = start(1);
  auto two = start(2);
  for (int life = 0; life < 3; ++life) {
    ASSERT_TRUE(until([&] { return one->status(2).connected && two->status(1).connected; }));
    one->transport.send(heartbeat(1, 2, 5));
    ASSERT_TRUE(until([&] { return two->received.size() == 1; }));
    two.reset();
    ASSERT_TRUE(until([&] { return !one->status(2).connected; }));
    EXPECT_FALSE(one->status(2).last_error.empty());
    two = start(2);
  }
}

// --- refusals ---------------------------------------------------------------------------------

TEST_F(PeerTransportTest, ANodeOfAnotherClusterIsRefusedAndToldSo) {
  const auto one = start(1);
  PeerOptions other = options(2);
  other.cluster_id = "another";
  const auto two = start(std::move(other));
  ASSERT_TRUE(until([&] { return !two->status(1).last_error.empty(); }));
  EXPECT_THAT(two->status(1).last_error,
              AllOf(HasSubstr("it refuses us"), HasSubstr("belongs to cluster another")));
  ASSERT_TRUE(until([&] { return !one->status(2).last_error.empty(); }));
  EXPECT_FALSE(one->status(2).connected);
}

TEST_F(PeerTransportTest, AnAddressThatLeadsToAnotherMemberIsRefused) {
  PeerOptions mixed = options(1);
  std::swap(mixed.members[1].peer_port, mixed.members[2].peer_port);
  const auto two = start(2);
  const auto three = start(3);
  const auto one = start(std::move(mixed));
  ASSERT_TRUE(until([&] { return !one->status(3).last_error.empty(); }));
  EXPECT_THAT(one->status(3).last_error, HasSubstr("this is node 2, not node 3"));
}

TEST_F(PeerTransportTest, AnAddressThatLeadsToOurselvesIsRefused) {
  PeerOptions loop = options(1);
  loop.members[1].peer_port = port(1);
  const auto one = start(std::move(loop));
  ASSERT_TRUE(until([&] { return !one->status(2).last_error.empty(); }));
  EXPECT_THAT(one->status(2).last_error, HasSubstr("two nodes claim the id 1"));
}

TEST_F(PeerTransportTest, AWipedNodeIsRefusedByItsPeersAndStaysRefused) {
  const auto one = start(1);
  auto two = start(2);
  ASSERT_TRUE(until([&] { return one->status(2).connected && two->status(1).connected; }));
  two.reset();
  PeerOptions wiped = options(2);
  wiped.incarnation = 4711;
  const auto again = start(std::move(wiped));
  ASSERT_TRUE(until([&] { return !again->status(1).last_error.empty(); }));
  EXPECT_THAT(again->status(1).last_error, HasSubstr("its data directory was replaced"));
  ASSERT_TRUE(until([&] { return one->status(2).last_error.starts_with("we refuse it"); }));
  EXPECT_FALSE(one->status(2).connected);
}

TEST_F(PeerTransportTest, IncarnationsAreToldOnceToWhoeverKeepsThem) {
  std::vector<std::pair<uint64_t, uint64_t>> learnt;
  PeerOptions keeping = options(1);
  keeping.on_peer_incarnation = [&](uint64_t id, uint64_t incarnation) {
    learnt.emplace_back(id, incarnation);
  };
  const auto one = start(std::move(keeping));
  const auto two = start(2);
  ASSERT_TRUE(until([&] { return one->status(2).connected && two->status(1).connected; }));
  EXPECT_EQ(learnt, (std::vector<std::pair<uint64_t, uint64_t>>{{2, 1002}}));
}

TEST_F(PeerTransportTest, AnUnknownVersionIsRefusedInWords) {
  const auto one = start(1);
  Hello future = hello_from(2, 1);
  future.version = 9;
  Socket socket = Socket::connect(port(1));
  socket.send(hello_bytes(future));
  ASSERT_TRUE(until(socket, [&] { return socket.ended; }));
  const auto frames = frames_in(socket.incoming);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].first, FrameType::kRefusal);
  EXPECT_THAT(frames[0].second, HasSubstr("unknown peer protocol version 9"));
}

TEST_F(PeerTransportTest, StrangersAndGarbageCostOnlyTheirConnection) {
  const auto one = start(1);
  const auto two = start(2);
  ASSERT_TRUE(until([&] { return one->status(2).connected && two->status(1).connected; }));
  Hello unknown = hello_from(2, 1);
  unknown.node_id = 9;
  std::string flipped = hello_bytes(hello_from(3, 1));
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  std::string oversize = hello_bytes(hello_from(3, 1));
  oversize[3] = 0x7f;
  const std::vector<std::string> bad = {
      "GET / HTTP/1.1\r\n\r\n",
      std::string(100'000, '\xff'),
      hello_bytes(unknown),
      flipped,
      oversize,
      message_bytes(heartbeat(3, 1, 1)),
      hello_bytes(hello_from(3, 1)) + "garbage behind the hello!",
      hello_bytes(hello_from(3, 1)) + hello_bytes(hello_from(3, 1)),
      hello_bytes(hello_from(3, 1)) + message_bytes(heartbeat(2, 1, 1)),
      hello_bytes(hello_from(3, 1)) + message_bytes(heartbeat(3, 2, 1))};
  for (const std::string& bytes : bad) {
    Socket socket = Socket::connect(port(1));
    socket.send(bytes);
    ASSERT_TRUE(until(socket, [&] { return socket.ended; })) << bytes.substr(0, 20);
  }
  two->transport.send(heartbeat(2, 1, 42));
  ASSERT_TRUE(until([&] { return one->received.size() == 1; }));
  EXPECT_EQ(round_of(one->received[0]), 42u);
}

TEST_F(PeerTransportTest, AFlippedBitInAMessageClosesTheConnectionAndDeliversNothing) {
  const auto one = start(1);
  std::string damaged = message_bytes(heartbeat(3, 1, 2));
  damaged[kFrameHeaderBytes + 3] = static_cast<char>(damaged[kFrameHeaderBytes + 3] ^ 4);
  Socket socket = Socket::connect(port(1));
  socket.send(hello_bytes(hello_from(3, 1)) + message_bytes(heartbeat(3, 1, 1)) + damaged);
  ASSERT_TRUE(until(socket, [&] { return socket.ended; }));
  ASSERT_EQ(one->received.size(), 1u);
  EXPECT_EQ(round_of(one->received[0]), 1u);
}

TEST_F(PeerTransportTest, AFrameBeyondTheLimitIsNotSent) {
  PeerOptions small = options(1);
  small.frame_bytes_max = 1000;
  const auto one = start(std::move(small));
  const auto two = start(2);
  ASSERT_TRUE(until([&] { return one->status(2).connected; }));
  one->transport.send(heartbeat(1, 2, 1));
  one->transport.send(append(1, 2, 1001));
  one->transport.send(heartbeat(1, 2, 2));
  ASSERT_TRUE(until([&] { return two->received.size() == 2; }));
  EXPECT_EQ(round_of(two->received[1]), 2u);
  EXPECT_EQ(one->status(2).dropped_messages, 1u);
}

TEST_F(PeerTransportTest, ASecondConnectionOfAPeerReplacesTheFirst) {
  PeerOptions patient = options(1);
  patient.silence_max_ms = 600'000;
  const auto one = start(std::move(patient));
  Socket first = Socket::connect(port(1));
  first.send(hello_bytes(hello_from(3, 1)));
  ASSERT_TRUE(until(first, [&] { return !first.incoming.empty(); }));
  Socket second = Socket::connect(port(1));
  second.send(hello_bytes(hello_from(3, 1)) + message_bytes(heartbeat(3, 1, 7)));
  ASSERT_TRUE(until(second, [&] { return one->received.size() == 1; }));
  ASSERT_TRUE(until(first, [&] { return first.ended; }));
  EXPECT_FALSE(second.ended);
}

TEST_F(PeerTransportTest, WhoDoesNotShakeHandsIsClosedInTime) {
  const auto one = start(1);
  Socket silent = Socket::connect(port(1));
  Socket half = Socket::connect(port(1));
  half.send(hello_bytes(hello_from(3, 1)).substr(0, 10));
  EXPECT_TRUE(until(silent, [&] {
    half.step();
    return silent.ended && half.ended;
  }));
}

TEST_F(PeerTransportTest, ManyStrangersAtOnceAreBounded) {
  const auto one = start(1);
  std::vector<Socket> crowd;
  for (int i = 0; i < 100; ++i) {
    crowd.push_back(Socket::connect(port(1)));
    loop_.turns(1);
  }
  size_t ended = 0;
  loop_.turns(5);
  for (Socket& each : crowd) {
    each.step();
    ended += each.ended ? 1 : 0;
  }
  EXPECT_GE(ended, 30u);
}

// --- peers that do not behave -----------------------------------------------------------------

// Plays node 2 in the test's hands, as far as its welcome.
class FakePeerTest : public PeerTransportTest {
 protected:
  // Accepts node 1's connection and answers its hello with `answer`.
  Socket accept_and_answer(std::string_view answer) {
    Socket socket;
    EXPECT_TRUE(loop_.until([&] {
      socket = acceptor_.accept();
      return socket.open();
    }));
    EXPECT_TRUE(until(socket, [&] { return socket.incoming.size() > kFrameHeaderBytes; }));
    socket.incoming.clear();
    socket.send(answer);
    return socket;
  }
  static std::string welcome_bytes(uint64_t id) {
    std::string payload;
    encode_welcome({.node_id = id, .incarnation = 1000 + id}, payload);
    std::string out;
    append_frame(out, FrameType::kWelcome, payload);
    return out;
  }

  Acceptor acceptor_{port(2)};
};

TEST_F(FakePeerTest, APeerThatStopsReadingCostsABoundedQueueAndThenDrops) {
  PeerOptions bounded = options(1);
  bounded.queue_bytes_max = 4 << 20;
  bounded.silence_max_ms = 60'000;
  const auto one = start(std::move(bounded));
  Socket peer = accept_and_answer(welcome_bytes(2));
  ASSERT_TRUE(until(peer, [&] { return one->status(2).connected; }));
  peer.reading = false;
  size_t most = 0;
  ASSERT_TRUE(until(peer, [&] {
    one->transport.send(append(1, 2, 100'000));
    most = std::max(most, one->status(2).queued_bytes);
    return one->status(2).dropped_messages >= 100;
  }));
  EXPECT_LE(most, (size_t{4} << 20) + 200'000);
  EXPECT_TRUE(one->status(2).connected);
  // It reads again: what was queued arrives in one piece after the other.
  peer.reading = true;
  ASSERT_TRUE(until(peer, [&] { return one->status(2).queued_bytes == 0; }));
  const uint64_t dropped = one->status(2).dropped_messages;
  one->transport.send(heartbeat(1, 2, 9));
  EXPECT_EQ(one->status(2).dropped_messages, dropped);
}

TEST_F(FakePeerTest, APeerThatAnswersNoPingIsGivenUpAndDialledAgain) {
  const auto one = start(1);
  Socket mute = accept_and_answer(welcome_bytes(2));
  ASSERT_TRUE(until(mute, [&] { return one->status(2).connected; }));
  ASSERT_TRUE(until(mute, [&] { return mute.ended && !one->status(2).last_error.empty(); }));
  EXPECT_THAT(one->status(2).last_error, HasSubstr("has not answered for"));
  Socket next = accept_and_answer(welcome_bytes(2));
  EXPECT_TRUE(until(next, [&] { return one->status(2).connected; }));
}

TEST_F(FakePeerTest, APeerThatNeverAnswersTheHelloIsGivenUp) {
  const auto one = start(1);
  Socket mute = accept_and_answer("");
  ASSERT_TRUE(until(mute, [&] { return mute.ended && !one->status(2).last_error.empty(); }));
  EXPECT_THAT(one->status(2).last_error, HasSubstr("no answer to the handshake in time"));
}

TEST_F(FakePeerTest, WrongAnswersToTheHelloAreRefused) {
  const auto one = start(1);
  std::string refusal;
  append_frame(refusal, FrameType::kRefusal, "not today\n\x1b[2J");
  std::string pong;
  append_frame(pong, FrameType::kPong, std::string(8, '\0'));
  const std::vector<std::pair<std::string, std::string>> cases = {
      {welcome_bytes(3), "node 3 answered, not node 2"},
      {refusal, "it refuses us: not today??[2J"},
      {pong, "out of place"},
      {"+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n", "unknown frame"},
      {welcome_bytes(2) + pong, "a pong that answers no ping"}};
  for (const auto& [answer, reason] : cases) {
    Socket peer = accept_and_answer(answer);
    EXPECT_TRUE(until(peer, [&] {
      return peer.ended && one->status(2).last_error.find(reason) != std::string::npos;
    })) << one->status(2).last_error;
  }
}

TEST_F(FakePeerTest, AnInboundConnectionThatFallsSilentIsClosed) {
  const auto one = start(1);
  Socket silent = Socket::connect(port(1));
  silent.send(hello_bytes(hello_from(2, 1)));
  ASSERT_TRUE(until(silent, [&] { return !silent.incoming.empty(); }));
  EXPECT_TRUE(until(silent, [&] { return silent.ended; }));
}

TEST_F(FakePeerTest, APingIsAnsweredOnItsOwnConnection) {
  const auto one = start(1);
  Socket peer = Socket::connect(port(1));
  std::string ping;
  append_frame(ping, FrameType::kPing, "12345678");
  peer.send(hello_bytes(hello_from(2, 1)) + ping);
  ASSERT_TRUE(until(peer, [&] { return frames_in(peer.incoming).size() == 2; }));
  const auto frames = frames_in(peer.incoming);
  EXPECT_EQ(frames[0].first, FrameType::kWelcome);
  EXPECT_EQ(frames[1], std::make_pair(FrameType::kPong, std::string("12345678")));
}

}  // namespace
}  // namespace raftkv::server
