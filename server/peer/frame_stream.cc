#include "server/peer/frame_stream.h"

#include <glog/logging.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "server/net/sockets.h"

namespace raftkv::server {
namespace {

// A chunk takes further frames until it is this long.
constexpr size_t kChunkBytes = size_t{64} << 10;
// A chunk of up to this size is kept for the next turn: under load each turn's append is large, and
// fresh memory costs a page fault every 4 KiB.
constexpr size_t kKeptChunkBytes = size_t{4} << 20;

FrameStream& self(void* data) {
  return *static_cast<FrameStream*>(data);
}

}  // namespace

struct FrameStream::Write {
  uv_write_t request{};
  FrameStream* stream = nullptr;
  std::vector<std::string> chunks;
};

FrameStream::FrameStream(uv_loop_t* loop, Owner& owner, size_t payload_bytes_max)
    : loop_(loop), owner_(owner), reader_(payload_bytes_max), received_ms_(uv_now(loop)) {
  CHECK_EQ(uv_tcp_init(loop, &handle_), 0) << "a handle without a socket can't fail";
  handle_.data = this;
}

FrameStream::~FrameStream() {
  CHECK(closing_) << "a frame stream ends by on_closed()";
}

void FrameStream::connect(const sockaddr_storage& address) {
  connect_.data = this;
  const int error = uv_tcp_connect(&connect_, &handle_, reinterpret_cast<const sockaddr*>(&address),
                                   [](uv_connect_t* request, int status) {
                                     FrameStream& stream = self(request->data);
                                     if (stream.closing_) return;
                                     if (status != 0) return stream.close(uv_strerror(status));
                                     stream.start_reading();
                                     if (!stream.closing_) stream.owner_.on_connected();
                                   });
  if (error != 0) close(uv_strerror(error));
}

void FrameStream::accept(uv_stream_t* listener) {
  const int error = uv_accept(listener, reinterpret_cast<uv_stream_t*>(&handle_));
  if (error != 0) return close(uv_strerror(error));
  start_reading();
}

void FrameStream::set_timeouts(unsigned keepalive_s, uint64_t user_timeout_ms) {
  set_tcp_options(handle_, keepalive_s);
  set_tcp_user_timeout(handle_, user_timeout_ms);
}

std::string FrameStream::remote() const {
  return remote_address(handle_);
}

// --- input ------------------------------------------------------------------------------------

void FrameStream::start_reading() {
  received_ms_ = uv_now(loop_);
  const int error = uv_read_start(
      reinterpret_cast<uv_stream_t*>(&handle_),
      [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
        const std::span<char> space = self(handle->data).reader_.space();
        *buffer = uv_buf_init(space.data(), static_cast<unsigned>(space.size()));
      },
      [](uv_stream_t* handle, ssize_t bytes, const uv_buf_t*) {
        self(handle->data).on_read(bytes);
      });
  if (error != 0) close(uv_strerror(error));
}

void FrameStream::on_read(ssize_t bytes) {
  if (bytes == 0) return;
  if (ending_) {
    // Bytes are dropped: they were not committed to the reader.
    if (bytes < 0) close("");
    return;
  }
  if (bytes == UV_EOF) return close("the other side closed the connection");
  if (bytes < 0) return close(uv_strerror(static_cast<int>(bytes)));
  received_ += static_cast<uint64_t>(bytes);
  received_ms_ = uv_now(loop_);
  reader_.received(static_cast<size_t>(bytes));
  while (!closing_ && !ending_) {
    const auto frame = reader_.next();
    if (!frame) return close(frame.error());
    if (!*frame) {
      if (reader_.is_inside_frame()) owner_.on_part_of_frame();
      return;
    }
    const auto handled = owner_.on_frame(**frame);
    if (!handled) return close(handled.error());
  }
}

// --- output -----------------------------------------------------------------------------------

std::string& FrameStream::open_chunk() {
  if (pending_.empty() || pending_.back().size() >= kChunkBytes) pending_.emplace_back();
  return pending_.back();
}

void FrameStream::send(FrameType type, std::string_view payload) {
  std::string& chunk = open_chunk();
  append_frame(chunk, type, payload);
  pending_bytes_ += kFrameHeaderBytes + payload.size();
}

size_t FrameStream::unsent_bytes() const {
  return pending_bytes_ +
         uv_stream_get_write_queue_size(reinterpret_cast<const uv_stream_t*>(&handle_));
}

void FrameStream::flush() {
  if (writing_ || closing_ || pending_bytes_ == 0) return;
  auto* stream = reinterpret_cast<uv_stream_t*>(&handle_);
  std::vector<uv_buf_t> buffers;
  buffers.reserve(pending_.size());
  for (std::string& chunk : pending_) {
    buffers.push_back(uv_buf_init(chunk.data(), static_cast<unsigned>(chunk.size())));
  }
  const int taken = uv_try_write(stream, buffers.data(), static_cast<unsigned>(buffers.size()));
  if (taken < 0 && taken != UV_EAGAIN) return close(uv_strerror(taken));
  size_t skip = taken < 0 ? 0 : static_cast<size_t>(taken);
  written_ += pending_bytes_;
  if (skip == std::exchange(pending_bytes_, 0)) return recycle();

  auto write = std::make_unique<Write>();
  write->chunks.swap(pending_);
  auto first = buffers.begin();
  for (; skip >= first->len; ++first) skip -= first->len;
  first->base += skip;
  first->len -= skip;
  write->request.data = write.get();
  write->stream = this;
  const int error =
      uv_write(&write->request, stream, &*first, static_cast<unsigned>(buffers.end() - first),
               [](uv_write_t* request, int status) {
                 const std::unique_ptr<Write> done(static_cast<Write*>(request->data));
                 done->stream->write_finished(status);
               });
  if (error != 0) return close(uv_strerror(error));
  writing_ = true;
  static_cast<void>(write.release());  // the callback, which always comes, takes it back
}

// The memory of one chunk stays for the next turn.
void FrameStream::recycle() {
  pending_.resize(1);
  if (pending_.front().capacity() > kKeptChunkBytes) {
    pending_.clear();
  } else {
    pending_.front().clear();
  }
}

// What was queued meanwhile waits for the next flush().
void FrameStream::write_finished(int status) {
  writing_ = false;
  if (closing_) return;
  if (status != 0) return close(uv_strerror(status));
  if (ending_) finish_ending();
}

void FrameStream::close_after_sending(std::string reason) {
  if (closing_ || ending_) return;
  ending_ = true;
  reason_ = std::move(reason);
  finish_ending();
}

void FrameStream::finish_ending() {
  flush();
  if (closing_ || writing_) return;
  shutdown_.data = this;
  const int error = uv_shutdown(&shutdown_, reinterpret_cast<uv_stream_t*>(&handle_),
                                [](uv_shutdown_t* request, int status) {
                                  FrameStream& stream = self(request->data);
                                  if (status != 0) stream.close("");
                                });
  if (error != 0) close("");
}

void FrameStream::close(std::string reason) {
  if (closing_) return;
  closing_ = true;
  // Who ends a conversation has said why already.
  if (!ending_) reason_ = std::move(reason);
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_), [](uv_handle_t* handle) {
    FrameStream& stream = self(handle->data);
    // The stream, and with it reason_, may be gone before on_closed() returns.
    const std::string why = std::move(stream.reason_);
    stream.owner_.on_closed(why);
  });
}

}  // namespace raftkv::server
