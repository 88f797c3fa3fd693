// The numbers of the Redis RDB format, for its reader and its writer.
//
//   "REDIS" and four digits: the version
//   records: AUX fields, and for each database SELECTDB, RESIZEDB and its keys; before a key
//     perhaps its deadline and how it was used, then its type, the key, the value
//   EOF, and from version 5 on the CRC-64 of all before (little-endian; 0: none was made)
//
// Lengths are big-endian with the form in the first byte's two highest bits. A string is a length
// and so many bytes, or of one of the special forms.
#pragma once

#include <cstddef>
#include <cstdint>

namespace raftkv::storage::rdb {

// What we write: old enough for every Redis from 5 on, since strings are all the same since then.
inline constexpr unsigned kVersionWritten = 9;
// What we read: up to Redis 7.2. Later ones may change what an opcode means.
inline constexpr unsigned kVersionReadMax = 11;
inline constexpr unsigned kVersionWithChecksum = 5;

enum Opcode : uint8_t {
  kFunction2 = 0xf5,
  kFunctionPreGa = 0xf6,
  kModuleAux = 0xf7,
  kIdle = 0xf8,
  kFreq = 0xf9,
  kAux = 0xfa,
  kResizeDb = 0xfb,
  kExpireTimeMs = 0xfc,
  kExpireTime = 0xfd,
  kSelectDb = 0xfe,
  kEof = 0xff,
};

inline constexpr uint8_t kTypeString = 0;
// The name of a type in Redis's words ("list"), null if no Redis up to kVersionReadMax has it.
const char* type_name(uint8_t type);

// The first byte of a length.
inline constexpr uint8_t kLengthForm = 0xc0;   // these bits:
inline constexpr uint8_t kLength6 = 0x00;      // the other six bits are it
inline constexpr uint8_t kLength14 = 0x40;     // they and the next byte
inline constexpr uint8_t kLength32 = 0x80;     // the whole byte; four bytes follow
inline constexpr uint8_t kLength64 = 0x81;     // the whole byte; eight bytes follow
inline constexpr uint8_t kSpecialForm = 0xc0;  // no length: a string of the form in the other six:
inline constexpr uint8_t kInt8 = 0;
inline constexpr uint8_t kInt16 = 1;
inline constexpr uint8_t kInt32 = 2;
inline constexpr uint8_t kLzf = 3;  // compressed length, length, bytes

inline constexpr size_t kStringBytesMax = size_t{512} << 20;

}  // namespace raftkv::storage::rdb
