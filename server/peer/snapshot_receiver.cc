#include "server/peer/snapshot_receiver.h"

#include <fmt/format.h>
#include <glog/logging.h>

#include <utility>

#include "server/peer/handshake.h"
#include "server/peer/snapshot_frames.h"

namespace raftkv::server {
namespace {

std::unexpected<std::string> fault(std::string text) {
  return std::unexpected(std::move(text));
}

}  // namespace

SnapshotReceiver::SnapshotReceiver(uv_loop_t* loop, FrameStream& stream, const PeerOptions& options,
                                   uint64_t from, SnapshotReceiverOwner& owner)
    : loop_(loop),
      stream_(stream),
      options_(options),
      from_(from),
      owner_(owner),
      since_ms_(uv_now(loop)) {}

SnapshotReceiver::~SnapshotReceiver() {
  leave(true);
  owner_.closed();
}

std::expected<void, std::string> SnapshotReceiver::on_frame(const Frame& frame) {
  if (frame.type == FrameType::kPing && frame.payload.size() == kPingBytes) {
    stream_.send(FrameType::kPong, frame.payload);
    stream_.flush();
    return {};
  }
  if (frame.type == FrameType::kOffer && state_ == State::kGreeted) {
    return take_offer(frame.payload);
  }
  if (frame.type == FrameType::kChunk && state_ == State::kReceiving) {
    return take_chunk(frame.payload);
  }
  return fault(fmt::format("a frame of type {} and {} bytes out of place",
                           static_cast<unsigned>(frame.type), frame.payload.size()));
}

std::expected<void, std::string> SnapshotReceiver::take_offer(std::string_view payload) {
  auto offer = decode_offer(payload);
  if (!offer) return fault(offer.error());
  offer_ = std::move(*offer);
  state_ = State::kOffered;
  if (offer_.size > options_.snapshots.size_max) {
    refuse(fmt::format("a snapshot of {} bytes, more than the {} allowed", offer_.size,
                       options_.snapshots.size_max));
    return {};
  }
  owner_.offered(*this);
  return {};
}

void SnapshotReceiver::refuse(const std::string& reason) {
  stream_.send(FrameType::kRefusal, printable(reason));
  stream_.close_after_sending("refused: " + reason);
  leave(true);
}

void SnapshotReceiver::start(std::unique_ptr<SnapshotSink> sink) {
  sink_ = std::move(sink);
  state_ = State::kOpening;
  sink_->open([this](std::expected<uint64_t, std::string> offset) {
    if (!offset) return fail("the snapshot can't be written: " + offset.error());
    opened(*offset);
  });
}

void SnapshotReceiver::opened(uint64_t offset) {
  CHECK_LE(offset, offer_.size) << "a sink that holds more than the whole";
  received_ = written_ = offset;
  state_ = State::kReceiving;
  since_ms_ = uv_now(loop_);
  accept(offset);
  if (written_ == offer_.size) finish();
}

void SnapshotReceiver::accept(uint64_t offset) {
  std::string payload;
  encode_accept({.offset = offset,
                 .window = options_.snapshots.window_bytes,
                 .chunk_bytes_max = options_.snapshots.chunk_bytes_max},
                payload);
  stream_.send(FrameType::kAccept, payload);
  stream_.flush();
}

std::expected<void, std::string> SnapshotReceiver::take_chunk(std::string_view payload) {
  const auto chunk = decode_chunk(payload);
  if (!chunk) return fault(chunk.error());
  if (chunk->offset != received_ || chunk->bytes.size() > offer_.size - received_) {
    return fault(fmt::format("a chunk of {} bytes at {}, where byte {} of {} was due",
                             chunk->bytes.size(), chunk->offset, received_, offer_.size));
  }
  if (received_ - written_ + chunk->bytes.size() > options_.snapshots.window_bytes) {
    return fault("it sent more than the window allows");
  }
  received_ += chunk->bytes.size();
  since_ms_ = uv_now(loop_);
  chunks_.emplace_back(chunk->bytes);
  if (chunks_.size() == 1) write_next();
  return {};
}

void SnapshotReceiver::write_next() {
  sink_->append(chunks_.front(), [this](std::expected<void, std::string> done) {
    if (!done) return fail("the snapshot can't be written: " + done.error());
    written();
  });
}

void SnapshotReceiver::written() {
  written_ += chunks_.front().size();
  chunks_.pop_front();
  since_ms_ = uv_now(loop_);
  std::string payload;
  encode_ack(written_, payload);
  stream_.send(FrameType::kAck, payload);
  stream_.flush();
  if (!chunks_.empty()) return write_next();
  if (written_ == offer_.size) finish();
}

void SnapshotReceiver::finish() {
  state_ = State::kFinishing;
  sink_->finish([this](std::expected<void, std::string> done) {
    if (!done) return fail(done.error());
    state_ = State::kInstalling;
    owner_.complete(*this, std::move(sink_));
  });
}

void SnapshotReceiver::wait_for_installation() {
  state_ = State::kInstalling;
  received_ = written_ = offer_.size;
  accept(offer_.size);
}

void SnapshotReceiver::conclude(const SnapshotResult& result) {
  std::string payload;
  encode_result(result, payload);
  stream_.send(FrameType::kResult, payload);
  stream_.close_after_sending(result ? "the snapshot is installed" : result.error());
  leave(false);
}

// What could not be written, or is not what was offered, is not worth being kept: a full disk wants
// its room back.
void SnapshotReceiver::fail(const std::string& reason) {
  conclude(fault(reason));
}

void SnapshotReceiver::replace() {
  stream_.close("replaced by a newer connection of the same peer");
  leave(true);
}

void SnapshotReceiver::leave(bool keep) {
  if (state_ == State::kOver) return;
  state_ = State::kOver;
  since_ms_ = uv_now(loop_);
  owner_.over(*this, std::move(sink_), keep);
  chunks_.clear();
}

void SnapshotReceiver::check() {
  const uint64_t waited_ms = uv_now(loop_) - since_ms_;
  switch (state_) {
    case State::kGreeted:
      if (waited_ms >= options_.handshake_timeout_ms) stream_.close("no offer in time");
      return;
    case State::kReceiving:
      if (waited_ms >= options_.snapshots.stall_max_ms) {
        stream_.close(fmt::format("no progress for {} ms", waited_ms));
      }
      return;
    case State::kOver:
      if (waited_ms >= options_.handshake_timeout_ms) stream_.close("it did not take the result");
      return;
    case State::kOffered:
    case State::kOpening:
    case State::kFinishing:
    case State::kInstalling:
      return;  // ours to do
  }
}

SnapshotProgress SnapshotReceiver::progress() const {
  const bool receiving = state_ == State::kReceiving || state_ == State::kOpening;
  return {.peer = from_,
          .outgoing = false,
          .bytes = written_,
          .total = offer_.size,
          .phase = receiving ? "receiving" : "installing"};
}

}  // namespace raftkv::server
