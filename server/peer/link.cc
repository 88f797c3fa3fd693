#include "server/peer/link.h"

#include <fmt/format.h>
#include <glog/logging.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "raft/codec.h"
#include "server/net/sockets.h"

namespace raftkv::server {
namespace {

constexpr unsigned kKeepaliveS = 10;

std::unexpected<std::string> fault(std::string text) {
  return std::unexpected(std::move(text));
}

}  // namespace

Link::Link(uv_loop_t* loop, const PeerOptions& options, const LocalIdentity& self,
           const Member& peer, Incarnations& incarnations, std::mt19937_64& random)
    : loop_(loop),
      options_(options),
      self_(self),
      peer_(peer),
      incarnations_(incarnations),
      random_(random),
      resolver_(loop) {}

Link::~Link() {
  CHECK(!timer_open_ && stream_ == nullptr) << "a link ends by stop()";
}

void Link::start() {
  CHECK_EQ(uv_timer_init(loop_, &timer_), 0);
  timer_.data = this;
  timer_open_ = true;
  delay_ms_ = options_.reconnect_min_ms;
  dial();
}

void Link::stop(std::function<void()> stopped) {
  stopped_ = std::move(stopped);
  state_ = State::kStopped;
  resolver_.cancel();
  if (stream_ != nullptr) stream_->close("this node stops");
  close_timer();
}

void Link::drain(std::function<void()> stopped) {
  if (!connected()) return stop(std::move(stopped));
  stopped_ = std::move(stopped);
  state_ = State::kDraining;
  set_timer(options_.drain_ms);
  stream_->close_after_sending("it is no member at this address any more");
}

void Link::close_timer() {
  if (uv_is_closing(reinterpret_cast<uv_handle_t*>(&timer_)) != 0) return;
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), [](uv_handle_t* handle) {
    Link& link = *static_cast<Link*>(handle->data);
    link.timer_open_ = false;
    link.stop_if_idle();
  });
}

void Link::stop_if_idle() {
  if (state_ != State::kStopped || timer_open_ || stream_ != nullptr) return;
  // It may destroy this.
  const auto stopped = std::move(stopped_);
  stopped();
}

// --- dialling ---------------------------------------------------------------------------------

void Link::set_timer(uint64_t delay_ms) {
  uv_timer_start(
      &timer_, [](uv_timer_t* timer) { static_cast<Link*>(timer->data)->timer_fired(); }, delay_ms,
      0);
}

void Link::timer_fired() {
  switch (state_) {
    case State::kWaiting:
      return dial();
    case State::kResolving:
      resolver_.cancel();
      return lost(fmt::format("can't resolve {} in time", peer_.peer_host));
    case State::kConnecting:
      return drop("no connection in time");
    case State::kGreeting:
      return drop("no answer to the handshake in time");
    case State::kEstablished:
      return ping();
    case State::kDraining:
      return stream_->close("it did not take what was queued");
    case State::kClosing:
    case State::kStopped:
      return;
  }
}

void Link::dial() {
  ++attempts_;
  set_timer(options_.handshake_timeout_ms);
  if (const auto address = numeric_address(peer_.peer_host, peer_.peer_port)) {
    return connect(*address);
  }
  resolve();
}

// Anew for each attempt: a member may come back under another address of the same name.
void Link::resolve() {
  state_ = State::kResolving;
  resolver_.start(peer_.peer_host, peer_.peer_port, attempts_,
                  [this](const std::expected<sockaddr_storage, std::string>& address) {
                    if (!address) return lost(address.error());
                    connect(*address);
                  });
}

void Link::connect(const sockaddr_storage& address) {
  state_ = State::kConnecting;
  stream_ = std::make_unique<FrameStream>(loop_, *this, kHandshakeBytesMax);
  stream_->connect(address);
}

void Link::on_connected() {
  state_ = State::kGreeting;
  stream_->set_timeouts(kKeepaliveS, options_.silence_max_ms);
  std::string hello;
  encode_hello(make_hello(self_, peer_.id, Purpose::kMessages), hello);
  stream_->send(FrameType::kHello, hello);
  stream_->flush();
}

// --- the conversation -------------------------------------------------------------------------

std::expected<void, std::string> Link::on_frame(const Frame& frame) {
  if (state_ == State::kGreeting && frame.type == FrameType::kWelcome) {
    return welcomed(frame.payload);
  }
  if (state_ == State::kGreeting && frame.type == FrameType::kRefusal) {
    refused_ = true;
    return fault("it refuses us: " + printable(frame.payload));
  }
  if (state_ == State::kEstablished && frame.type == FrameType::kPong) return pong(frame.payload);
  return fault(
      fmt::format("it sent a frame of type {} out of place", static_cast<unsigned>(frame.type)));
}

std::expected<void, std::string> Link::welcomed(std::string_view payload) {
  const auto welcome = decode_welcome(payload);
  if (!welcome) return fault(welcome.error());
  const auto verdict = judge_welcome(*welcome, peer_.id, incarnations_);
  if (!verdict) {
    refused_ = true;
    return fault("we refuse it: " + verdict.error());
  }
  state_ = State::kEstablished;
  established_ms_ = uv_now(loop_);
  refused_ = false;
  last_error_.clear();
  ping_number_ = 0;
  ping();
  LOG(INFO) << name() << ": connected";
  return {};
}

