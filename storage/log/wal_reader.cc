#include "storage/log/wal_reader.h"

#include <rocksdb/env.h>

#include <array>
#include <utility>

namespace raftkv::storage {
namespace {

constexpr size_t kBlockBytes = 32 << 10;
constexpr size_t kHeaderBytes = 7;  // masked crc u32, length u16, type u8; little-endian

// A record that does not fit the rest of a block is cut into fragments.
enum FragmentType : uint8_t { kFull = 1, kFirst = 2, kMiddle = 3, kLast = 4 };

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table = {};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
    table[i] = crc;
  }
  return table;
}

uint32_t byte_at(std::string_view bytes, size_t at) {
  return static_cast<uint8_t>(bytes[at]);
}

}  // namespace

uint32_t masked_crc32c(std::string_view bytes) {
  static constexpr std::array<uint32_t, 256> kTable = make_crc_table();
  uint32_t crc = ~0U;
  for (size_t i = 0; i < bytes.size(); ++i) {
    crc = (crc >> 8) ^ kTable[(crc ^ byte_at(bytes, i)) & 0xff];
  }
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
}

struct WalReader::Fragment {
  uint8_t type = 0;
  std::string_view data;
};

WalReader::WalReader(std::unique_ptr<rocksdb::SequentialFile> file)
    : file_(std::move(file)), buffer_(kBlockBytes, '\0') {}
WalReader::~WalReader() = default;
WalReader::WalReader(WalReader&&) noexcept = default;

std::expected<WalReader, std::string> WalReader::open(rocksdb::Env* env, const std::string& file) {
  std::unique_ptr<rocksdb::SequentialFile> opened;
  const rocksdb::Status status = env->NewSequentialFile(file, &opened, rocksdb::EnvOptions());
  if (!status.ok()) return std::unexpected(status.ToString());
  return WalReader(std::move(opened));
}

std::expected<bool, std::string> WalReader::next(std::string& record) {
  record.clear();
  bool in_record = false;
  while (true) {
    Fragment fragment;
    if (!take_fragment(fragment)) {
      const auto more = read_block();
      if (!more) return std::unexpected(more.error());
      if (!*more) return false;
      continue;
    }
    const bool begins = fragment.type == kFull || fragment.type == kFirst;
    if (!begins && !in_record) continue;  // its beginning was damaged
    if (begins) record.clear();           // the end of the one before was damaged
    record.append(fragment.data);
    if (fragment.type == kFull || fragment.type == kLast) return true;
    in_record = true;
  }
}

std::expected<bool, std::string> WalReader::read_block() {
  rocksdb::Slice read;
  const rocksdb::Status status = file_->Read(kBlockBytes, &read, buffer_.data());
  if (!status.ok()) return std::unexpected(status.ToString());
  block_ = {read.data(), read.size()};
  return !block_.empty();
}

// The next intact fragment in what is left of the block, wherever it begins. False if there is
// none.
bool WalReader::take_fragment(Fragment& fragment) {
  for (; block_.size() >= kHeaderBytes; block_.remove_prefix(1)) {
    const uint32_t type = byte_at(block_, 6);
    if (type < kFull || type > kLast) continue;
    const size_t length = byte_at(block_, 4) | byte_at(block_, 5) << 8;
    if (length > block_.size() - kHeaderBytes) continue;
    const uint32_t stored = byte_at(block_, 0) | byte_at(block_, 1) << 8 |
                            byte_at(block_, 2) << 16 | byte_at(block_, 3) << 24;
    // The checksum covers the type and the data.
    if (stored != masked_crc32c(block_.substr(6, 1 + length))) continue;
    fragment = {.type = static_cast<uint8_t>(type), .data = block_.substr(kHeaderBytes, length)};
    block_.remove_prefix(kHeaderBytes + length);
    return true;
  }
  block_ = {};
  return false;
}

}  // namespace raftkv::storage
