// What handlers of data commands share: error texts, numbers as Redis reads and writes them,
// lookups that judge deadlines and count hits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/command/command.h"
#include "server/command/local_text.h"

namespace raftkv::server {

inline constexpr char kWrongType[] =
    "WRONGTYPE Operation against a key holding the wrong kind of value";
inline constexpr char kNotAFloat[] = "ERR value is not a valid float";
inline constexpr char kNoSuchKey[] = "ERR no such key";
inline constexpr char kStringTooLong[] =
    "ERR string exceeds maximum allowed size (proto-max-bulk-len)";

// A string may not grow beyond this. A constant, not a setting: replicas with different settings
// would come to different results.
inline constexpr int64_t kStringBytesMax = 512LL * 1024 * 1024;

// The argument as a 64-bit integer in canonical form. Empty after an error reply if it is none.
std::optional<int64_t> integer_or_reply(DataContext& context, std::string_view text);

// "ERR invalid expire time in 'set' command".
std::string invalid_expire_time(std::string_view command);

// --- floating point of INCRBYFLOAT -------------------------------------------------------------

// As Redis reads it: C's decimal and hexadecimal notation, "inf", "infinity"; no spaces, not "nan",
// no overflow, no underflow to zero. Never depends on the process's locale.
std::optional<long double> parse_long_double(std::string_view text);
// Fixed notation with at most 17 decimals, no trailing zeros, "0" instead of "-0". The value is
// finite.
std::string format_long_double(long double value);

// --- lookups -----------------------------------------------------------------------------------

// Whether an entry met in a walk over the keyspace is live: the rule of Keyspace::find, for those
// who have the entry already.
bool is_live(const data::Entry& entry, data::Clock& clock);

// The live entry of `key`, or null; counts a hit or a miss, as Redis does for commands that read.
const data::Entry* lookup_read(DataContext& context, std::string_view key);
// The same for a write. What is due goes for good, so that what the keyspace does next for this key
// begins from nothing.
const data::Entry* lookup_write(DataContext& context, std::string_view key);

// Deletes the key; true if a live entry was there.
bool erase_live(DataContext& context, std::string_view key);

// True if there is no entry or it is a string. Else replies with the error.
bool string_or_reply(DataContext& context, const data::Entry* entry);

// Stores a string with a deadline, or, if that has passed already, removes the key.
void store_string(DataContext& context, std::string_view key, std::string_view value,
                  data::TimeMs expiry);

}  // namespace raftkv::server
