// The inside of PeerTransport: the table of those we talk to, and the connections they made to us.
#pragma once

#include <uv.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <unordered_map>
#include <vector>

#include "server/peer/handshake.h"
#include "server/peer/inbound.h"
#include "server/peer/link.h"
#include "server/peer/log_gate.h"
#include "server/peer/snapshot_channel.h"
#include "server/peer/transport.h"

namespace raftkv::server {

inline void take_address(LocalIdentity& self, const Member& member) {
  self.client_host = member.client_host;
  self.client_port = member.client_port;
  self.peer_host = member.peer_host;
  self.peer_port = member.peer_port;
}
// No member but itself, if even that.
inline bool knows_nobody(const LocalIdentity& self) {
  return std::ranges::all_of(self.members, [&](uint64_t id) { return id == self.id; });
}

class PeerTransport::Impl final : public InboundOwner {
 public:
  Impl(uv_loop_t* loop, PeerOptions options, std::function<void(raft::Message)> on_message);
  ~Impl() override;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // transport.cc
  std::expected<void, std::string> start();
  void stop(std::function<void()> done);
  void set_incarnation(uint64_t incarnation) { self_.incarnation = incarnation; }
  void remember(std::map<uint64_t, uint64_t> known) { incarnations_.remember(std::move(known)); }
  void send(const raft::Message& message);
  void flush();
  std::vector<PeerLinkStatus> status() const;
  SnapshotChannel& snapshots() { return snapshots_; }
  const SnapshotChannel& snapshots() const { return snapshots_; }

  // transport_members.cc
  void set_members(const std::vector<Member>& members, uint64_t membership_index);
  void forget(uint64_t id);

 private:
  enum class Standing : uint8_t {
    kMember,
    kProvisional,  // no member here, but it may know better; talked to while its connection stands
    kLeaving,      // was removed, and is talked to for a moment more
  };
  // Somebody we talk to.
  struct Peer {
    Standing standing = Standing::kMember;
    Member where;
    std::unique_ptr<Link> link;
    Inbound* inbound = nullptr;           // its established connection to us
    uint64_t hello_membership_index = 0;  // of that connection
    uint64_t leaving_since_ms = 0;
    uint64_t closed_received_bytes = 0;  // on its earlier connections
    LogGate arrivals;
  };

  // InboundOwner: transport_members.cc
  std::expected<void, std::string> judge(const Hello& hello) override;
  void established(Inbound& connection, const Hello& hello) override;
  std::expected<std::unique_ptr<SnapshotReceiver>, std::string> begin_snapshot(
      Inbound& connection, FrameStream& stream, const Hello& hello) override;
  void message(raft::Message message) override { on_message_(std::move(message)); }
  void part_of_message(uint64_t peer_id) override {
    if (options_.on_part_of_message) options_.on_part_of_message(peer_id);
  }
  void gone(Inbound& connection, const std::string& reason) override;

  void accept(int status);
  void check();
  void closed_one();

  Peer& meet(const Member& member, Standing standing);
  void reach_at(Peer& peer, const Member& member);
  void confirm(Peer& peer);
  void let_go(uint64_t id, Peer& peer);
  void part_with(uint64_t id, const std::string& reason);
  void retire(std::unique_ptr<Link> link);
  std::optional<Member> find_member(uint64_t id) const;
  size_t provisional_count() const;

  uv_loop_t* loop_;
  PeerOptions options_;
  std::function<void(raft::Message)> on_message_;
  LocalIdentity self_;
  Incarnations incarnations_;
  std::mt19937_64 random_;
  SnapshotChannel snapshots_;

  uv_tcp_t* listener_ = nullptr;
  uv_timer_t timer_{};
  std::map<uint64_t, Peer> peers_;
  std::list<std::unique_ptr<Link>> retired_;  // until what they had queued is sent
  std::unordered_map<Inbound*, std::unique_ptr<Inbound>> inbound_;
  size_t strangers_ = 0;  // of them, before the handshake
  LogGate refusals_;

  size_t open_ = 0;  // listener, timer, links and the snapshots: open or closing
  bool stopping_ = false;
  std::function<void()> done_;
};

}  // namespace raftkv::server
