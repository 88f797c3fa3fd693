// A reply as a client understands it. Written for the simulator alone, so that it does not trust
// the server's own parser.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace raftkv::sim {

struct Reply {
  enum class Kind : uint8_t { kStatus, kError, kInteger, kText, kNil, kArray };

  Kind kind = Kind::kNil;
  std::string text;     // of a status, an error or a bulk string
  int64_t integer = 0;  // also of a text that is a number; 0 for nil
  std::vector<Reply> items;

  bool is_error() const { return kind == Kind::kError; }
  bool is_nil() const { return kind == Kind::kNil; }
};

// Takes the reply off the front of `bytes`, which holds complete replies only.
Reply take_reply(std::string_view& bytes);
// As people read it, in one line.
std::string to_text(const Reply& reply);

}  // namespace raftkv::sim
