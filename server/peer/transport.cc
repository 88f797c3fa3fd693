#include "server/peer/transport.h"

#include <fmt/format.h>
#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "server/net/sockets.h"
#include "server/peer/transport_impl.h"

namespace raftkv::server {
namespace {

// Accepted connections that have not shaken hands yet: strangers must not use up the descriptors.
constexpr size_t kStrangersMax = 64;

LocalIdentity identity_of(const PeerOptions& options) {
  LocalIdentity self{.id = options.self_id,
                     .cluster_id = options.cluster_id,
                     .members = {},
                     .incarnation = options.incarnation};
  take_address(self, options.self);
  for (const Member& member : options.members) {
    self.members.push_back(member.id);
    if (member.id == self.id && options.self.peer_host.empty()) take_address(self, member);
  }
  self.joining = options.joining && knows_nobody(self);
  return self;
}

}  // namespace

PeerTransport::Impl::Impl(uv_loop_t* loop, PeerOptions options,
                          std::function<void(raft::Message)> on_message)
    : loop_(loop),
      options_(std::move(options)),
      on_message_(std::move(on_message)),
      self_(identity_of(options_)),
      incarnations_(options_.known_incarnations, options_.on_peer_incarnation),
      random_(std::random_device{}()),
      snapshots_(loop, options_, self_, incarnations_,
                 [this](uint64_t id) { return find_member(id); }) {}

PeerTransport::Impl::~Impl() {
  CHECK(open_ == 0 && inbound_.empty())
      << "the peer transport was destroyed before stop() was done";
}

std::expected<void, std::string> PeerTransport::Impl::start() {
  ignore_sigpipe();
  for (const std::string* host : {&self_.client_host, &self_.peer_host}) {
    if (host->size() > kHostBytesMax) {
      return std::unexpected(
          fmt::format("the host name {} is too long: at most {} bytes", *host, kHostBytesMax));
    }
  }
  const ListenRequest request{.host = options_.listen_host,
                              .port = options_.listen_port,
                              .purpose = "peers",
                              .flag = "--peer_listen"};
  const auto on_connection = [](uv_stream_t* handle, int status) {
    static_cast<Impl*>(handle->data)->accept(status);
  };
  auto opened = open_listener(loop_, request, this, on_connection);
  if (!opened) return std::unexpected(opened.error());
  listener_ = *opened;
  CHECK_EQ(uv_timer_init(loop_, &timer_), 0);
  timer_.data = this;
  const uint64_t interval_ms =
      std::max<uint64_t>(1, std::min({options_.handshake_timeout_ms, options_.silence_max_ms,
                                      options_.leave_ms, options_.snapshots.retry_ms}) /
                                4);
  uv_timer_start(
      &timer_, [](uv_timer_t* timer) { static_cast<Impl*>(timer->data)->check(); }, interval_ms,
      interval_ms);
  open_ = 3;  // and the snapshots
  for (const Member& member : options_.members) {
    if (member.id != self_.id) meet(member, Standing::kMember);
  }
  return {};
}

void PeerTransport::Impl::stop(std::function<void()> done) {
  CHECK(open_ != 0 && !stopping_) << "stop() without start(), or twice";
  stopping_ = true;
  done_ = std::move(done);
  close_listener(std::exchange(listener_, nullptr),
                 [](void* data) { static_cast<Impl*>(data)->closed_one(); });
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_),
           [](uv_handle_t* handle) { static_cast<Impl*>(handle->data)->closed_one(); });
  for (auto& [id, peer] : peers_) peer.link->stop([this] { closed_one(); });
  for (auto& link : retired_) link->stop([this] { closed_one(); });
  for (auto& [connection, owned] : inbound_) connection->close("this node stops");
  snapshots_.stop([this] { closed_one(); });
}

void PeerTransport::Impl::closed_one() {
  --open_;
  if (open_ != 0 || !inbound_.empty()) return;
  // `done` may destroy this.
  const auto done = std::move(done_);
  done();
}

// --- accepted connections ---------------------------------------------------------------------

void PeerTransport::Impl::accept(int status) {
  if (status != 0) {
    if (refusals_.passes("accept", uv_now(loop_))) {
      LOG(WARNING) << "can't accept a peer: " << uv_strerror(status) << refusals_.suffix();
    }
    return;
  }
  auto made = std::make_unique<Inbound>(loop_, options_, self_, *this);
  Inbound& connection = *made;
  inbound_.emplace(&connection, std::move(made));
  ++strangers_;
  connection.accept(reinterpret_cast<uv_stream_t*>(listener_));
  if (strangers_ > kStrangersMax) connection.close("too many connections without a handshake");
}

// --- sending ----------------------------------------------------------------------------------

void PeerTransport::Impl::send(const raft::Message& message) {
  const auto peer = peers_.find(message.to);
  if (peer != peers_.end()) peer->second.link->send(message);
}

void PeerTransport::Impl::flush() {
  for (auto& [id, peer] : peers_) peer.link->flush();
  snapshots_.flush();
}

std::vector<PeerLinkStatus> PeerTransport::Impl::status() const {
  std::vector<PeerLinkStatus> all;
  for (const auto& [id, peer] : peers_) {
    PeerLinkStatus status{.id = id,
                          .connected = peer.link->connected(),
                          .queued_bytes = peer.link->queued_bytes(),
                          .sent_bytes = peer.link->sent_bytes(),
                          .received_bytes = peer.closed_received_bytes,
                          .dropped_messages = peer.link->dropped_messages(),
                          .round_trip_us = peer.link->round_trip_us(),
                          .last_error = peer.link->last_error(),
                          .member = peer.standing == Standing::kMember};
    if (peer.inbound != nullptr) status.received_bytes += peer.inbound->received_bytes();
    all.push_back(std::move(status));
  }
  return all;
}

PeerTransport::PeerTransport(uv_loop_t* loop, PeerOptions options,
                             std::function<void(raft::Message)> on_message)
    : impl_(std::make_unique<Impl>(loop, std::move(options), std::move(on_message))) {}
PeerTransport::~PeerTransport() = default;

std::expected<void, std::string> PeerTransport::start() {
  return impl_->start();
}
void PeerTransport::stop(std::function<void()> done) {
  impl_->stop(std::move(done));
}
void PeerTransport::set_incarnation(uint64_t incarnation) {
  impl_->set_incarnation(incarnation);
}

void PeerTransport::remember_incarnations(std::map<uint64_t, uint64_t> known) {
  impl_->remember(std::move(known));
}

void PeerTransport::set_members(const std::vector<Member>& members, uint64_t membership_index) {
  impl_->set_members(members, membership_index);
}
void PeerTransport::forget(uint64_t id) {
  impl_->forget(id);
}
void PeerTransport::send_snapshot(uint64_t to, std::shared_ptr<SnapshotSource> source,
                                  std::function<void(SnapshotResult)> done) {
  impl_->snapshots().send(to, std::move(source), std::move(done));
}
std::vector<SnapshotProgress> PeerTransport::snapshots() const {
  return impl_->snapshots().progress();
}

void PeerTransport::send(const raft::Message& message) {
  impl_->send(message);
}
void PeerTransport::flush() {
  impl_->flush();
}
std::vector<PeerLinkStatus> PeerTransport::status() const {
  return impl_->status();
}

}  // namespace raftkv::server
