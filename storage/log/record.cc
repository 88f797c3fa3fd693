#include "storage/log/record.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <bit>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <utility>

#include "raft/codec.h"

namespace raftkv::storage {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kChecksumBytes = sizeof(uint64_t);

// The place of each field in an entry's header.
constexpr size_t kVersionAt = kChecksumBytes;
constexpr size_t kKindAt = kVersionAt + 1;
constexpr size_t kTermAt = kKindAt + 1;
constexpr size_t kIndexAt = kTermAt + 8;
constexpr size_t kTimeAt = kIndexAt + 8;
static_assert(kTimeAt + 8 == kEntryHeaderBytes);

constexpr uint64_t to_little(uint64_t value) {
  return std::endian::native == std::endian::little ? value : __builtin_bswap64(value);
}

constexpr uint64_t to_big(uint64_t value) {
  return std::endian::native == std::endian::big ? value : __builtin_bswap64(value);
}

void put_u64(char* at, uint64_t value) {
  value = to_little(value);
  std::memcpy(at, &value, sizeof value);
}

uint64_t get_u64(const char* at) {
  uint64_t value = 0;
  std::memcpy(&value, at, sizeof value);
  return to_little(value);
}

// Over the header behind the checksum and the payload: the header's hash seeds the payload's.
uint64_t entry_checksum(const char* header, std::string_view payload) {
  const uint64_t seed = XXH3_64bits(header + kChecksumBytes, kEntryHeaderBytes - kChecksumBytes);
  return XXH3_64bits_withSeed(payload.data(), payload.size(), seed);
}

// A fact is: checksum u64 | version u8 | a tag that tells the facts apart u8 | numbers u64...
// That of the snapshots goes on with, for each: length u64 | an encoded SnapshotMeta.
constexpr char kHardStateTag = 'H';
constexpr char kPositionTag = 'P';
constexpr char kSnapshotsTag = 'S';
constexpr size_t kFactNumbersAt = kChecksumBytes + 2;

std::string begin_fact(char tag) {
  std::string record(kFactNumbersAt, '\0');
  record[kVersionAt] = static_cast<char>(kVersion);
  record[kVersionAt + 1] = tag;
  return record;
}

std::string seal_fact(std::string record) {
  put_u64(record.data(),
          XXH3_64bits(record.data() + kChecksumBytes, record.size() - kChecksumBytes));
  return record;
}

// Nothing if the frame of the fact is intact; else what is wrong.
std::expected<void, std::string> check_fact(char tag, std::string_view record) {
  const uint64_t stored = get_u64(record.data());
  const uint64_t actual =
      XXH3_64bits(record.data() + kChecksumBytes, record.size() - kChecksumBytes);
  if (stored != actual) {
    return std::unexpected(
        fmt::format("its checksum is {:016x} but its bytes give {:016x}", stored, actual));
  }
  const auto version = static_cast<uint8_t>(record[kVersionAt]);
  if (version != kVersion) {
    return std::unexpected(
        fmt::format("it has format version {}, this program knows {}", version, kVersion));
  }
  if (record[kVersionAt + 1] != tag) {
    return std::unexpected(
        fmt::format("it is a fact of kind '{}' where '{}' belongs", record[kVersionAt + 1], tag));
  }
  return {};
}

std::string encode_fact(char tag, std::initializer_list<uint64_t> numbers) {
  std::string record = begin_fact(tag);
  record.resize(kFactNumbersAt + numbers.size() * 8);
  char* at = record.data() + kFactNumbersAt;
  for (const uint64_t number : numbers) {
    put_u64(at, number);
    at += 8;
  }
  return seal_fact(std::move(record));
}

template <size_t kCount>
std::expected<std::array<uint64_t, kCount>, std::string> decode_fact(char tag,
                                                                     std::string_view record) {
  constexpr size_t kSize = kFactNumbersAt + kCount * 8;
  if (record.size() != kSize) {
    return std::unexpected(fmt::format("it has {} bytes instead of {}", record.size(), kSize));
  }
  const auto intact = check_fact(tag, record);
  if (!intact) return std::unexpected(intact.error());
  std::array<uint64_t, kCount> numbers;
  for (size_t i = 0; i < kCount; ++i) numbers[i] = get_u64(record.data() + kFactNumbersAt + i * 8);
  return numbers;
}

}  // namespace

EntryKey entry_key(raft::Index index) {
  EntryKey key;
  const uint64_t big = to_big(index);
  std::memcpy(key.data(), &big, sizeof big);
  return key;
}

std::expected<raft::Index, std::string> parse_entry_key(std::string_view key) {
  if (key.size() != sizeof(EntryKey)) {
    return std::unexpected(
        fmt::format("a key of {} bytes where {} are due", key.size(), sizeof(EntryKey)));
  }
  uint64_t big = 0;
  std::memcpy(&big, key.data(), sizeof big);
  return to_big(big);
}

