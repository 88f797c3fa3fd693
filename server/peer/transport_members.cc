// Who is talked to: members, those who leave, and those who may know better than we do.
#include <fmt/format.h>
#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "server/net/sockets.h"
#include "server/peer/transport_impl.h"

namespace raftkv::server {
namespace {

// Nodes that are no members here and are talked to all the same.
constexpr size_t kProvisionalMax = 16;

}  // namespace

// --- the table --------------------------------------------------------------------------------

void PeerTransport::Impl::set_members(const std::vector<Member>& members,
                                      uint64_t membership_index) {
  CHECK(open_ != 0 && !stopping_) << "the members change before start() or after stop()";
  self_.members.clear();
  for (const Member& member : members) {
    CHECK(!self_.has_member(member.id)) << "two members have the id " << member.id;
    self_.members.push_back(member.id);
    self_.removed.erase(member.id);
    if (member.id == self_.id) take_address(self_, member);
  }
  self_.membership_index = membership_index;
  self_.joining = options_.joining && knows_nobody(self_);

  for (const Member& member : members) {
    if (member.id == self_.id) continue;
    const auto known = peers_.find(member.id);
    if (known == peers_.end()) {
      meet(member, Standing::kMember);
      continue;
    }
    confirm(known->second);
    reach_at(known->second, member);
  }
  std::vector<uint64_t> unknown;
  for (const auto& [id, peer] : peers_) {
    if (!self_.has_member(id)) unknown.push_back(id);
  }
  for (const uint64_t id : unknown) let_go(id, peers_.at(id));
  snapshots_.members_changed();
}

void PeerTransport::Impl::forget(uint64_t id) {
  if (incarnations_.forget(id) && options_.on_peer_forgotten) options_.on_peer_forgotten(id);
}

PeerTransport::Impl::Peer& PeerTransport::Impl::meet(const Member& member, Standing standing) {
  Peer& peer = peers_[member.id];
  CHECK(peer.link == nullptr) << "two members have the id " << member.id;
  peer.standing = standing;
  peer.where = member;
  peer.link = std::make_unique<Link>(loop_, options_, self_, peer.where, incarnations_, random_);
  ++open_;
  peer.link->start();
  return peer;
}

// What is queued for the old address still goes there; the peer may listen at both.
void PeerTransport::Impl::reach_at(Peer& peer, const Member& member) {
  peer.where = member;
  if (peer.link->leads_to(member)) return;
  LOG(INFO) << "peer " << member.id << " is now at "
            << format_host_port(member.peer_host, member.peer_port);
  retire(std::move(peer.link));
  peer.link = std::make_unique<Link>(loop_, options_, self_, member, incarnations_, random_);
  ++open_;
  peer.link->start();
}

// It is a member from now on, whatever it was before.
void PeerTransport::Impl::confirm(Peer& peer) {
  const Standing before = std::exchange(peer.standing, Standing::kMember);
  if (before != Standing::kProvisional || peer.inbound == nullptr) return;
  // It was not worth remembering until now.
  const auto verdict = incarnations_.admit(peer.inbound->peer_id(), peer.inbound->incarnation());
  if (!verdict) peer.inbound->close(verdict.error());
}

// It is no member, or not any more.
void PeerTransport::Impl::let_go(uint64_t id, Peer& peer) {
  if (peer.standing == Standing::kLeaving) return;
  if (peer.standing == Standing::kMember) {
    self_.removed.insert(id);
    LOG(INFO) << "peer " << id << " is not a member any more";
  } else if (self_.joining || peer.hello_membership_index > self_.membership_index) {
    return;
  }
  if (!peer.link->connected() && peer.inbound == nullptr) return part_with(id, "");
  peer.standing = Standing::kLeaving;
  peer.leaving_since_ms = uv_now(loop_);
}

void PeerTransport::Impl::part_with(uint64_t id, const std::string& reason) {
  auto node = peers_.extract(id);
  Peer& peer = node.mapped();
  if (peer.inbound != nullptr) peer.inbound->close(reason);
  retire(std::move(peer.link));
}

void PeerTransport::Impl::retire(std::unique_ptr<Link> link) {
  Link* const old = link.get();
  retired_.push_back(std::move(link));
  old->drain([this, old] {
    std::erase_if(retired_, [old](const auto& each) { return each.get() == old; });
    closed_one();
  });
}

std::optional<Member> PeerTransport::Impl::find_member(uint64_t id) const {
  const auto peer = peers_.find(id);
  if (peer == peers_.end() || peer->second.standing != Standing::kMember) return std::nullopt;
  return peer->second.where;
}

size_t PeerTransport::Impl::provisional_count() const {
  return static_cast<size_t>(std::ranges::count_if(
      peers_, [](const auto& each) { return each.second.standing == Standing::kProvisional; }));
}

void PeerTransport::Impl::check() {
  // Closing only begins here, so nothing leaves the map while it is walked.
  for (auto& [connection, owned] : inbound_) connection->check_silence();
  std::vector<uint64_t> over;
  for (const auto& [id, peer] : peers_) {
    if (peer.standing != Standing::kLeaving) continue;
    const bool silent = !peer.link->connected() && peer.inbound == nullptr;
    if (silent || uv_now(loop_) - peer.leaving_since_ms >= options_.leave_ms) over.push_back(id);
  }
  for (const uint64_t id : over) part_with(id, "it is not a member any more");
  snapshots_.check();
}

// --- accepted connections ---------------------------------------------------------------------

std::expected<void, std::string> PeerTransport::Impl::judge(const Hello& hello) {
  if (auto verdict = judge_hello(hello, self_, incarnations_); !verdict) return verdict;
  if (!self_.has_member(hello.node_id) && !peers_.contains(hello.node_id) &&
      provisional_count() >= kProvisionalMax) {
    return std::unexpected(fmt::format(
        "node {} is no member of this cluster, and too many such nodes came", hello.node_id));
  }
  return {};
}

void PeerTransport::Impl::established(Inbound& connection, const Hello& hello) {
  --strangers_;
  if (connection.is_for_snapshot()) return;
  auto known = peers_.find(hello.node_id);
  if (!self_.has_member(hello.node_id)) {
    const Member named{.id = hello.node_id,
                       .client_host = hello.client_host,
                       .client_port = hello.client_port,
                       .peer_host = hello.peer_host,
                       .peer_port = hello.peer_port};
    if (known == peers_.end()) {
      LOG(INFO) << "peer " << hello.node_id << " is no member here, but "
                << (self_.joining ? "this node is joining and knows none"
                                  : "its membership is newer than ours");
      meet(named, Standing::kProvisional);
      known = peers_.find(hello.node_id);
    } else {
      known->second.standing = Standing::kProvisional;
      reach_at(known->second, named);
    }
  }
  Peer& peer = known->second;
  peer.hello_membership_index = hello.membership_index;
  if (peer.inbound != nullptr) {
    peer.inbound->close("replaced by a newer connection of the same peer");
  }
  peer.inbound = &connection;
  if (peer.arrivals.passes("", uv_now(loop_))) {
    LOG(INFO) << "peer " << connection.peer_id() << " connected from " << connection.remote()
              << peer.arrivals.suffix();
  }
  peer.link->peer_is_up();
}

std::expected<std::unique_ptr<SnapshotReceiver>, std::string> PeerTransport::Impl::begin_snapshot(
    Inbound&, FrameStream& stream, const Hello& hello) {
  return snapshots_.accept(stream, hello.node_id);
}

void PeerTransport::Impl::gone(Inbound& connection, const std::string& reason) {
  const auto found = peers_.find(connection.peer_id());
  if (!connection.is_established()) {
    --strangers_;
    if (!stopping_ && refusals_.passes(reason, uv_now(loop_))) {
      LOG(WARNING) << "refused a peer connection from " << connection.remote() << ": " << reason
                   << refusals_.suffix();
    }
  } else if (connection.is_for_snapshot()) {
    if (!stopping_) {
      LOG(INFO) << "the snapshot's connection of peer " << connection.peer_id() << " at "
                << connection.remote() << " ended: " << reason;
    }
  } else if (found != peers_.end()) {
    Peer& peer = found->second;
    peer.closed_received_bytes += connection.received_bytes();
    if (!stopping_ && peer.arrivals.passes(reason, uv_now(loop_))) {
      LOG(INFO) << "peer " << connection.peer_id() << " at " << connection.remote()
                << " disconnected: " << reason << peer.arrivals.suffix();
    }
    if (peer.inbound == &connection) {
      peer.inbound = nullptr;
      // It is talked to because it talks to us.
      if (peer.standing == Standing::kProvisional && !stopping_) part_with(found->first, "");
    }
  }
  inbound_.erase(&connection);
  if (stopping_ && open_ == 0 && inbound_.empty()) {
    const auto done = std::move(done_);
    done();
  }
}

}  // namespace raftkv::server
