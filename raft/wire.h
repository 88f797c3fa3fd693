// The primitives that raft/codec.h describes: how a number, a byte of flags and a run of bytes are
// written, and a reader that trusts nothing. For the codecs only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace raftkv::raft {

inline constexpr size_t kVarintBytesMax = 10;

inline void put_byte(std::string& out, uint8_t byte) {
  out.push_back(static_cast<char>(byte));
}

inline void put_varint(std::string& out, uint64_t value) {
  char bytes[kVarintBytesMax];
  size_t size = 0;
  while (value >= 0x80) {
    bytes[size++] = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  bytes[size++] = static_cast<char>(value);
  out.append(bytes, size);
}

inline void put_flags(std::string& out, bool first, bool second) {
  put_byte(out, static_cast<uint8_t>((first ? 1 : 0) | (second ? 2 : 0)));
}

// Takes fields off the front. After the first error every field is 0 and the error stays.
class Source {
 public:
  explicit Source(std::string_view bytes) : bytes_(bytes) {}

  uint8_t byte(const char* what) {
    if (bytes_.empty()) return fail("ends before ", what);
    const auto value = static_cast<uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    return value;
  }

  uint64_t varint(const char* what) {
    uint64_t value = 0;
    for (size_t i = 0; i < kVarintBytesMax; i++) {
      if (i >= bytes_.size()) return fail("ends before ", what);
      const auto byte = static_cast<uint8_t>(bytes_[i]);
      if (i == kVarintBytesMax - 1 && byte > 1) return fail("too large a number: ", what);
      value |= uint64_t{byte & 0x7fU} << (7 * i);
      if (byte < 0x80) {
        // One number has one encoding only.
        if (byte == 0 && i > 0) return fail("a number with needless bytes: ", what);
        bytes_.remove_prefix(i + 1);
        return value;
      }
    }
    return fail("too large a number: ", what);
  }

  // One byte that holds as many flags.
  uint8_t flags(size_t count, const char* what) {
    const uint8_t value = byte(what);
    if (value >> count != 0) return fail("unknown flags: ", what);
    return value;
  }

  std::string_view take(uint64_t size, const char* what) {
    if (size > bytes_.size()) {
      fail("ends before ", what);
      return {};
    }
    const std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }

  uint8_t fail(const char* how, const char* what) {
    if (error_.empty()) error_ = std::string(how) + what;
    bytes_ = {};
    return 0;
  }

  bool failed() const { return !error_.empty(); }
  const std::string& error() const { return error_; }
  std::string_view rest() const { return bytes_; }

 private:
  std::string_view bytes_;
  std::string error_;
};

}  // namespace raftkv::raft