EntryHeader entry_header(const raft::Entry& entry) {
  EntryHeader header;
  header[kVersionAt] = static_cast<char>(kVersion);
  header[kKindAt] = static_cast<char>(entry.kind);
  put_u64(header.data() + kTermAt, entry.term);
  put_u64(header.data() + kIndexAt, entry.index);
  put_u64(header.data() + kTimeAt, entry.time_us);
  const std::string_view payload = entry.payload ? *entry.payload : std::string_view();
  put_u64(header.data(), entry_checksum(header.data(), payload));
  return header;
}

std::expected<raft::Entry, std::string> decode_entry_record(raft::Index index,
                                                            std::string_view record) {
  if (record.size() < kEntryHeaderBytes) {
    return std::unexpected(
        fmt::format("it has {} bytes, a header alone has {}", record.size(), kEntryHeaderBytes));
  }
  const char* header = record.data();
  const std::string_view payload = record.substr(kEntryHeaderBytes);
  const uint64_t stored = get_u64(header);
  const uint64_t actual = entry_checksum(header, payload);
  if (stored != actual) {
    return std::unexpected(
        fmt::format("its checksum is {:016x} but its bytes give {:016x}", stored, actual));
  }
  const auto version = static_cast<uint8_t>(header[kVersionAt]);
  if (version != kVersion) {
    return std::unexpected(
        fmt::format("it has format version {}, this program knows {}", version, kVersion));
  }
  const auto kind = static_cast<uint8_t>(header[kKindAt]);
  if (kind > static_cast<uint8_t>(raft::EntryKind::kHost)) {
    return std::unexpected(fmt::format("its kind is {}, which this program does not know", kind));
  }
  raft::Entry entry;
  entry.term = get_u64(header + kTermAt);
  entry.index = get_u64(header + kIndexAt);
  entry.time_us = get_u64(header + kTimeAt);
  entry.kind = static_cast<raft::EntryKind>(kind);
  if (entry.index != index) {
    return std::unexpected(fmt::format("it is the record of entry {}", entry.index));
  }
  if (!payload.empty()) entry.payload = std::make_shared<const std::string>(payload);
  return entry;
}

bool is_of_another_release(std::string_view record) {
  if (record.size() < kEntryHeaderBytes) return false;
  const char* header = record.data();
  if (get_u64(header) != entry_checksum(header, record.substr(kEntryHeaderBytes))) return false;
  return static_cast<uint8_t>(header[kVersionAt]) != kVersion ||
         static_cast<uint8_t>(header[kKindAt]) > static_cast<uint8_t>(raft::EntryKind::kHost);
}

std::string encode_hard_state(const raft::HardState& state) {
  return encode_fact(kHardStateTag, {state.term, state.vote, state.commit});
}

std::expected<raft::HardState, std::string> decode_hard_state(std::string_view record) {
  const auto numbers = decode_fact<3>(kHardStateTag, record);
  if (!numbers) return std::unexpected(numbers.error());
  return raft::HardState{.term = (*numbers)[0], .vote = (*numbers)[1], .commit = (*numbers)[2]};
}

std::string encode_position(const Position& position) {
  const LogExtent& extent = position.extent;
  return encode_fact(
      kPositionTag, {position.write_number, extent.first_index, extent.base_term, extent.last_index,
                     extent.last_term, extent.lost_up_to, position.snapshot_index});
}

std::expected<Position, std::string> decode_position(std::string_view record) {
  const auto numbers = decode_fact<7>(kPositionTag, record);
  if (!numbers) return std::unexpected(numbers.error());
  return Position{.write_number = (*numbers)[0],
                  .extent = {.first_index = (*numbers)[1],
                             .base_term = (*numbers)[2],
                             .last_index = (*numbers)[3],
                             .last_term = (*numbers)[4],
                             .lost_up_to = (*numbers)[5]},
                  .snapshot_index = (*numbers)[6]};
}

std::string encode_snapshots(const std::vector<raft::SnapshotMeta>& snapshots) {
  std::string record = begin_fact(kSnapshotsTag);
  for (const raft::SnapshotMeta& snapshot : snapshots) {
    std::string encoded;
    raft::encode_snapshot_meta(snapshot, encoded);
    const size_t length_at = record.size();
    record.resize(length_at + 8);
    put_u64(record.data() + length_at, encoded.size());
    record += encoded;
  }
  return seal_fact(std::move(record));
}

std::expected<std::vector<raft::SnapshotMeta>, std::string> decode_snapshots(
    std::string_view record) {
  if (record.size() < kFactNumbersAt) {
    return std::unexpected(fmt::format("it has {} bytes only", record.size()));
  }
  const auto intact = check_fact(kSnapshotsTag, record);
  if (!intact) return std::unexpected(intact.error());
  record.remove_prefix(kFactNumbersAt);
  std::vector<raft::SnapshotMeta> snapshots;
  while (!record.empty()) {
    if (record.size() < 8 || get_u64(record.data()) > record.size() - 8) {
      return std::unexpected("a snapshot's facts are cut off");
    }
    const uint64_t length = get_u64(record.data());
    auto snapshot = raft::decode_snapshot_meta(record.substr(8, length));
    if (!snapshot) return std::unexpected(snapshot.error());
    snapshots.push_back(*std::move(snapshot));
    record.remove_prefix(8 + length);
  }
  return snapshots;
}

}  // namespace raftkv::storage
