// RDB files for tests: made field by field, and read into something to compare.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "storage/snapshot/crc64.h"
#include "storage/snapshot/rdb_encoder.h"
#include "storage/snapshot/rdb_packer.h"
#include "storage/snapshot/rdb_reader.h"

namespace raftkv::test {

using namespace std::string_literals;  // NOLINT(google-build-using-namespace): bytes with zeros

inline std::string with_checksum(std::string bytes) {
  const uint64_t sum = storage::crc64(0, bytes);
  bytes.append(reinterpret_cast<const char*>(&sum), sizeof(sum));
  return bytes;
}

// `records` as a whole file, by default of the version that Redis 7.0 writes.
inline std::string rdb_file(const std::string& records, const std::string& version = "0010") {
  return with_checksum("REDIS" + version + records + "\xff");
}

struct RdbContents {
  std::map<std::string, std::string> aux;
  std::map<std::string, std::pair<std::string, int64_t>> keys;
  std::string error;  // empty: the file was read to its end
};

inline RdbContents read_rdb(storage::ByteSource& source, storage::RdbReaderOptions options = {}) {
  using Item = storage::RdbReader::Item;
  RdbContents contents;
  storage::RdbReader reader(source, options);
  while (true) {
    const auto item = reader.next();
    if (!item) {
      contents.error = item.error();
      return contents;
    }
    if (*item == Item::kEnd) return contents;
    if (*item == Item::kAux) contents.aux[std::string(reader.name())] = reader.value();
    if (*item == Item::kKey) {
      contents.keys[std::string(reader.key())] = {std::string(reader.value()), reader.expiry_ms()};
    }
  }
}

inline RdbContents read_rdb(std::string_view bytes, storage::RdbReaderOptions options = {}) {
  // A heap copy of the exact size: a sanitizer then sees every byte read too far.
  const std::string copy(bytes);
  storage::ViewSource source(copy);
  return read_rdb(source, options);
}

inline std::string packed(const storage::RdbBlock& block, bool compress = true) {
  std::string bytes;
  storage::RdbPacker(compress).pack(block, bytes);
  return bytes;
}

}  // namespace raftkv::test
