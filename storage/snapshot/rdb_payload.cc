#include "storage/snapshot/rdb_payload.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "storage/snapshot/crc64.h"
#include "storage/snapshot/rdb_encoder.h"
#include "storage/snapshot/rdb_format.h"
#include "storage/snapshot/rdb_input.h"

namespace raftkv::storage {
namespace {

constexpr size_t kVersionBytes = 2;
constexpr size_t kChecksumBytes = 8;
constexpr size_t kFooterBytes = kVersionBytes + kChecksumBytes;

uint64_t little_endian(std::string_view bytes) {
  uint64_t value = 0;
  std::memcpy(&value, bytes.data(), bytes.size());
  return value;
}

void append(std::string& out, uint64_t value, size_t bytes) {
  out.append(reinterpret_cast<const char*>(&value), bytes);
}

// What is wrong with the footer; empty if all is well.
std::string footer_problem(std::string_view payload) {
  if (payload.size() < kFooterBytes) return "it is shorter than its version and checksum";
  const uint64_t version = little_endian(payload.substr(payload.size() - kFooterBytes, 2));
  if (version > rdb::kVersionReadMax) return fmt::format("version {} is not known", version);
  const size_t summed = payload.size() - kChecksumBytes;
  if (crc64(0, payload.substr(0, summed)) != little_endian(payload.substr(summed))) {
    return "its checksum is wrong";
  }
  return "";
}

}  // namespace

std::string dump_value(const data::Entry& entry) {
  RdbBlock block;
  RdbEncoder encoder(block);
  encoder.type(entry);
  encoder.value(entry);
  // Not compressed: LZF is free to find other matches each time, but a value that was dumped may be
  // written again by a script, and then has to be the same on every replica.
  std::string payload = std::move(block.bytes);
  append(payload, rdb::kVersionWritten, kVersionBytes);
  append(payload, crc64(0, payload), kChecksumBytes);
  return payload;
}

std::expected<std::string, PayloadError> restore_string(std::string_view payload) {
  if (std::string problem = footer_problem(payload); !problem.empty()) {
    return std::unexpected(PayloadError{PayloadError::Kind::kFooter, std::move(problem)});
  }
  ViewSource source(payload.substr(0, payload.size() - kFooterBytes));
  RdbInput input(source);
  std::string value;
  std::string_view text;
  uint8_t type = 0;
  if (input.byte(type, "the type")) {
    const char* name = rdb::type_name(type);
    if (name == nullptr) {
      input.fail(0, fmt::format("{:#04x} is no type", type));
    } else if (type != rdb::kTypeString) {
      input.fail(0, fmt::format("a {} is of a type that does not exist here", name));
    } else if (input.string(text, value, "the value") && !input.at_end()) {
      input.fail(input.offset(), "bytes follow behind the value");
    }
  }
  if (input.failed()) {
    return std::unexpected(PayloadError{PayloadError::Kind::kFormat, input.error()});
  }
  if (text.data() != value.data()) value.assign(text);
  return value;
}

}  // namespace raftkv::storage
