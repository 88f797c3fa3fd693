#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "server/peer/pacer.h"
#include "tests/unit/server/peer_snapshot_kit.h"

namespace raftkv::server {
namespace {

using namespace test;  // NOLINT: the kit of these tests
using testing::HasSubstr;

TEST_F(PeerSnapshotTest, ASnapshotArrivesWholeAndItsResultComesBack) {
  Store store;
  const auto one = start(sending_options(1));
  const auto two = start(receiving_options(2, store));
  const std::string bytes = random_bytes(5'000'001);
  const auto result = send(*one, 2, source(bytes));
  ASSERT_TRUE(until([&] { return result->has_value(); }));
  ASSERT_TRUE(**result) << (*result)->error();
  EXPECT_EQ(***result, 77u);
  EXPECT_EQ(store.bytes, bytes);
  EXPECT_EQ(store.from, 1u);
  EXPECT_EQ(store.offer.meta, "meta");
  EXPECT_TRUE(one->transport.snapshots().empty());
  EXPECT_TRUE(two->transport.snapshots().empty());
}

// The property of resuming: wherever connections break, what arrives is what was sent, and nothing
// that was written is sent again.
TEST_F(PeerSnapshotTest, WhereverConnectionsBreakTheFileIsWhole) {
  const std::string bytes = random_bytes(300'000);
  for (uint64_t seed = 0; seed < 12; ++seed) {
    Store store;
    std::mt19937_64 random(seed);
    Relay relay(port(2));
    // Some die during the handshake, some at every place of a chunk.
    relay.budget = [&] { return random() % 3 == 0 ? random() % 200 : random() % 60'000; };
    PeerOptions from = sending_options(1);
    from.members[1].peer_port = relay.port();
    const auto one = start(std::move(from));
    PeerOptions to = receiving_options(2, store);
    to.snapshots.window_bytes = 32 << 10;
    const auto two = start(std::move(to));
    const auto what = source(bytes);
    const auto result = send(*one, 2, what);
    ASSERT_TRUE(until([&] {
      relay.step();
      return result->has_value();
    })) << "seed "
        << seed;
    ASSERT_TRUE(**result) << "seed " << seed << ": " << (*result)->error();
    ASSERT_EQ(store.bytes, bytes) << "seed " << seed;
    EXPECT_EQ(store.sinks_max, 1u) << "two sinks wrote at once";
    EXPECT_TRUE(std::ranges::is_sorted(store.opened_at));
    EXPECT_GT(store.opened_at.size(), 2u);
    // Each break costs a window at most.
    EXPECT_LE(what->read_bytes, bytes.size() + store.opened_at.size() * (40 << 10));
  }
}

TEST_F(PeerSnapshotTest, AFlippedBitOnTheWayIsNoticedAndSentAgain) {
  Store store;
  Relay relay(port(2));
  bool flipped = false;
  relay.meddle = [&](std::string& passing, size_t position) {
    if (flipped || position < 100'000 || passing.empty()) return;
    passing[passing.size() / 2] = static_cast<char>(passing[passing.size() / 2] ^ 8);
    flipped = true;
  };
  PeerOptions from = sending_options(1);
  from.members[1].peer_port = relay.port();
  const auto one = start(std::move(from));
  const auto two = start(receiving_options(2, store));
  const std::string bytes = random_bytes(400'000);
  const auto result = send(*one, 2, source(bytes));
  ASSERT_TRUE(until([&] {
    relay.step();
    return result->has_value();
  }));
  EXPECT_TRUE(flipped);
  ASSERT_TRUE(**result) << (*result)->error();
  EXPECT_EQ(store.bytes, bytes);
  EXPECT_GE(store.opened_at.size(), 2u);
}

TEST_F(PeerSnapshotTest, AFileThatIsNotWhatWasOfferedIsNotInstalled) {
  Store store;
  const auto one = start(sending_options(1));
  const auto two = start(receiving_options(2, store));
  bool installed = false;
  install_ = [&](auto respond) {
    installed = true;
    respond(1);
  };
  const auto what = source(random_bytes(100'000));
  what->offer_.checksum ^= 1;
  const auto result = send(*one, 2, what);
  ASSERT_TRUE(until([&] { return result->has_value(); }));
  ASSERT_FALSE(**result);
  EXPECT_THAT((*result)->error(), HasSubstr("the receiver says: another checksum"));
  EXPECT_FALSE(installed);
  EXPECT_TRUE(store.bytes.empty()) << "it would be resumed";
}

TEST_F(PeerSnapshotTest, AReceiverThatDoesNotWriteCostsAWindowAndIsWaitedFor) {
  Store store;
  store.stuck = true;
  const auto one = start(sending_options(1));
  PeerOptions to = receiving_options(2, store);
  to.snapshots.window_bytes = 64 << 10;
  const auto two = start(std::move(to));
  const std::string bytes = random_bytes(500'000);
  const auto what = source(bytes);
  const auto result = send(*one, 2, what);
  ASSERT_TRUE(until([&] { return what->read_bytes == 64 << 10; }));
  // Longer than silence is allowed to last: the connection is alive all the time, and so is the
  // traffic beside it.
  ASSERT_TRUE(until([&] { return one->status(2).connected; }));
  const uint64_t end = uv_hrtime() + 700'000'000;
  uint64_t round = 0;
  while (uv_hrtime() < end) {
    one->transport.send(heartbeat(1, 2, ++round));
    loop_.turns(1);
  }
  EXPECT_EQ(what->read_bytes, 64u << 10);
  EXPECT_EQ(store.opened_at.size(), 1u);
  ASSERT_TRUE(until([&] { return two->received.size() == round; }));
  store.release();
  ASSERT_TRUE(until([&] { return result->has_value(); }));
  ASSERT_TRUE(**result) << (*result)->error();
  EXPECT_EQ(store.bytes, bytes);
}

TEST_F(PeerSnapshotTest, ARefusedOfferEndsTheTransferInWords) {
  Store store;
  refusal_ = "it has index 90 already";
  const auto one = start(sending_options(1));
  const auto two = start(receiving_options(2, store));
  const auto three = start(3);
  const auto result = send(*one, 2, source("bytes"));
  const auto deaf = send(*one, 3, source("bytes"));
  ASSERT_TRUE(until([&] { return result->has_value() && deaf->has_value(); }));
  EXPECT_THAT((*result)->error(), HasSubstr("it refuses: it has index 90 already"));
  EXPECT_THAT((*deaf)->error(), HasSubstr("it takes no snapshots"));
}

TEST_F(PeerSnapshotTest, ASnapshotAboveTheLimitIsRefused) {
  Store store;
  const auto one = start(sending_options(1));
  PeerOptions to = receiving_options(2, store);
  to.snapshots.size_max = 1000;
  const auto two = start(std::move(to));
  const auto result = send(*one, 2, source(random_bytes(1001)));
  ASSERT_TRUE(until([&] { return result->has_value(); }));
  EXPECT_THAT((*result)->error(), HasSubstr("a snapshot of 1001 bytes, more than the 1000"));
}

TEST_F(PeerSnapshotTest, AFullDiskIsToldAndGetsItsRoomBack) {
  Store store;
  store.append_error = "no space left";
  const auto one = start(sending_options(1));
  const auto two = start(receiving_options(2, store));
  const auto result = send(*one, 2, source(random_bytes(50'000)));
  ASSERT_TRUE(until([&] { return result->has_value(); }));
  EXPECT_THAT((*result)->error(), HasSubstr("can't be written: no space left"));
  // The receiver gives its reason before it gives up the sink.
  EXPECT_TRUE(until([&] { return store.aborted == 1 && store.sinks == 0; }));
}

TEST_F(PeerSnapshotTest, ASourceThatCanNotBeReadEndsTheTransfer) {
  Store store;
  const auto one = start(sending_options(1));
  const auto two = start(receiving_options(2, store));
  const auto what = source(random_bytes(50'000));
  what->error = "bad sector";
  const auto result = send(*one, 2, what);
  ASSERT_TRUE(until([&] { return result->has_value(); }));
  EXPECT_THAT((*result)->error(), HasSubstr("can't be read: bad sector"));
}

TEST_F(PeerSnapshotTest, LoadingMayTakeLongAndMayFail) {
  Store store;
  std::function<void(SnapshotResult)> respond;
  install_ = [&](auto answer) { respond = std::move(answer); };
  const auto one = start(sending_options(1));
  const auto two = start(receiving_options(2, store));
  const auto result = send(*one, 2, source(random_bytes(50'000)));
  ASSERT_TRUE(until([&] { return respond != nullptr; }));
  const uint64_t end = uv_hrtime() + 700'000'000;
  ASSERT_TRUE(until([&] { return uv_hrtime() > end; }));
  EXPECT_FALSE(result->has_value());
  EXPECT_EQ(store.opened_at.size(), 1u) << "the connection did not last";
  ASSERT_EQ(two->transport.snapshots().size(), 1u);
  EXPECT_EQ(two->transport.snapshots()[0].phase, "installing");
  EXPECT_EQ(one->transport.snapshots().at(0).phase, "installing");
  respond(std::unexpected("of an unknown format"));
  ASSERT_TRUE(until([&] { return result->has_value(); }));
  EXPECT_EQ((*result)->error(), "the receiver says: of an unknown format");
}

TEST_F(PeerSnapshotTest, AConnectionLostDuringLoadingFindsItsResultAgain) {
  Store store;
  std::function<void(SnapshotResult)> respond;
  int installations = 0;
  install_ = [&](auto answer) {
    ++installations;
    respond = std::move(answer);
  };
  Relay relay(port(2));
  PeerOptions from = sending_options(1);
  from.members[1].peer_port = relay.port();
  const auto one = start(std::move(from));
  const auto two = start(receiving_options(2, store));
  const auto result = send(*one, 2, source(random_bytes(50'000)));
  ASSERT_TRUE(until([&] {
    relay.step();
    return respond != nullptr;
  }));
  relay.cut();
  const size_t before = relay.connections;
  ASSERT_TRUE(until([&] {
    relay.step();
    return relay.connections >= before + 2 && !one->transport.snapshots().empty() &&
           one->transport.snapshots()[0].phase == "installing";
  }));
  respond(88);
  ASSERT_TRUE(until([&] {
    relay.step();
    return result->has_value();
  }));
  ASSERT_TRUE(**result) << (*result)->error();
  EXPECT_EQ(***result, 88u);
  EXPECT_EQ(installations, 1);
}

TEST_F(PeerSnapshotTest, OneSenderAtATimeAndItsDeathMakesRoomForTheNext) {
  Store store;
  store.stuck = true;
  auto one = start(sending_options(1));
  const auto two = start(receiving_options(2, store));
  const auto three = start(sending_options(3));
  const auto first = send(*one, 2, source(random_bytes(500'000)));
  ASSERT_TRUE(until([&] { return !store.waiting.empty(); }));
  const auto second = send(*three, 2, source(random_bytes(20'000, 2)));
  ASSERT_TRUE(until([&] { return second->has_value(); }));
  EXPECT_THAT((*second)->error(), HasSubstr("it is receiving a snapshot from node 1"));
  one.reset();
  EXPECT_FALSE(first->has_value()) << "nothing is said after stop()";
  ASSERT_TRUE(until([&] { return store.aborted == 1; }));
  store.release();
  const auto third = send(*three, 2, source(random_bytes(20'000, 2)));
  ASSERT_TRUE(until([&] { return third->has_value(); }));
  ASSERT_TRUE(**third) << (*third)->error();
  EXPECT_EQ(store.bytes, random_bytes(20'000, 2));
}

TEST_F(PeerSnapshotTest, TwoTransfersAtOnceAndTheThirdWaits) {
  Store stores[3];
  PeerOptions from = sending_options(1);
  from.members = members({1, 2, 3, 4});
  const auto one = start(std::move(from));
  std::vector<std::unique_ptr<Node>> others;
  for (uint64_t id = 2; id <= 4; ++id) {
    stores[id - 2].stuck = true;
    others.push_back(start(receiving_options(id, stores[id - 2])));
  }
  std::vector<std::shared_ptr<std::optional<SnapshotResult>>> results;
  for (uint64_t id = 2; id <= 4; ++id) {
    results.push_back(send(*one, id, source(random_bytes(100'000, id))));
  }
  ASSERT_TRUE(until([&] { return !stores[0].waiting.empty() && !stores[1].waiting.empty(); }));
  loop_.turns(20);
  EXPECT_TRUE(stores[2].opened_at.empty());
  ASSERT_EQ(one->transport.snapshots().size(), 3u);
  EXPECT_EQ(one->transport.snapshots()[0].phase, "sending");
  EXPECT_EQ(one->transport.snapshots()[1].phase, "sending");
  EXPECT_EQ(one->transport.snapshots()[2].phase, "queued");
  EXPECT_EQ(others[0]->transport.snapshots().at(0).phase, "receiving");
  for (Store& store : stores) store.release();
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(until([&] { return results[i]->has_value(); }));
    ASSERT_TRUE(**results[i]) << (*results[i])->error();
    EXPECT_EQ(stores[i].bytes, random_bytes(100'000, i + 2));
  }
}

TEST_F(PeerSnapshotTest, TheRateHolds) {
  Store store;
  PeerOptions from = sending_options(1);
  from.snapshots.rate_bytes_per_s = 1'000'000;
  const auto one = start(std::move(from));
  const auto two = start(receiving_options(2, store));
  const uint64_t begin = uv_hrtime();
  const auto result = send(*one, 2, source(random_bytes(400'000)));
  ASSERT_TRUE(until([&] { return result->has_value(); }));
  ASSERT_TRUE(**result) << (*result)->error();
  // The last piece and what may be caught up do not count.
  EXPECT_GE(uv_hrtime() - begin, 350'000'000u);
}

TEST_F(PeerSnapshotTest, WhoIsNoMemberGetsNothingAndWhoLeavesGetsNoMore) {
  Store store;
  store.stuck = true;
  const auto one = start(sending_options(1));
  const auto two = start(receiving_options(2, store));
  const auto unknown = send(*one, 9, source("bytes"));
  ASSERT_TRUE(until([&] { return unknown->has_value(); }));
  EXPECT_THAT((*unknown)->error(), HasSubstr("node 9 is no member"));
  const auto result = send(*one, 2, source(random_bytes(100'000)));
  ASSERT_TRUE(until([&] { return !store.waiting.empty(); }));
  one->transport.set_members(members({1, 3}), 5);
  ASSERT_TRUE(until([&] { return result->has_value(); }));
  EXPECT_THAT((*result)->error(), HasSubstr("node 2 is no member any more"));
  ASSERT_TRUE(until([&] { return store.aborted == 1; }));
}

TEST_F(PeerSnapshotTest, ATransferWithoutProgressIsGivenUp) {
  PeerOptions from = sending_options(1);
  from.snapshots.give_up_ms = 200;
  const auto one = start(std::move(from));
  const auto result = send(*one, 2, source("bytes"));
  ASSERT_TRUE(until([&] { return result->has_value(); }));
  EXPECT_THAT((*result)->error(), HasSubstr("no progress for"));
}

// --- senders that do not behave ---------------------------------------------------------------

class FakeSenderTest : public PeerSnapshotTest {
 protected:
  static std::string frame(FrameType type, const std::string& payload) {
    std::string out;
    append_frame(out, type, payload);
    return out;
  }
  static std::string greeting() {
    Hello hello = hello_from(1, 2);
    hello.purpose = Purpose::kSnapshot;
    return hello_bytes(hello);
  }
  static std::string offer(uint64_t size) {
    std::string payload;
    encode_offer({.checksum = 1, .size = size, .meta = "m"}, payload);
    return frame(FrameType::kOffer, payload);
  }
  static std::string chunk(uint64_t offset, size_t bytes) {
    std::string payload;
    encode_chunk(offset, std::string(bytes, 'c'), payload);
    return frame(FrameType::kChunk, payload);
  }
  // The connection after its offer was accepted.
  Socket accepted(uint64_t size) {
    Socket socket = Socket::connect(port(2));
    socket.send(greeting() + offer(size));
    EXPECT_TRUE(until(socket, [&] { return frames_in(socket.incoming).size() == 2; }));
    EXPECT_EQ(frames_in(socket.incoming).at(1).first, FrameType::kAccept);
    return socket;
  }
};

TEST_F(FakeSenderTest, WrongFramesCostTheConnection) {
  Store store;
  PeerOptions to = receiving_options(2, store);
  to.silence_max_ms = 60'000;  // so that nothing else ends them
  to.snapshots.window_bytes = 4000;
  to.snapshots.chunk_bytes_max = 3000;
  const auto two = start(std::move(to));
  const std::vector<std::string> before = {
      chunk(0, 10), frame(FrameType::kOffer, "short"), frame(FrameType::kOffer, std::string(20, 0)),
      frame(FrameType::kRaft, "x"), frame(FrameType::kPing, "x")};
  for (const std::string& bytes : before) {
    Socket socket = Socket::connect(port(2));
    socket.send(greeting() + bytes);
    ASSERT_TRUE(until(socket, [&] { return socket.ended; }));
  }
  const std::vector<std::string> after = {chunk(1, 10), chunk(0, 0),
                                          chunk(0, 2000) + chunk(1999, 10), offer(10'000),
                                          chunk(0, 2000) + chunk(2000, 2500)};
  for (const std::string& bytes : after) {
    store = Store();
    store.stuck = true;
    Socket socket = accepted(10'000);
    socket.send(bytes);
    ASSERT_TRUE(until(socket, [&] { return socket.ended; }));
    ASSERT_TRUE(until([&] { return store.aborted == 1; }));
    store.release();
  }
  store = Store();
  Socket beyond = accepted(100);
  beyond.send(chunk(0, 101));
  ASSERT_TRUE(until(beyond, [&] { return beyond.ended; }));
}

TEST_F(FakeSenderTest, WhoOffersNothingOrSendsNothingIsClosedInTime) {
  Store store;
  PeerOptions to = receiving_options(2, store);
  to.snapshots.stall_max_ms = 200;
  const auto two = start(std::move(to));
  const auto closed_while_pinging = [&](Socket& socket) {
    uint64_t last_ms = 0;
    return until(socket, [&] {
      if (uv_now(loop_.get()) - last_ms > 50) {
        last_ms = uv_now(loop_.get());
        socket.send(frame(FrameType::kPing, "12345678"));
      }
      return socket.ended;
    });
  };
  Socket silent = Socket::connect(port(2));
  silent.send(greeting());
  EXPECT_TRUE(closed_while_pinging(silent));
  Socket lazy = accepted(1000);
  EXPECT_TRUE(closed_while_pinging(lazy));
  ASSERT_TRUE(until([&] { return store.aborted == 1; }));
}

TEST_F(FakeSenderTest, ANewerConnectionOfTheSameMemberReplacesTheOldOne) {
  Store store;
  const auto two = start(receiving_options(2, store));
  Socket old = accepted(20'000);
  old.send(chunk(0, 5000));
  ASSERT_TRUE(until(old, [&] { return store.bytes.size() == 5000; }));
  Socket fresh = accepted(20'000);
  ASSERT_TRUE(until(old, [&] { return old.ended; }));
  EXPECT_EQ(store.opened_at, (std::vector<uint64_t>{0, 5000}));
  EXPECT_EQ(store.sinks_max, 1u);
}

TEST_F(FakeSenderTest, ConnectionsForSnapshotsAreBounded) {
  Store store;
  PeerOptions to = receiving_options(2, store);
  to.handshake_timeout_ms = 60'000;
  const auto two = start(std::move(to));
  std::vector<Socket> crowd;
  for (int i = 0; i < 17; ++i) {
    crowd.push_back(Socket::connect(port(2)));
    crowd.back().send(greeting());
    ASSERT_TRUE(until(crowd.back(), [&] { return !crowd.back().incoming.empty(); }));
  }
  EXPECT_EQ(frames_in(crowd[15].incoming).at(0).first, FrameType::kWelcome);
  EXPECT_THAT(frames_in(crowd[16].incoming).at(0).second, HasSubstr("too many connections"));
}

TEST(Pacer, SpreadsBytesAndCatchesUpALittle) {
  Pacer pacer(1'000'000);
  uint64_t now = 1'000'000'000;
  uint64_t sent = 0;
  for (const uint64_t end = now + 1'000'000'000; now < end;) {
    const uint64_t wait = pacer.delay_ns(now);
    if (wait != 0) {
      now += wait;
      continue;
    }
    pacer.take(10'000, now);
    sent += 10'000;
  }
  EXPECT_GE(sent, 1'000'000u);
  EXPECT_LE(sent, 1'000'000u + 40'000);
  // A long pause earns no more than a short one.
  now += 3600'000'000'000;
  size_t burst = 0;
  for (; pacer.delay_ns(now) == 0; ++burst) pacer.take(10'000, now);
  EXPECT_LE(burst, 4u);
  EXPECT_EQ(Pacer(0).delay_ns(5), 0u);
  EXPECT_EQ(Pacer(0).piece_bytes(1 << 20), size_t{1} << 20);
  EXPECT_EQ(pacer.piece_bytes(1 << 20), 50'000u);
  EXPECT_EQ(Pacer(10).piece_bytes(1 << 20), Pacer::kPieceBytesMin);
}

}  // namespace
}  // namespace raftkv::server
