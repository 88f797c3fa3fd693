// How bytes are cut into frames between members. All integers are little-endian.
//
//   offset  size  field
//        0     4  length of the payload in bytes
//        4     1  type (FrameType)
//        5     1  version of this layout (kFrameVersion)
//        6     2  zero
//        8     8  checksum: XXH3-64 of the payload, seeded with the eight bytes before it
//       16     -  payload
//
// A damaged stream can't be read on: after an error the connection is closed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "server/net/byte_buffer.h"

namespace raftkv::server {

enum class FrameType : uint8_t {
  kHello = 1,    // the first frame of a dialler (server/peer/handshake.h)
  kWelcome = 2,  // the acceptor's answer, or
  kRefusal = 3,  // why it will not talk to the dialler, in words
  kRaft = 4,     // one message (raft/codec.h), dialler to acceptor
  kPing = 5,     // eight bytes, dialler to acceptor
  kPong = 6,     // the same eight bytes back
  // A connection for a snapshot (server/peer/snapshot_frames.h):
  kOffer = 7,    // what the dialler would send
  kAccept = 8,   // from where on the acceptor wants it
  kChunk = 9,    // a piece of it
  kAck = 10,     // up to where it is written
  kResult = 11,  // how it ended
};

inline constexpr uint8_t kFrameVersion = 1;
inline constexpr size_t kFrameHeaderBytes = 16;
inline constexpr size_t kPingBytes = 8;

struct Frame {
  FrameType type;
  std::string_view payload;
};

// Appends a frame in two steps, so that the payload is encoded where it is sent from:
//   const size_t begin = begin_frame(out); <append the payload to out>; end_frame(out, begin,
//   type);
size_t begin_frame(std::string& out);
void end_frame(std::string& out, size_t begin, FrameType type);
void append_frame(std::string& out, FrameType type, std::string_view payload);

// Cuts a byte stream into frames. Trusts nothing: type, version and length are judged before a byte
// of the payload is waited for, and memory grows with what has arrived.
class FrameReader {
 public:
  explicit FrameReader(size_t payload_bytes_max) : payload_bytes_max_(payload_bytes_max) {}
  void set_payload_bytes_max(size_t bytes) { payload_bytes_max_ = bytes; }

  // A frame has begun and is not complete.
  bool is_inside_frame() const { return wanted_ != 0; }
  // Where to read bytes to, never empty. Ends the life of the last frame's payload.
  std::span<char> space();
  // `bytes` of that have been read.
  void received(size_t bytes) { input_.commit(bytes); }
  // The next complete frame, nothing if there is none yet, or what is wrong in words. The payload
  // is valid until the next call of next() or space().
  std::expected<std::optional<Frame>, std::string> next();

 private:
  // Of the frame that the input begins with; nothing while its header is not complete.
  std::expected<std::optional<size_t>, std::string> payload_length() const;

  size_t payload_bytes_max_;
  ByteBuffer input_;
  size_t taken_ = 0;   // the last frame's bytes, still at the front of input_
  size_t wanted_ = 0;  // bytes of a frame whose header is known, 0 if none
};

}  // namespace raftkv::server
