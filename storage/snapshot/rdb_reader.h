// Reads a Redis RDB file, of our own or of a stock Redis 1 to 7.2, from a stream, in bounded
// memory.
//
// Nothing is skipped silently: what has no place here (a key of a type that does not exist here, a
// key in another database than 0, a library of functions, a module's data) is an error that names
// it. How keys were used (LRU, LFU) is the exception: it is no data.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "storage/snapshot/rdb_input.h"
#include "storage/snapshot/rdb_source.h"

namespace raftkv::storage {

struct RdbReaderOptions {
  // A file of version 5 or later may say that its checksum was not computed. Not so for our own.
  bool checksum_required = false;
};

class RdbReader {
 public:
  enum class Item : uint8_t {
    kAux,     // name() and value()
    kResize,  // keys_announced(), keys_with_expiry_announced() of database 0
    kKey,     // key(), value(), expiry_ms()
    kEnd,     // the file is whole and its checksum is right; nothing comes behind it
  };
  static constexpr int64_t kNoExpiry = -1;

  // `source` must outlive the reader.
  explicit RdbReader(ByteSource& source, RdbReaderOptions options = {});

  // The next item. After kEnd or an error (which names the byte), it stays so. What the accessors
  // return is valid until the next call.
  [[nodiscard]] std::expected<Item, std::string> next();

  std::string_view name() const { return key_; }
  std::string_view key() const { return key_; }
  std::string_view value() const { return value_; }  // a string; integers come as text
  int64_t expiry_ms() const { return expiry_ms_; }   // milliseconds since 1970, or kNoExpiry
  uint64_t keys_announced() const { return keys_announced_; }
  uint64_t keys_with_expiry_announced() const { return keys_with_expiry_announced_; }

  unsigned version() const { return version_; }
  bool checksum_missing() const { return checksum_missing_; }  // at the end
  uint64_t offset() const { return input_.offset(); }

 private:
  bool header();
  bool item(Item& item);
  // Each handles the record of its opcode; `found` becomes what it is to the caller, if anything.
  bool record(uint8_t opcode, std::optional<Item>& found);
  bool aux();
  bool select_database();
  bool resize(std::optional<Item>& found);
  bool key_of_type(uint8_t type);
  bool refuse_functions();
  bool refuse_module_data();
  bool end();

  RdbInput input_;
  RdbReaderOptions options_;
  unsigned version_ = 0;  // 0: the header was not read yet
  bool ended_ = false;
  bool checksum_missing_ = false;
  uint64_t database_ = 0;
  std::optional<uint64_t> keys_in_database_;  // as announced

  std::string key_;
  std::string value_memory_;
  std::string_view value_;
  int64_t expiry_ms_ = kNoExpiry;
  uint64_t keys_announced_ = 0;
  uint64_t keys_with_expiry_announced_ = 0;
};

// A key for people: what can't be printed is escaped, and a long one is shortened.
std::string printable_key(std::string_view key);

}  // namespace raftkv::storage
