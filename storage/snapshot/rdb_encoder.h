// Writes the records of a Redis RDB file into blocks, for whoever writes those to a file.
//
// Two steps, because they have different prices: what copies bytes runs where the dataset lives;
// compressing is left to the thread that writes the file (rdb_packer.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/data/keyspace.h"

namespace raftkv::storage {

// A piece of a file: whole records, with every string of more than a few bytes uncompressed.
struct RdbBlock {
  // Such a string in `bytes`: its length field at `offset`, its own bytes `header` bytes behind.
  struct LongString {
    size_t offset = 0;
    uint32_t header = 0;
    uint32_t length = 0;
  };

  std::string bytes;
  std::vector<LongString> long_strings;  // in order; only those worth a try to compress

  size_t memory() const { return bytes.capacity() + long_strings.capacity() * sizeof(LongString); }
};

// Appends records. Knows nothing of their order: see rdb_format.h.
class RdbEncoder {
 public:
  explicit RdbEncoder(RdbBlock& block) : block_(block) {}

  void header();
  void aux(std::string_view name, std::string_view value);
  void database(uint64_t number, uint64_t keys, uint64_t keys_with_expiry);
  // A key of the dataset, whatever its type.
  void entry(const data::Entry& entry);
  // A key with a string as its value. `expiry_ms`: data::kNoExpiry if none.
  void string_entry(std::string_view key, std::string_view value, data::TimeMs expiry_ms);
  void end_mark();  // the checksum is for the writer of the file to append

  // --- parts, for DUMP
  void type(const data::Entry& entry);
  void value(const data::Entry& entry);
  void string(std::string_view text);

 private:
  void byte(uint8_t value) { block_.bytes.push_back(static_cast<char>(value)); }
  void length(uint64_t value);
  void little_endian(uint64_t value, size_t bytes);
  void expiry(data::TimeMs expiry_ms);
  void integer(int64_t value, std::string_view text);
  void raw(std::string_view text);

  RdbBlock& block_;
};

// Appends a length in the shortest form.
void append_rdb_length(std::string& out, uint64_t value);

}  // namespace raftkv::storage
