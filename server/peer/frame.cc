#include "server/peer/frame.h"

#include <fmt/format.h>
#include <glog/logging.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

namespace raftkv::server {
namespace {

static_assert(std::endian::native == std::endian::little,
              "frames are written as they stand in memory");

constexpr size_t kLengthAt = 0;
constexpr size_t kTypeAt = 4;
constexpr size_t kVersionAt = 5;
constexpr size_t kZeroAt = 6;
constexpr size_t kChecksumAt = 8;
static_assert(kChecksumAt + sizeof(uint64_t) == kFrameHeaderBytes);

// One read() is offered at least this much; a buffer beyond the second is not kept for small
// frames.
constexpr size_t kReadBytes = size_t{64} << 10;
constexpr size_t kKeptBytes = size_t{4} << 20;

template <typename T>
T load(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

template <typename T>
void store(char* bytes, T value) {
  std::memcpy(bytes, &value, sizeof value);
}

uint64_t checksum(const char* header, std::string_view payload) {
  return XXH3_64bits_withSeed(payload.data(), payload.size(), load<uint64_t>(header));
}

bool known(uint8_t type) {
  return type >= static_cast<uint8_t>(FrameType::kHello) &&
         type <= static_cast<uint8_t>(FrameType::kResult);
}

}  // namespace

size_t begin_frame(std::string& out) {
  out.append(kFrameHeaderBytes, '\0');
  return out.size() - kFrameHeaderBytes;
}

void end_frame(std::string& out, size_t begin, FrameType type) {
  const size_t length = out.size() - begin - kFrameHeaderBytes;
  CHECK_LE(length, std::numeric_limits<uint32_t>::max()) << "the length of a frame has 32 bits";
  char* const header = out.data() + begin;
  store(header + kLengthAt, static_cast<uint32_t>(length));
  store(header + kTypeAt, static_cast<uint8_t>(type));
  store(header + kVersionAt, kFrameVersion);
  store(header + kZeroAt, uint16_t{0});
  store(header + kChecksumAt, checksum(header, {header + kFrameHeaderBytes, length}));
}

void append_frame(std::string& out, FrameType type, std::string_view payload) {
  const size_t begin = begin_frame(out);
  out.append(payload);
  end_frame(out, begin, type);
}

std::span<char> FrameReader::space() {
  input_.consume(taken_);
  taken_ = 0;
  if (input_.empty() && input_.capacity() > kKeptBytes) input_.reset();
  const size_t missing = wanted_ > input_.size() ? wanted_ - input_.size() : 0;
  return input_.prepare(input_.room_for(missing, kReadBytes));
}

std::expected<std::optional<size_t>, std::string> FrameReader::payload_length() const {
  const std::string_view bytes = input_.view();
  if (bytes.size() < kFrameHeaderBytes) return std::nullopt;
  const auto version = load<uint8_t>(bytes.data() + kVersionAt);
  if (version != kFrameVersion) {
    return std::unexpected(
        fmt::format("unknown frame version {} (this node speaks {})", version, kFrameVersion));
  }
  const auto type = load<uint8_t>(bytes.data() + kTypeAt);
  if (!known(type)) return std::unexpected(fmt::format("unknown frame type {}", type));
  if (load<uint16_t>(bytes.data() + kZeroAt) != 0) {
    return std::unexpected(std::string("reserved bytes of a frame header are not zero"));
  }
  const size_t length = load<uint32_t>(bytes.data() + kLengthAt);
  if (length > payload_bytes_max_) {
    return std::unexpected(
        fmt::format("a frame of {} bytes, more than the {} allowed", length, payload_bytes_max_));
  }
  return length;
}

std::expected<std::optional<Frame>, std::string> FrameReader::next() {
  input_.consume(taken_);
  taken_ = 0;
  wanted_ = 0;
  const auto length = payload_length();
  if (!length) return std::unexpected(length.error());
  if (!*length) return std::nullopt;
  wanted_ = kFrameHeaderBytes + **length;
  if (input_.size() < wanted_) return std::nullopt;

  const char* const header = input_.view().data();
  const std::string_view payload(header + kFrameHeaderBytes, **length);
  if (load<uint64_t>(header + kChecksumAt) != checksum(header, payload)) {
    return std::unexpected(
        std::string("a frame's checksum is wrong: bytes were changed on the way"));
  }
  taken_ = wanted_;
  wanted_ = 0;
  return Frame{static_cast<FrameType>(header[kTypeAt]), payload};
}

}  // namespace raftkv::server
