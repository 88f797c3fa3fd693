#include "server/peer/snapshot_sender.h"

#include <fmt/format.h>
#include <glog/logging.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "server/net/sockets.h"
#include "server/peer/snapshot_frames.h"

namespace raftkv::server {
namespace {

constexpr unsigned kKeepaliveS = 10;

std::unexpected<std::string> fault(std::string text) {
  return std::unexpected(std::move(text));
}

}  // namespace

SnapshotSender::SnapshotSender(Shared& shared, Member peer, std::shared_ptr<SnapshotSource> source,
                               std::function<void(SnapshotSender&)> finished)
    : shared_(shared),
      peer_(std::move(peer)),
      source_(std::move(source)),
      finished_(std::move(finished)),
      resolver_(shared.loop),
      self_(std::make_shared<SnapshotSender*>(this)) {}

SnapshotSender::~SnapshotSender() {
  CHECK(timers_open_ == 0 && stream_ == nullptr) << "a snapshot's sender ends by `finished`";
  *self_ = nullptr;
}

void SnapshotSender::start() {
  for (uv_timer_t* timer : {&timer_, &pace_timer_}) {
    CHECK_EQ(uv_timer_init(shared_.loop, timer), 0);
    timer->data = this;
    ++timers_open_;
  }
  progress_ms_ = uv_now(shared_.loop);
  delay_ms_ = shared_.options.reconnect_min_ms;
  LOG(INFO) << name() << ": sending a snapshot of " << size() << " bytes";
  dial();
}

void SnapshotSender::stop(std::string reason) {
  conclude(std::unexpected(std::move(reason)));
}

void SnapshotSender::flush() {
  if (stream_ != nullptr && state_ != State::kConnecting) stream_->flush();
}

// --- connecting -------------------------------------------------------------------------------

void SnapshotSender::set_timer(uint64_t delay_ms) {
  uv_timer_start(
      &timer_, [](uv_timer_t* timer) { static_cast<SnapshotSender*>(timer->data)->timer_fired(); },
      delay_ms, 0);
}

void SnapshotSender::timer_fired() {
  switch (state_) {
    case State::kWaiting:
      return dial();
    case State::kResolving:
      resolver_.cancel();
      return lost(fmt::format("can't resolve {} in time", peer_.peer_host));
    case State::kConnecting:
      return lose("no connection in time");
    case State::kGreeting:
      return lose("no answer to the handshake in time");
    case State::kOffering:
    case State::kSending:
      return tick();
    case State::kLosing:
    case State::kEnding:
      return;
  }
}

void SnapshotSender::dial() {
  ++attempts_;
  set_timer(shared_.options.handshake_timeout_ms);
  if (const auto address = numeric_address(peer_.peer_host, peer_.peer_port)) {
    return connect(*address);
  }
  state_ = State::kResolving;
  resolver_.start(peer_.peer_host, peer_.peer_port, attempts_,
                  [this](const std::expected<sockaddr_storage, std::string>& address) {
                    if (!address) return lost(address.error());
                    connect(*address);
                  });
}

void SnapshotSender::connect(const sockaddr_storage& address) {
  state_ = State::kConnecting;
  ++connection_;
  // All that the receiver sends is small.
  stream_ = std::make_unique<FrameStream>(shared_.loop, *this, kHandshakeBytesMax);
  stream_->connect(address);
}

void SnapshotSender::on_connected() {
  state_ = State::kGreeting;
  stream_->set_timeouts(kKeepaliveS, shared_.options.silence_max_ms);
  std::string hello;
  encode_hello(make_hello(shared_.self, peer_.id, Purpose::kSnapshot), hello);
  stream_->send(FrameType::kHello, hello);
  stream_->flush();
}

// --- the conversation -------------------------------------------------------------------------

std::expected<void, std::string> SnapshotSender::on_frame(const Frame& frame) {
  moved_ms_ = uv_now(shared_.loop);
  if (frame.type == FrameType::kRefusal &&
      (state_ == State::kGreeting || state_ == State::kOffering)) {
    // It has its reasons: the same offer would meet the same ones.
    conclude(fault("it refuses: " + printable(frame.payload)));
    return {};
  }
  if (state_ == State::kGreeting && frame.type == FrameType::kWelcome) {
    return welcomed(frame.payload);
  }
  const bool talking = state_ == State::kOffering || state_ == State::kSending;
  if (talking && frame.type == FrameType::kPong && frame.payload.size() == kPingBytes) return {};
  if (state_ == State::kOffering && frame.type == FrameType::kAccept) {
    return accepted(frame.payload);
  }
  if (state_ == State::kSending && frame.type == FrameType::kAck) {
    return acknowledged(frame.payload);
  }
  if (talking && frame.type == FrameType::kResult) {
    auto result = decode_result(frame.payload);
    if (!result) return fault(result.error());
    conclude(std::move(*result));
    return {};
  }
  return fault(
      fmt::format("it sent a frame of type {} out of place", static_cast<unsigned>(frame.type)));
}

std::expected<void, std::string> SnapshotSender::welcomed(std::string_view payload) {
  const auto welcome = decode_welcome(payload);
  if (!welcome) return fault(welcome.error());
  const auto verdict = judge_welcome(*welcome, peer_.id, shared_.incarnations);
  if (!verdict) {
    conclude(fault("we refuse it: " + verdict.error()));
    return {};
  }
  state_ = State::kOffering;
  taken_ = 0;
  stream_->send_encoded(FrameType::kOffer, kSnapshotMetaBytesMax + 16,
                        [&](std::string& out) { encode_offer(source_->offer(), out); });
  stream_->flush();
  set_timer(shared_.options.ping_interval_ms);
  return {};
}

std::expected<void, std::string> SnapshotSender::accepted(std::string_view payload) {
  const auto accept = decode_accept(payload);
  if (!accept) return fault(accept.error());
  if (accept->offset > size()) {
    return fault(fmt::format("it wants byte {} of {}", accept->offset, size()));
  }
  const SnapshotOptions& limits = shared_.options.snapshots;
  window_ = std::min<uint64_t>(accept->window, limits.window_bytes);
  const uint64_t chunk =
      std::min({accept->chunk_bytes_max, window_, static_cast<uint64_t>(limits.chunk_bytes)});
  chunk_bytes_ = shared_.pacer.piece_bytes(chunk);
  if (accept->offset != 0 || attempts_ > 1) {
    LOG(INFO) << name() << ": going on at byte " << accept->offset << " of " << size();
  }
  // What an earlier connection brought there is not always progress: it may have been lost again.
  if (accept->offset > acknowledged_) progress_ms_ = uv_now(shared_.loop);
  next_ = acknowledged_ = accept->offset;
  state_ = State::kSending;
  delay_ms_ = shared_.options.reconnect_min_ms;
  pump();
  return {};
}

std::expected<void, std::string> SnapshotSender::acknowledged(std::string_view payload) {
  const auto offset = decode_ack(payload);
  if (!offset) return fault(offset.error());
  if (*offset < acknowledged_ || *offset > next_) {
    return fault(fmt::format("it acknowledged byte {}, which was not sent", *offset));
  }
  if (*offset > acknowledged_) progress_ms_ = uv_now(shared_.loop);
  acknowledged_ = *offset;
  pump();
  return {};
}

// Reads the next chunk if there is room for it: in the receiver's window and in our rate.
void SnapshotSender::pump() {
  if (state_ != State::kSending || reading_ || next_ == size()) return;
  const auto bytes = static_cast<size_t>(std::min<uint64_t>(chunk_bytes_, size() - next_));
  if (next_ + bytes - acknowledged_ > window_) return;
  const uint64_t now_ns = uv_hrtime();
  if (const uint64_t delay_ns = shared_.pacer.delay_ns(now_ns); delay_ns != 0) {
    uv_timer_start(
        &pace_timer_, [](uv_timer_t* timer) { static_cast<SnapshotSender*>(timer->data)->pump(); },
        (delay_ns + 999'999) / 1'000'000, 0);
    return;
  }
  shared_.pacer.take(bytes, now_ns);
  reading_ = true;
  read_for_ = connection_;
  source_->read(next_, bytes, [self = self_, bytes](std::expected<std::string, std::string> chunk) {
    if (*self == nullptr) return;
    if (chunk && chunk->size() != bytes) {
      chunk = fault(fmt::format("{} bytes came for {}", chunk->size(), bytes));
    }
    (*self)->send_chunk(std::move(chunk));
  });
}

void SnapshotSender::send_chunk(std::expected<std::string, std::string> bytes) {
  reading_ = false;
  if (state_ == State::kEnding) return;
  if (!bytes) return conclude(fault("the snapshot can't be read: " + bytes.error()));
  if (state_ == State::kSending && read_for_ == connection_) {
    stream_->send_encoded(FrameType::kChunk, kChunkHeadBytes + bytes->size(),
                          [&](std::string& out) { encode_chunk(next_, *bytes, out); });
    next_ += bytes->size();
    stream_->flush();
  }
  pump();
}

// Once a ping interval: asks for a sign of life, and judges whether there is one.
void SnapshotSender::tick() {
  set_timer(shared_.options.ping_interval_ms);
  const uint64_t now_ms = uv_now(shared_.loop);
  const SnapshotOptions& limits = shared_.options.snapshots;
  const bool theirs = state_ == State::kOffering || all_acknowledged();
  const uint64_t patience_ms = theirs ? limits.install_timeout_ms : limits.give_up_ms;
  if (now_ms - progress_ms_ >= patience_ms) {
    return conclude(fault(fmt::format("no progress for {} ms", now_ms - progress_ms_)));
  }
  // A slow network that still takes bytes is alive, even if its answers stand behind them.
  if (stream_->sent_total() != taken_) {
    taken_ = stream_->sent_total();
    moved_ms_ = now_ms;
  }
  if (now_ms - moved_ms_ >= shared_.options.silence_max_ms) {
    return lose(fmt::format("it has not answered for {} ms", now_ms - moved_ms_));
  }
  // One at a time is enough: what is unsent is no question that could be answered.
  if (stream_->unsent_bytes() != 0) return stream_->flush();
  std::string number(kPingBytes, '\0');
  ++pings_;
  std::memcpy(number.data(), &pings_, kPingBytes);
  stream_->send(FrameType::kPing, number);
  stream_->flush();
  taken_ = stream_->sent_total();
}

// --- the end ----------------------------------------------------------------------------------

void SnapshotSender::lose(std::string reason) {
  // The loading that the connection waited for goes on without it.
  if (all_acknowledged()) progress_ms_ = uv_now(shared_.loop);
  state_ = State::kLosing;
  uv_timer_stop(&timer_);
  uv_timer_stop(&pace_timer_);
  stream_->close(std::move(reason));
}

void SnapshotSender::on_closed(const std::string& reason) {
  stream_.reset();
  if (state_ == State::kEnding) return finish_if_closed();
  if (all_acknowledged()) progress_ms_ = uv_now(shared_.loop);
  lost(reason);
}

void SnapshotSender::lost(const std::string& reason) {
  state_ = State::kWaiting;
  uv_timer_stop(&pace_timer_);
  const uint64_t silent_ms = uv_now(shared_.loop) - progress_ms_;
  if (silent_ms >= shared_.options.snapshots.give_up_ms) {
    return conclude(fault(fmt::format("no progress for {} ms: {}", silent_ms, reason)));
  }
  LOG(WARNING) << name() << ": the snapshot's connection is lost at byte " << acknowledged_
               << " of " << size() << ": " << reason << "; dialling again";
  set_timer(delay_ms_);
  delay_ms_ = std::min(std::max<uint64_t>(1, delay_ms_) * 2, shared_.options.reconnect_max_ms);
}

void SnapshotSender::conclude(SnapshotResult result) {
  if (result_) return;
  if (result) {
    LOG(INFO) << name() << ": the snapshot is installed at index " << *result;
  } else {
    LOG(WARNING) << name() << ": the snapshot is not installed: " << result.error();
  }
  result_ = std::move(result);
  state_ = State::kEnding;
  resolver_.cancel();
  if (stream_ != nullptr) stream_->close("the transfer is over");
  for (uv_timer_t* timer : {&timer_, &pace_timer_}) {
    uv_close(reinterpret_cast<uv_handle_t*>(timer), [](uv_handle_t* handle) {
      auto& self = *static_cast<SnapshotSender*>(handle->data);
      --self.timers_open_;
      self.finish_if_closed();
    });
  }
}

void SnapshotSender::finish_if_closed() {
  if (timers_open_ != 0 || stream_ != nullptr) return;
  // It may destroy this.
  const auto finished = std::move(finished_);
  finished(*this);
}

SnapshotProgress SnapshotSender::progress() const {
  const char* phase = all_acknowledged()          ? "installing"
                      : state_ == State::kSending ? "sending"
                                                  : "connecting";
  return {
      .peer = peer_.id, .outgoing = true, .bytes = acknowledged_, .total = size(), .phase = phase};
}

std::string SnapshotSender::name() const {
  return fmt::format("peer {} at {}", peer_.id, format_host_port(peer_.peer_host, peer_.peer_port));
}

}  // namespace raftkv::server
