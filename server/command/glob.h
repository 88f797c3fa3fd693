// Redis's patterns for keys, commands and settings.
#pragma once

#include <cstdint>
#include <string_view>

namespace raftkv::server {

enum class Case : uint8_t { kSensitive, kIgnored };  // ASCII letters

// '*' is any text, '?' one byte, "[abc]", "[a-z]" and "[^a-z]" one of (or none of) a class of
// bytes, a backslash takes the next byte literally, also within a class. A class that is not closed
// ends with the pattern. As in Redis, only the empty pattern matches the empty text, and the bounds
// of a range are compared as signed bytes.
//
// Takes at most O(pattern * text) time and no memory, whatever the pattern.
bool glob_match(std::string_view pattern, std::string_view text, Case letters = Case::kSensitive);

}  // namespace raftkv::server
