#include "server/peer/inbound.h"

#include <fmt/format.h>

#include <utility>

#include "raft/codec.h"

namespace raftkv::server {
namespace {

constexpr unsigned kKeepaliveS = 10;

std::unexpected<std::string> fault(std::string text) {
  return std::unexpected(std::move(text));
}

}  // namespace

Inbound::Inbound(uv_loop_t* loop, const PeerOptions& options, const LocalIdentity& self,
                 InboundOwner& owner)
    : loop_(loop),
      options_(options),
      self_(self),
      owner_(owner),
      stream_(loop, *this, kHandshakeBytesMax),
      opened_ms_(uv_now(loop)) {}

void Inbound::accept(uv_stream_t* listener) {
  stream_.accept(listener);
  stream_.set_timeouts(kKeepaliveS, options_.silence_max_ms);
  remote_ = stream_.remote();
}

std::expected<void, std::string> Inbound::on_frame(const Frame& frame) {
  if (!is_established()) return greet(frame);
  if (snapshot_ != nullptr) return snapshot_->on_frame(frame);
  if (frame.type == FrameType::kRaft) return deliver(frame.payload);
  if (frame.type == FrameType::kPing && frame.payload.size() == kPingBytes) {
    stream_.send(FrameType::kPong, frame.payload);
    // Not at the end of the turn: nothing else is sent on this connection that it could wait for.
    stream_.flush();
    return {};
  }
  return fault(fmt::format("a frame of type {} and {} bytes out of place",
                           static_cast<unsigned>(frame.type), frame.payload.size()));
}

std::expected<void, std::string> Inbound::greet(const Frame& frame) {
  if (frame.type != FrameType::kHello) return fault("it began without a hello");
  const auto hello = decode_hello(frame.payload);
  if (!hello) return fault(hello.error());
  if (const auto verdict = owner_.judge(*hello); !verdict) {
    refuse(verdict.error());
    return {};
  }
  if (hello->purpose == Purpose::kSnapshot) {
    auto begun = owner_.begin_snapshot(*this, stream_, *hello);
    if (!begun) {
      refuse(begun.error());
      return {};
    }
    snapshot_ = std::move(*begun);
  } else {
    stream_.set_payload_bytes_max(options_.frame_bytes_max);
  }
  std::string welcome;
  encode_welcome({.node_id = self_.id, .incarnation = self_.incarnation}, welcome);
  stream_.send(FrameType::kWelcome, welcome);
  stream_.flush();
  peer_id_ = hello->node_id;
  incarnation_ = hello->incarnation;
  owner_.established(*this, *hello);
  return {};
}

void Inbound::refuse(const std::string& reason) {
  stream_.send(FrameType::kRefusal, printable(reason));
  stream_.close_after_sending(reason);
}

std::expected<void, std::string> Inbound::deliver(std::string_view payload) {
  auto message = raft::decode_message(payload);
  if (!message) return fault("a message that can't be read: " + message.error());
  if (message->from != peer_id_ || message->to != self_.id) {
    return fault(
        fmt::format("a message from node {} to node {} on a connection from node {} to node {}",
                    message->from, message->to, peer_id_, self_.id));
  }
  owner_.message(std::move(*message));
  return {};
}

void Inbound::on_part_of_frame() {
  if (is_established() && snapshot_ == nullptr) owner_.part_of_message(peer_id_);
}

void Inbound::check_silence() {
  const uint64_t now = uv_now(loop_);
  if (!is_established()) {
    if (now - opened_ms_ >= options_.handshake_timeout_ms) {
      stream_.close("no handshake in time");
    }
    return;
  }
  // The dialler pings; what silence means beyond that is the same for both sides.
  if (now - stream_.received_ms() >= options_.ping_interval_ms + options_.silence_max_ms) {
    return stream_.close(fmt::format("silent for {} ms", now - stream_.received_ms()));
  }
  if (snapshot_ != nullptr) snapshot_->check();
}

void Inbound::on_closed(const std::string& reason) {
  owner_.gone(*this, reason);
}

}  // namespace raftkv::server