// Once each interval. The answer proves that the other process lives; that it does not come is
// judged only while nothing moves, because the ping may stand behind megabytes that a slow network
// takes.
void Link::ping() {
  set_timer(options_.ping_interval_ms);
  const uint64_t now_ms = uv_now(loop_);
  if (ping_number_ != 0) {
    const uint64_t taken = std::min(stream_->sent_total(), ping_end_);
    if (taken != ping_taken_) {
      ping_taken_ = taken;
      ping_since_ms_ = now_ms;
    }
    if (now_ms - ping_since_ms_ >= options_.silence_max_ms) {
      drop(fmt::format("it has not answered for {} ms", now_ms - ping_since_ms_));
    }
    return;
  }
  ping_number_ = ++pings_;
  std::string payload(kPingBytes, '\0');
  std::memcpy(payload.data(), &ping_number_, kPingBytes);
  ping_sent_ns_ = uv_hrtime();
  stream_->send(FrameType::kPing, payload);
  ping_end_ = stream_->queued_total();
  ping_taken_ = std::min(stream_->sent_total(), ping_end_);
  ping_since_ms_ = now_ms;
}

std::expected<void, std::string> Link::pong(std::string_view payload) {
  uint64_t number = 0;
  if (payload.size() != kPingBytes) return fault("it sent a pong of a wrong length");
  std::memcpy(&number, payload.data(), kPingBytes);
  if (number != ping_number_ || number == 0) return fault("it sent a pong that answers no ping");
  ping_number_ = 0;
  const uint64_t sample_us = std::max<uint64_t>(1, (uv_hrtime() - ping_sent_ns_) / 1000);
  // Smoothed as TCP does it: one eighth of each new sample.
  round_trip_us_ = round_trip_us_ == 0 ? sample_us : (7 * round_trip_us_ + sample_us) / 8;
  return {};
}

void Link::send(const raft::Message& message) {
  if (!connected()) {
    ++dropped_;
    return;
  }
  const uint64_t now_ms = uv_now(loop_);
  if (stream_->unsent_bytes() >= options_.queue_bytes_max) {
    ++dropped_;
    if (drops_.passes("queue", now_ms)) {
      LOG(WARNING) << name() << ": messages are dropped, " << stream_->unsent_bytes()
                   << " bytes wait to be sent" << drops_.suffix();
    }
    return;
  }
  const bool fits =
      stream_->send_encoded(FrameType::kRaft, options_.frame_bytes_max,
                            [&](std::string& out) { raft::encode_message(message, out); });
  if (fits) return;
  ++dropped_;
  if (drops_.passes("size", now_ms)) {
    LOG(ERROR) << name() << ": a message is dropped, it is longer than the "
               << options_.frame_bytes_max << " bytes of a frame" << drops_.suffix();
  }
}

void Link::flush() {
  if (connected()) stream_->flush();
}

void Link::peer_is_up() {
  if (state_ == State::kWaiting && !refused_) dial();
}

// --- the end of a connection ------------------------------------------------------------------

void Link::drop(const std::string& reason) {
  state_ = State::kClosing;
  uv_timer_stop(&timer_);
  stream_->close(reason);
}

void Link::on_closed(const std::string& reason) {
  closed_sent_bytes_ += stream_->sent_total();
  stream_.reset();
  if (state_ == State::kDraining) {
    state_ = State::kStopped;
    close_timer();
  }
  if (state_ == State::kStopped) return stop_if_idle();
  lost(reason);
}

void Link::lost(const std::string& reason) {
  // A connection that stood for a while was no failed attempt.
  const bool stood =
      established_ms_ != 0 && uv_now(loop_) - established_ms_ >=
                                  std::min(options_.reconnect_max_ms, options_.ping_interval_ms);
  if (std::exchange(established_ms_, 0) != 0) failures_.reset();
  if (stood) delay_ms_ = options_.reconnect_min_ms;
  if (refused_) delay_ms_ = options_.reconnect_max_ms;
  last_error_ = reason;
  if (failures_.passes(reason, uv_now(loop_))) {
    LOG(WARNING) << name() << ": " << reason << "; dialling again" << failures_.suffix();
  }
  wait_before_dialling();
}

void Link::wait_before_dialling() {
  state_ = State::kWaiting;
  // Between half and all of the delay: nodes that lost each other together do not dial together.
  std::uniform_int_distribution<uint64_t> jitter(delay_ms_ / 2, delay_ms_);
  set_timer(jitter(random_));
  delay_ms_ = std::min(std::max<uint64_t>(1, delay_ms_) * 2, options_.reconnect_max_ms);
}

uint64_t Link::sent_bytes() const {
  return closed_sent_bytes_ + (stream_ == nullptr ? 0 : stream_->sent_total());
}

std::string Link::name() const {
  return fmt::format("peer {} at {}", peer_.id, format_host_port(peer_.peer_host, peer_.peer_port));
}

}  // namespace raftkv::server
