// A reply as a value, without hiredis.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace raftkv::client {

struct Reply {
  enum class Type : uint8_t { kNil, kStatus, kString, kInteger, kArray, kError };

  Type type = Type::kNil;
  std::string text;             // of kStatus, kString, kError
  int64_t integer = 0;          // of kInteger
  std::vector<Reply> elements;  // of kArray; an element may be a kError (EXEC)

  bool is_nil() const { return type == Type::kNil; }
  bool is_error() const { return type == Type::kError; }

  friend bool operator==(const Reply&, const Reply&) = default;
};

}  // namespace raftkv::client
