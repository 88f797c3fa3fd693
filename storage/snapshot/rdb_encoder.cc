#include "storage/snapshot/rdb_encoder.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>

#include "storage/data/check.h"
#include "storage/snapshot/rdb_format.h"

namespace raftkv::storage {
namespace {

using data::Keyspace;

// Shorter strings are not worth a try to compress.
constexpr size_t kCompressAbove = 20;
// "-2147483648"
constexpr size_t kInt32TextMax = 11;

// The number that `text` is, if it fits and is written as it would be read back.
std::optional<int32_t> small_integer(std::string_view text) {
  if (text.empty() || text.size() > kInt32TextMax) return std::nullopt;
  int32_t value = 0;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const auto [stop, error] = std::from_chars(begin, end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  char again[kInt32TextMax + 1];
  const auto written = std::to_chars(again, std::end(again), value).ptr;
  if (std::string_view(again, written) != text) return std::nullopt;
  return value;
}

}  // namespace

void append_rdb_length(std::string& out, uint64_t value) {
  const auto big_endian = [&](size_t bytes) {
    for (size_t i = bytes; i-- > 0;) out.push_back(static_cast<char>(value >> (8 * i)));
  };
  if (value < 1 << 6) {
    out.push_back(static_cast<char>(rdb::kLength6 | value));
  } else if (value < 1 << 14) {
    out.push_back(static_cast<char>(rdb::kLength14 | value >> 8));
    out.push_back(static_cast<char>(value));
  } else if (value <= std::numeric_limits<uint32_t>::max()) {
    out.push_back(static_cast<char>(rdb::kLength32));
    big_endian(4);
  } else {
    out.push_back(static_cast<char>(rdb::kLength64));
    big_endian(8);
  }
}

// --- fields ------------------------------------------------------------------------------------

void RdbEncoder::length(uint64_t value) {
  append_rdb_length(block_.bytes, value);
}

void RdbEncoder::little_endian(uint64_t value, size_t bytes) {
  static_assert(std::endian::native == std::endian::little);
  block_.bytes.append(reinterpret_cast<const char*>(&value), bytes);
}

void RdbEncoder::raw(std::string_view text) {
  const size_t offset = block_.bytes.size();
  length(text.size());
  const auto header = static_cast<uint32_t>(block_.bytes.size() - offset);
  block_.bytes.append(text);
  if (text.size() <= kCompressAbove) return;
  data::check(text.size() <= rdb::kStringBytesMax, "a string of a snapshot can be read back");
  block_.long_strings.push_back({offset, header, static_cast<uint32_t>(text.size())});
}

void RdbEncoder::integer(int64_t value, std::string_view text) {
  const auto fits = [&](auto limit) {
    return value >= std::numeric_limits<decltype(limit)>::min() &&
           value <= std::numeric_limits<decltype(limit)>::max();
  };
  if (fits(int8_t{})) {
    byte(rdb::kSpecialForm | rdb::kInt8);
    little_endian(static_cast<uint64_t>(value), 1);
  } else if (fits(int16_t{})) {
    byte(rdb::kSpecialForm | rdb::kInt16);
    little_endian(static_cast<uint64_t>(value), 2);
  } else if (fits(int32_t{})) {
    byte(rdb::kSpecialForm | rdb::kInt32);
    little_endian(static_cast<uint64_t>(value), 4);
  } else {
    raw(text);
  }
}

void RdbEncoder::string(std::string_view text) {
  if (const auto number = small_integer(text)) {
    integer(*number, text);
  } else {
    raw(text);
  }
}

// --- records -----------------------------------------------------------------------------------

void RdbEncoder::header() {
  block_.bytes += fmt::format("REDIS{:04}", rdb::kVersionWritten);
}

void RdbEncoder::aux(std::string_view name, std::string_view value) {
  byte(rdb::kAux);
  string(name);
  string(value);
}

void RdbEncoder::database(uint64_t number, uint64_t keys, uint64_t keys_with_expiry) {
  byte(rdb::kSelectDb);
  length(number);
  byte(rdb::kResizeDb);
  length(keys);
  length(keys_with_expiry);
}

void RdbEncoder::expiry(data::TimeMs expiry_ms) {
  if (expiry_ms == data::kNoExpiry) return;
  byte(rdb::kExpireTimeMs);
  little_endian(static_cast<uint64_t>(expiry_ms), sizeof(expiry_ms));
}

void RdbEncoder::entry(const data::Entry& entry) {
  expiry(Keyspace::expiry_of(entry));
  type(entry);
  string(Keyspace::key_of(entry));
  value(entry);
}

void RdbEncoder::string_entry(std::string_view key, std::string_view value,
                              data::TimeMs expiry_ms) {
  expiry(expiry_ms);
  byte(rdb::kTypeString);
  string(key);
  string(value);
}

void RdbEncoder::type(const data::Entry& entry) {
  switch (Keyspace::type_of(entry)) {
    case data::Type::kString:
      return byte(rdb::kTypeString);
  }
  data::check(false, "every type can be written");
}

void RdbEncoder::value(const data::Entry& entry) {
  switch (Keyspace::type_of(entry)) {
    case data::Type::kString: {
      data::IntBuffer buffer;
      const std::string_view text = Keyspace::string_of(entry, buffer);
      if (const auto number = Keyspace::integer_of(entry)) return integer(*number, text);
      return string(text);
    }
  }
  data::check(false, "every type can be written");
}

void RdbEncoder::end_mark() {
  byte(rdb::kEof);
}

}  // namespace raftkv::storage
