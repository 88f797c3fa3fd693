// What stands on disk, as bytes: log entries and the facts about the log. Every record carries a
// version and a checksum over all of it, so that damage, a record at the wrong place and a format
// of another release are noticed when it is read. Integers are little-endian, except in keys.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "raft/types.h"
#include "storage/log/log_extent.h"

namespace raftkv::storage {

// --- entries
// --------------------------------------------------------------------------------------

// The key of an entry: its index, big-endian, so that keys sort like indices.
using EntryKey = std::array<char, 8>;
EntryKey entry_key(raft::Index index);
// The error names the length that was found.
std::expected<raft::Index, std::string> parse_entry_key(std::string_view key);

// An entry is this header followed by the payload:
//   checksum u64 | version u8 | kind u8 | term u64 | index u64 | time_us u64
// They are separate so that a payload need not be copied to be written.
inline constexpr size_t kEntryHeaderBytes = 8 + 1 + 1 + 8 + 8 + 8;
using EntryHeader = std::array<char, kEntryHeaderBytes>;
EntryHeader entry_header(const raft::Entry& entry);

// `index` is the place the record was found at. The error says in words what is wrong with it.
std::expected<raft::Entry, std::string> decode_entry_record(raft::Index index,
                                                            std::string_view record);
// Whether a record that can't be decoded is intact all the same: one of another release, whose
// version or kind this program does not know.
bool is_of_another_release(std::string_view record);

// --- facts
// ----------------------------------------------------------------------------------------

// How far the store has come, and where its log begins. Rides in every write, so that a log that
// misses a write, its beginning or its end, contradicts it.
struct Position {
  uint64_t write_number = 0;  // writes since the store was made; each has the next number
  LogExtent extent;
  raft::Index snapshot_index = 0;  // of the newest recorded snapshot

  friend bool operator==(const Position&, const Position&) = default;
};

std::string encode_hard_state(const raft::HardState& state);
std::expected<raft::HardState, std::string> decode_hard_state(std::string_view record);

std::string encode_position(const Position& position);
std::expected<Position, std::string> decode_position(std::string_view record);

// The recorded snapshots, newest first; two at most.
std::string encode_snapshots(const std::vector<raft::SnapshotMeta>& snapshots);
std::expected<std::vector<raft::SnapshotMeta>, std::string> decode_snapshots(
    std::string_view record);

}  // namespace raftkv::storage
