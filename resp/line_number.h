// The decimal number in a header line ("*3", "$-1"), digit by digit as the bytes arrive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace raftkv::resp {

// Accepts exactly what Redis does: an optional '-', no '+', no leading zero, no "-0", int64 range.
class LineNumber {
 public:
  void add(char byte) {
    const auto digit = static_cast<uint8_t>(byte - '0');
    if (digit <= 9) {
      const bool leading_zero = digits_ > 0 && magnitude_ == 0;
      if (leading_zero || magnitude_ > kMagnitudeMax / 10) {
        bad_ = true;
        return;
      }
      magnitude_ = magnitude_ * 10 + digit;
      digits_ = 1;
    } else if (byte == '-' && digits_ == 0 && !negative_) {
      negative_ = true;
    } else {
      bad_ = true;
    }
  }

  // The fast path for nearly every header: if nothing was added yet and `rest` begins with a whole
  // line of one to three digits, takes it and returns its size with the line end; else 0.
  size_t read_short(std::string_view rest) {
    constexpr size_t kLongest = 3;
    if (rest.size() < kLongest + 2 || digits_ != 0 || negative_ || bad_) return 0;
    if (rest[0] < '1' || rest[0] > '9') return 0;
    uint64_t magnitude = static_cast<uint64_t>(rest[0] - '0');
    for (size_t i = 1; i <= kLongest; ++i) {
      if (rest[i] == '\r') {
        magnitude_ = magnitude;
        digits_ = 1;
        return i + 2;
      }
      const auto digit = static_cast<uint8_t>(rest[i] - '0');
      if (digit > 9) return 0;
      magnitude = magnitude * 10 + digit;
    }
    return 0;
  }

  // The line has ended: its value, or nothing if it is no number.
  std::optional<int64_t> value() const {
    if (bad_ || digits_ == 0) return std::nullopt;
    if (!negative_) {
      if (magnitude_ > kMagnitudeMax) return std::nullopt;
      return static_cast<int64_t>(magnitude_);
    }
    if (magnitude_ == 0 || magnitude_ > kMagnitudeMax + 1) return std::nullopt;
    return static_cast<int64_t>(0 - magnitude_);
  }

 private:
  static constexpr uint64_t kMagnitudeMax = std::numeric_limits<int64_t>::max();

  uint64_t magnitude_ = 0;
  uint8_t digits_ = 0;  // 0 or 1: whether there was any
  bool negative_ = false;
  bool bad_ = false;
};

}  // namespace raftkv::resp
