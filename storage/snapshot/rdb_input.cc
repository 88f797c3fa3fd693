#include "storage/snapshot/rdb_input.h"

#include <fmt/format.h>
#include <lzf.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

#include "storage/snapshot/crc64.h"
#include "storage/snapshot/rdb_format.h"

namespace raftkv::storage {
namespace {

constexpr size_t kBufferBytes = size_t{256} << 10;
static_assert(RdbInput::kTakeMax <= kBufferBytes);
// Longer strings grow in such steps as their bytes come.
constexpr size_t kStepBytes = size_t{4} << 20;
// What LZF makes of a byte at most: 3 bytes stand for up to 264.
constexpr uint64_t kLzfFactorMax = 88;

uint64_t big_endian(const char* bytes, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

}  // namespace

RdbInput::RdbInput(ByteSource& source)
    : source_(source),
      // A short input (a single value) needs no more than it has.
      capacity_(
          std::clamp<size_t>(source.remaining().value_or(kBufferBytes), kTakeMax, kBufferBytes)),
      buffer_(std::make_unique_for_overwrite<char[]>(capacity_)) {}

// --- the buffer --------------------------------------------------------------------------------

bool RdbInput::fail(uint64_t at, std::string_view problem) {
  if (error_.empty()) error_ = fmt::format("at byte {}: {}", at, problem);
  return false;
}

void RdbInput::digest() {
  checksum_ = crc64(checksum_, {buffer_.get() + digested_, begin_ - digested_});
  digested_ = begin_;
}

uint64_t RdbInput::checksum() {
  digest();
  return checksum_;
}

bool RdbInput::fetch() {
  const auto count = source_.read(buffer_.get() + end_, capacity_ - end_);
  if (!count) return fail(base_ + end_, "reading failed: " + count.error());
  end_ += *count;
  return *count != 0;
}

// Moves what is left to the front and reads on.
bool RdbInput::refill(size_t bytes, const char* what) {
  if (failed()) return false;
  digest();
  std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
  base_ += begin_;
  end_ -= begin_;
  begin_ = digested_ = 0;
  while (end_ < bytes) {
    if (!fetch()) return fail(base_ + end_, fmt::format("the file ends within {}", what));
  }
  return true;
}

bool RdbInput::ensure(size_t bytes, const char* what) {
  return (end_ - begin_ >= bytes && !failed()) || refill(bytes, what);
}

bool RdbInput::at_end() {
  if (failed() || begin_ != end_) return false;
  digest();
  base_ += begin_;
  begin_ = end_ = digested_ = 0;
  return !fetch() && !failed();
}

std::optional<uint64_t> RdbInput::remaining() const {
  const auto behind = source_.remaining();
  if (!behind) return std::nullopt;
  return *behind + (end_ - begin_);
}

// --- numbers -----------------------------------------------------------------------------------

bool RdbInput::take(std::string_view& value, size_t bytes, const char* what) {
  if (!ensure(bytes, what)) return false;
  value = {buffer_.get() + begin_, bytes};
  begin_ += bytes;
  return true;
}

bool RdbInput::byte(uint8_t& value, const char* what) {
  if (!ensure(1, what)) return false;
  value = static_cast<uint8_t>(buffer_[begin_++]);
  return true;
}

bool RdbInput::integer(uint64_t& value, size_t bytes, const char* what) {
  static_assert(std::endian::native == std::endian::little);
  std::string_view taken;
  if (!take(taken, bytes, what)) return false;
  value = 0;
  std::memcpy(&value, taken.data(), bytes);
  return true;
}

bool RdbInput::length(uint64_t& value, const char* what) {
  uint8_t first = 0;
  return byte(first, what) && first_of_length(first, value, what);
}

bool RdbInput::first_of_length(uint8_t first, uint64_t& value, const char* what) {
  const uint64_t at = offset() - 1;
  const uint8_t rest = first & static_cast<uint8_t>(~rdb::kLengthForm);
  std::string_view bytes;
  if ((first & rdb::kLengthForm) == rdb::kLength6) {
    value = rest;
    return true;
  }
  if ((first & rdb::kLengthForm) == rdb::kLength14) {
    if (!take(bytes, 1, what)) return false;
    value = uint64_t{rest} << 8 | static_cast<uint8_t>(bytes[0]);
    return true;
  }
  if (first != rdb::kLength32 && first != rdb::kLength64) {
    return fail(at,
                fmt::format("{:#04x} begins no length, where that of {} should be", first, what));
  }
  const size_t size = first == rdb::kLength32 ? 4 : 8;
  if (!take(bytes, size, what)) return false;
  value = big_endian(bytes.data(), size);
  return true;
}

// --- strings -----------------------------------------------------------------------------------

bool RdbInput::fits(uint64_t length, uint64_t at, const char* what) {
  if (length > rdb::kStringBytesMax) {
    return fail(at, fmt::format("{} has {} bytes, more than the {} that a string may have", what,
                                length, rdb::kStringBytesMax));
  }
  const auto left = remaining();
  if (left && length > *left) {
    return fail(
        at, fmt::format("{} has {} bytes, but only {} are left in the file", what, length, *left));
  }
  return true;
}

bool RdbInput::string(std::string_view& value, std::string& memory, const char* what) {
  const uint64_t at = offset();
  uint8_t first = 0;
  if (!byte(first, what)) return false;
  if ((first & rdb::kLengthForm) != rdb::kSpecialForm) {
    uint64_t length = 0;
    return first_of_length(first, length, what) && fits(length, at, what) &&
           raw(length, value, memory, what);
  }
  switch (first & static_cast<uint8_t>(~rdb::kLengthForm)) {
    case rdb::kInt8:
      return integer_text(1, value, what);
    case rdb::kInt16:
      return integer_text(2, value, what);
    case rdb::kInt32:
      return integer_text(4, value, what);
    case rdb::kLzf:
      return compressed(value, memory, what);
    default:
      return fail(at, fmt::format("{:#04x} begins no string, where {} should be", first, what));
  }
}

bool RdbInput::raw(uint64_t length, std::string_view& value, std::string& memory,
                   const char* what) {
  if (length <= capacity_) {
    if (!ensure(length, what)) return false;
    value = {buffer_.get() + begin_, length};
    begin_ += length;
    return true;
  }
  memory.clear();
  while (memory.size() < length) {
    if (begin_ == end_ && !ensure(1, what)) return false;
    const size_t left = length - memory.size();
    if (memory.capacity() < length && memory.capacity() - memory.size() < end_ - begin_) {
      memory.reserve(std::min<size_t>(length, 2 * memory.size() + kStepBytes));
    }
    const size_t count = std::min(left, end_ - begin_);
    memory.append(buffer_.get() + begin_, count);
    begin_ += count;
  }
  value = memory;
  return true;
}

bool RdbInput::integer_text(uint8_t form, std::string_view& value, const char* what) {
  uint64_t bits = 0;
  if (!integer(bits, form, what)) return false;
  const unsigned unused = 64 - 8 * form;
  const auto number = static_cast<int64_t>(bits << unused) >> unused;
  value = {text_, static_cast<size_t>(std::to_chars(text_, std::end(text_), number).ptr - text_)};
  return true;
}

bool RdbInput::compressed(std::string_view& value, std::string& memory, const char* what) {
  const uint64_t at = offset() - 1;
  uint64_t packed_length = 0;
  uint64_t length = 0;
  std::string_view packed;
  if (!this->length(packed_length, what) || !this->length(length, what)) return false;
  if (!fits(packed_length, at, what)) return false;
  if (length > rdb::kStringBytesMax || length > kLzfFactorMax * packed_length || length == 0) {
    return fail(at, fmt::format("{} compressed bytes can't be the {} bytes of {}", packed_length,
                                length, what));
  }
  if (!raw(packed_length, packed, packed_, what)) return false;
  memory.resize(length);
  const unsigned unpacked = lzf_decompress(packed.data(), static_cast<unsigned>(packed.size()),
                                           memory.data(), static_cast<unsigned>(length));
  if (unpacked != length) {
    return fail(at, fmt::format("{} can't be decompressed to its {} bytes", what, length));
  }
  value = memory;
  return true;
}

}  // namespace raftkv::storage
