// Reads RocksDB's write-ahead log format (its wiki: "Write Ahead Log File Format"), more stubbornly
// than RocksDB does: behind damage, RocksDB gives up on the rest of a 32 KiB block, with every
// write in it; this reader looks for the next intact record byte by byte. So it sees whether a
// damaged write was the last one.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>

namespace rocksdb {
class Env;
class SequentialFile;
}  // namespace rocksdb

namespace raftkv::storage {

// CRC-32C (Castagnoli), as RocksDB stores it: rotated and offset, so that a checksum of data that
// holds checksums stays sound.
uint32_t masked_crc32c(std::string_view bytes);

class WalReader {
 public:
  static std::expected<WalReader, std::string> open(rocksdb::Env* env, const std::string& file);
  ~WalReader();
  WalReader(WalReader&&) noexcept;
  WalReader& operator=(WalReader&&) = delete;

  // Puts the next intact record, whole, into `record`; false at the end of the file. The error is
  // that of the file, not of its contents.
  std::expected<bool, std::string> next(std::string& record);

 private:
  struct Fragment;

  explicit WalReader(std::unique_ptr<rocksdb::SequentialFile> file);
  std::expected<bool, std::string> read_block();
  bool take_fragment(Fragment& fragment);

  std::unique_ptr<rocksdb::SequentialFile> file_;
  std::string buffer_;      // holds one block
  std::string_view block_;  // what is left of it
};

}  // namespace raftkv::storage
