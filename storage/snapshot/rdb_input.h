// The bytes of an RDB file one field after the other: a buffer over a source, with the place and
// the checksum of what was taken, and the forms of lengths and strings.
//
// The first thing that goes wrong is remembered in error(); every method returns false then and
// from then on. Memory: the buffer, and the strings that the caller provides, which grow with the
// bytes that really come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "storage/snapshot/rdb_source.h"

namespace raftkv::storage {

class RdbInput {
 public:
  explicit RdbInput(ByteSource& source);

  // `what` names the field in errors: "the file ends within <what>".
  [[nodiscard]] bool byte(uint8_t& value, const char* what);
  // Little-endian, of 1 to 8 bytes.
  [[nodiscard]] bool integer(uint64_t& value, size_t bytes, const char* what);
  [[nodiscard]] bool length(uint64_t& value, const char* what);
  // A string of any form. `value` is in the buffer or in `memory`, and valid until the next call
  // that uses the one or the other. Integers come as text.
  [[nodiscard]] bool string(std::string_view& value, std::string& memory, const char* what);
  // So many bytes as they are, at most kTakeMax. Valid until the next call.
  [[nodiscard]] bool take(std::string_view& value, size_t bytes, const char* what);
  static constexpr size_t kTakeMax = 64;

  // True at the end of the source; false before it, and when reading fails.
  bool at_end();

  uint64_t offset() const { return base_ + begin_; }
  uint64_t checksum();  // of everything before offset()
  // An upper bound of the bytes still to come, if known.
  std::optional<uint64_t> remaining() const;

  // Records what is wrong, with the place; always returns false.
  bool fail(uint64_t at, std::string_view problem);
  bool failed() const { return !error_.empty(); }
  const std::string& error() const { return error_; }

 private:
  bool ensure(size_t bytes, const char* what);
  bool refill(size_t bytes, const char* what);
  bool fetch();  // once; false if nothing came
  bool first_of_length(uint8_t first, uint64_t& value, const char* what);
  bool raw(uint64_t length, std::string_view& value, std::string& memory, const char* what);
  bool integer_text(uint8_t form, std::string_view& value, const char* what);
  bool compressed(std::string_view& value, std::string& memory, const char* what);
  bool fits(uint64_t length, uint64_t at, const char* what);
  void digest();

  ByteSource& source_;
  const size_t capacity_;  // of the buffer
  std::unique_ptr<char[]> buffer_;
  size_t begin_ = 0;   // of what is not yet taken
  size_t end_ = 0;     // of what is there
  uint64_t base_ = 0;  // the file's offset of the buffer's first byte
  size_t digested_ = 0;
  uint64_t checksum_ = 0;  // of all before buffer_[digested_]
  std::string packed_;     // a compressed string
  char text_[24];          // an integer
  std::string error_;
};

}  // namespace raftkv::storage
