#include "server/peer/transport.h"

#include <glog/logging.h>

#include <algorithm>
#include <map>
#include <random>
#include <unordered_map>
#include <utility>

#include "server/net/sockets.h"
#include "server/peer/handshake.h"
#include "server/peer/inbound.h"
#include "server/peer/link.h"
#include "server/peer/log_gate.h"

namespace raftkv::server {
namespace {

// Accepted connections that have not shaken hands yet: strangers must not use up the descriptors.
constexpr size_t kStrangersMax = 64;

LocalIdentity identity_of(const PeerOptions& options) {
  LocalIdentity self{.id = options.self_id, .cluster_id = options.cluster_id, .members = {}};
  for (const Member& member : options.members) self.members.push_back(member.id);
  return self;
}

}  // namespace

class PeerTransport::Impl final : public InboundOwner {
 public:
  Impl(uv_loop_t* loop, PeerOptions options, std::function<void(raft::Message)> on_message)
      : loop_(loop),
        options_(std::move(options)),
        on_message_(std::move(on_message)),
        identity_(identity_of(options_)),
        incarnations_(options_.known_incarnations, options_.on_peer_incarnation),
        random_(std::random_device{}()) {}
  ~Impl() override {
    CHECK(open_ == 0 && inbound_.empty())
        << "the peer transport was destroyed before stop() was done";
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::expected<void, std::string> start();
  void stop(std::function<void()> done);
  void set_incarnation(uint64_t incarnation) { options_.incarnation = incarnation; }
  void send(const raft::Message& message);
  void flush();
  std::vector<PeerLinkStatus> status() const;

 private:
  // What is known of one other member.
  struct Peer {
    std::unique_ptr<Link> link;
    Inbound* inbound = nullptr;          // its established connection to us
    uint64_t closed_received_bytes = 0;  // on its earlier ones
    LogGate arrivals;
  };

  std::expected<void, std::string> judge(const Hello& hello) override;
  void established(Inbound& connection) override;
  void message(raft::Message message) override { on_message_(std::move(message)); }
  void part_of_message(uint64_t peer_id) override {
    if (options_.on_part_of_message) options_.on_part_of_message(peer_id);
  }
  void gone(Inbound& connection, const std::string& reason) override;

  void accept(int status);
  void check_silence();
  void closed_one();

  uv_loop_t* loop_;
  PeerOptions options_;
  std::function<void(raft::Message)> on_message_;
  LocalIdentity identity_;
  Incarnations incarnations_;
  std::mt19937_64 random_;

  uv_tcp_t* listener_ = nullptr;
  uv_timer_t timer_{};
  std::map<uint64_t, Peer> peers_;
  std::unordered_map<Inbound*, std::unique_ptr<Inbound>> inbound_;
  size_t strangers_ = 0;  // of them, before the handshake
  LogGate refusals_;

  size_t open_ = 0;  // listener, timer and links: open or closing
  bool stopping_ = false;
  std::function<void()> done_;
};

std::expected<void, std::string> PeerTransport::Impl::start() {
  ignore_sigpipe();
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
      std::max<uint64_t>(1, std::min(options_.handshake_timeout_ms, options_.silence_max_ms) / 4);
  uv_timer_start(
      &timer_, [](uv_timer_t* timer) { static_cast<Impl*>(timer->data)->check_silence(); },
      interval_ms, interval_ms);
  open_ = 2;
  for (const Member& member : options_.members) {
    if (member.id == options_.self_id) continue;
    Peer& peer = peers_[member.id];
    CHECK(peer.link == nullptr) << "two members have the id " << member.id;
    peer.link = std::make_unique<Link>(loop_, options_, member, incarnations_, random_);
    ++open_;
    peer.link->start();
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
  for (auto& [connection, owned] : inbound_) connection->close("this node stops");
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
  auto made = std::make_unique<Inbound>(loop_, options_, *this);
  Inbound& connection = *made;
  inbound_.emplace(&connection, std::move(made));
  ++strangers_;
  connection.accept(reinterpret_cast<uv_stream_t*>(listener_));
  if (strangers_ > kStrangersMax) connection.close("too many connections without a handshake");
}

std::expected<void, std::string> PeerTransport::Impl::judge(const Hello& hello) {
  return judge_hello(hello, identity_, incarnations_);
}

void PeerTransport::Impl::established(Inbound& connection) {
  --strangers_;
  Peer& peer = peers_.at(connection.peer_id());
  if (peer.inbound != nullptr)
    peer.inbound->close("replaced by a newer connection of the same peer");
  peer.inbound = &connection;
  if (peer.arrivals.passes("", uv_now(loop_))) {
    LOG(INFO) << "peer " << connection.peer_id() << " connected from " << connection.remote()
              << peer.arrivals.suffix();
  }
  peer.link->peer_is_up();
}

void PeerTransport::Impl::gone(Inbound& connection, const std::string& reason) {
  if (connection.is_established()) {
    Peer& peer = peers_.at(connection.peer_id());
    peer.closed_received_bytes += connection.received_bytes();
    if (peer.inbound == &connection) peer.inbound = nullptr;
    if (!stopping_ && peer.arrivals.passes(reason, uv_now(loop_))) {
      LOG(INFO) << "peer " << connection.peer_id() << " at " << connection.remote()
                << " disconnected: " << reason << peer.arrivals.suffix();
    }
  } else {
    --strangers_;
    if (!stopping_ && refusals_.passes(reason, uv_now(loop_))) {
      LOG(WARNING) << "refused a peer connection from " << connection.remote() << ": " << reason
                   << refusals_.suffix();
    }
  }
  inbound_.erase(&connection);
  if (stopping_ && open_ == 0 && inbound_.empty()) {
    const auto done = std::move(done_);
    done();
  }
}

void PeerTransport::Impl::check_silence() {
  // Closing only begins here, so nothing leaves the map while it is walked.
  for (auto& [connection, owned] : inbound_) connection->check_silence();
}

// --- sending ----------------------------------------------------------------------------------

void PeerTransport::Impl::send(const raft::Message& message) {
  const auto peer = peers_.find(message.to);
  CHECK(peer != peers_.end()) << "a message to node " << message.to << ", which is no other member";
  peer->second.link->send(message);
}

void PeerTransport::Impl::flush() {
  for (auto& [id, peer] : peers_) peer.link->flush();
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
                          .last_error = peer.link->last_error()};
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
