// What stands on disk, as bytes: log entries and the facts about the log. Every record carries a
// version and a checksum over all of it, so that damage, a record at the wrong place and a format
// of another release are noticed when it is read. Integers are little-endian, except in keys.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "raft/types.h"

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

// --- facts
// ----------------------------------------------------------------------------------------

// How far the store has come. Rides in every write, so that a log that misses a write, or its end,
// contradicts it.
struct Position {
  uint64_t write_number = 0;  // writes since the store was made; each has the next number
  raft::Index last_index = 0;
  raft::Term last_term = 0;

  friend bool operator==(const Position&, const Position&) = default;
};

std::string encode_hard_state(const raft::HardState& state);
std::expected<raft::HardState, std::string> decode_hard_state(std::string_view record);

std::string encode_position(const Position& position);
std::expected<Position, std::string> decode_position(std::string_view record);

}  // namespace raftkv::storage
