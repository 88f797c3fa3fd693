// For the tests of the peer port: nodes on loopback that share one loop, and the bytes of frames.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "raft/codec.h"
#include "server/peer/frame.h"
#include "server/peer/handshake.h"
#include "server/peer/transport.h"
#include "tests/unit/server/net_kit.h"

namespace raftkv::server::test {

inline constexpr char kCluster[] = "0123456789abcdef0123456789abcdef01234567";

inline raft::Message heartbeat(uint64_t from, uint64_t to, uint64_t round) {
  return {.from = from, .to = to, .term = 1, .body = raft::Heartbeat{.commit = 0, .round = round}};
}

inline raft::Message append(uint64_t from, uint64_t to, size_t bytes) {
  raft::Append body;
  body.entries.push_back({.term = 1,
                          .index = 1,
                          .time_us = 1,
                          .kind = raft::EntryKind::kCommands,
                          .payload = std::make_shared<const std::string>(bytes, 'p')});
  return {.from = from, .to = to, .term = 1, .body = std::move(body)};
}

inline uint64_t round_of(const raft::Message& message) {
  return std::get<raft::Heartbeat>(message.body).round;
}

// One node's transport and what it received. Flushed at the end of each turn while it is started.
struct Node {
  Node(Loop& loop, std::vector<Node*>& flushed, PeerOptions options)
      : loop_(loop),
        flushed_(flushed),
        transport(loop.get(), std::move(options),
                  [this](raft::Message message) { received.push_back(std::move(message)); }) {}
  ~Node() { stop(); }

  void stop() {
    if (std::erase(flushed_, this) == 0) return;
    bool stopped = false;
    transport.stop([&] { stopped = true; });
    EXPECT_TRUE(loop_.until([&] { return stopped; }));
  }
  PeerLinkStatus status(uint64_t peer) const {
    for (PeerLinkStatus& each : transport.status()) {
      if (each.id == peer) return each;
    }
    ADD_FAILURE() << "no peer " << peer;
    return {};
  }

  Loop& loop_;
  std::vector<Node*>& flushed_;
  std::vector<raft::Message> received;
  PeerTransport transport;
};

class PeerTransportTest : public testing::Test {
 protected:
  PeerTransportTest() {
    for (uint64_t id = 1; id <= 5; ++id) {
      members_.push_back({.id = id,
                          .client_host = "127.0.0.1",
                          .client_port = 1,
                          .peer_host = "127.0.0.1",
                          .peer_port = free_port()});
    }
    loop_.end_of_turn = [this] {
      for (Node* node : nodes_) node->transport.flush();
    };
  }

  Member member(uint64_t id) const { return members_.at(id - 1); }
  std::vector<Member> members(const std::vector<uint64_t>& ids) const {
    std::vector<Member> some;
    for (const uint64_t id : ids) some.push_back(member(id));
    return some;
  }
  PeerOptions options(uint64_t id) const {
    PeerOptions options;
    options.cluster_id = kCluster;
    options.self_id = id;
    options.incarnation = 1000 + id;
    options.listen_host = "127.0.0.1";
    options.listen_port = members_.at(id - 1).peer_port;
    options.members = members({1, 2, 3});
    options.self = member(id);
    options.reconnect_min_ms = 2;
    options.reconnect_max_ms = 50;
    options.handshake_timeout_ms = 500;
    options.ping_interval_ms = 20;
    options.silence_max_ms = 300;
    options.leave_ms = 200;
    options.drain_ms = 5000;
    options.snapshots.retry_ms = 20;
    return options;
  }
  std::unique_ptr<Node> start(PeerOptions with) {
    auto node = std::make_unique<Node>(loop_, nodes_, std::move(with));
    const auto started = node->transport.start();
    EXPECT_TRUE(started) << started.error();
    if (started) nodes_.push_back(node.get());
    return node;
  }
  std::unique_ptr<Node> start(uint64_t id) { return start(options(id)); }
  bool until(const std::function<bool()>& condition) { return loop_.until(condition); }
  // Turns the loop, and `socket`, until the condition holds.
  bool until(Socket& socket, const std::function<bool()>& condition) {
    return loop_.until([&] {
      socket.step();
      return condition();
    });
  }

  uint16_t port(uint64_t id) const { return members_.at(id - 1).peer_port; }

  std::vector<Member> members_;
  Loop loop_;
  std::vector<Node*> nodes_;
};

inline std::string hello_bytes(const Hello& hello) {
  std::string payload;
  encode_hello(hello, payload);
  std::string out;
  append_frame(out, FrameType::kHello, payload);
  return out;
}

inline std::string message_bytes(const raft::Message& message) {
  std::string payload;
  raft::encode_message(message, payload);
  std::string out;
  append_frame(out, FrameType::kRaft, payload);
  return out;
}

inline Hello hello_from(uint64_t id, uint64_t target) {
  return {.node_id = id, .incarnation = 1000 + id, .target_id = target, .cluster_id = kCluster};
}

// The frames in `bytes`, which hold nothing else.
inline std::vector<std::pair<FrameType, std::string>> frames_in(std::string_view bytes) {
  std::vector<std::pair<FrameType, std::string>> frames;
  FrameReader reader(1 << 20);
  while (!bytes.empty()) {
    const std::span<char> space = reader.space();
    const size_t count = std::min(space.size(), bytes.size());
    bytes.copy(space.data(), count);
    reader.received(count);
    bytes.remove_prefix(count);
    for (;;) {
      const auto next = reader.next();
      EXPECT_TRUE(next) << next.error();
      if (!next || !*next) break;
      frames.emplace_back((*next)->type, (*next)->payload);
    }
  }
  return frames;
}

}  // namespace raftkv::server::test
