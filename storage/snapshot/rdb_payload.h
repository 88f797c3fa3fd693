// One value alone, in the form of Redis's DUMP and RESTORE: type and value as in an RDB file, then
// the format's version (2 bytes) and the CRC-64 of all before, little-endian.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "storage/data/keyspace.h"

namespace raftkv::storage {

// A function of the value alone: the same on every replica.
std::string dump_value(const data::Entry& entry);

struct PayloadError {
  enum class Kind : uint8_t {
    kFooter,  // too short, of an unknown version, or damaged: Redis's words for it are all the same
    kFormat,
  };
  Kind kind;
  std::string text;  // what is wrong, for people
};

// The string that the payload holds; the only type there is.
std::expected<std::string, PayloadError> restore_string(std::string_view payload);

}  // namespace raftkv::storage
