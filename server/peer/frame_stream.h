// One TCP connection that carries frames, dialled or accepted. Loop thread only.
//
// Its end is told exactly once, by Owner::on_closed(), from the loop, whoever wanted it: only then
// may the stream be destroyed.
#pragma once

#include <uv.h>

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "server/peer/frame.h"

namespace raftkv::server {

class FrameStream {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // A dialled connection stands.
    virtual void on_connected() {}
    // The error closes the connection.
    virtual std::expected<void, std::string> on_frame(const Frame& frame) = 0;
    // More bytes of a frame came in, and it is still not complete.
    virtual void on_part_of_frame() {}
    // The last call. `reason` is what close() was given, or what went wrong. May destroy the
    // stream.
    virtual void on_closed(const std::string& reason) = 0;
  };

  FrameStream(uv_loop_t* loop, Owner& owner, size_t payload_bytes_max);
  ~FrameStream();
  FrameStream(const FrameStream&) = delete;
  FrameStream& operator=(const FrameStream&) = delete;

  // Begins to connect; a failure, also an immediate one, is told by on_closed().
  void connect(const sockaddr_storage& address);
  // Takes the next connection of `listener` and begins to read. Likewise.
  void accept(uv_stream_t* listener);
  // The first is for dead hosts in general; the second ends a connection whose bytes nobody
  // acknowledges.
  void set_timeouts(unsigned keepalive_s, uint64_t user_timeout_ms);

  // Queues a frame. flush() hands what is queued to the kernel, with one vectored write.
  void send(FrameType type, std::string_view payload);
  // The same for a payload that `encode(std::string& out)` appends. False, and nothing is queued,
  // if it is longer than `payload_bytes_max`.
  template <typename Encode>
  bool send_encoded(FrameType type, size_t payload_bytes_max, Encode&& encode) {
    std::string& chunk = open_chunk();
    const size_t begin = begin_frame(chunk);
    encode(chunk);
    if (chunk.size() - begin - kFrameHeaderBytes > payload_bytes_max) {
      chunk.resize(begin);
      return false;
    }
    end_frame(chunk, begin, type);
    pending_bytes_ += chunk.size() - begin;
    return true;
  }
  void flush();

  void close(std::string reason);
  // Sends what is queued, says that no more comes, and closes once the other side has closed too:
  // an end while its bytes still arrive would be a reset, and could take back what was sent. Frames
  // are not read any more. How long this may take is the owner's business: it may close().
  void close_after_sending(std::string reason);

  void set_payload_bytes_max(size_t bytes) { reader_.set_payload_bytes_max(bytes); }
  // Queued and not yet taken by the kernel.
  size_t unsent_bytes() const;
  // Ever queued, taken by the kernel, received.
  uint64_t queued_total() const { return written_ + pending_bytes_; }
  uint64_t sent_total() const { return queued_total() - unsent_bytes(); }
  uint64_t received_total() const { return received_; }
  // Loop time at which bytes last came in.
  uint64_t received_ms() const { return received_ms_; }
  std::string remote() const;

 private:
  struct Write;  // what libuv still has to send

  void start_reading();
  void on_read(ssize_t bytes);
  void write_finished(int status);
  void finish_ending();
  std::string& open_chunk();
  void recycle();

  uv_loop_t* loop_;
  Owner& owner_;
  uv_tcp_t handle_{};
  uv_connect_t connect_{};
  uv_shutdown_t shutdown_{};
  FrameReader reader_;
  // Small messages share a chunk, so that a turn's worth of them is one piece.
  std::vector<std::string> pending_;
  size_t pending_bytes_ = 0;
  uint64_t written_ = 0;  // bytes that left pending_
  uint64_t received_ = 0;
  uint64_t received_ms_ = 0;
  bool writing_ = false;  // a Write is on its way
  bool closing_ = false;
  bool ending_ = false;  // close_after_sending()
  std::string reason_;
};

}  // namespace raftkv::server
