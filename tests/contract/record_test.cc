// Records on disk: what is written is read back, and nothing else passes for it.
#include "storage/log/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/contract/log_world.h"

namespace raftkv::storage {
namespace {

using testing::HasSubstr;

std::string record_of(const raft::Entry& entry) {
  const EntryHeader header = entry_header(entry);
  std::string record(header.data(), header.size());
  if (entry.payload) record += *entry.payload;
  return record;
}

TEST(Record, KeysSortLikeIndices) {
  raft::Index before = 0;
  for (const raft::Index index : {raft::Index{1}, raft::Index{255}, raft::Index{256},
                                  raft::Index{65'536}, raft::Index{1} << 40, UINT64_MAX}) {
    const EntryKey smaller = entry_key(before);
    const EntryKey key = entry_key(index);
    EXPECT_LT(std::string(smaller.data(), 8), std::string(key.data(), 8));
    EXPECT_EQ(parse_entry_key(std::string_view(key.data(), 8)), index);
    before = index;
  }
  EXPECT_FALSE(parse_entry_key("1234567"));
}

TEST(Record, AnEntryIsReadBackAsItWasWritten) {
  const raft::Entry original = entry(5, 3, "some payload");
  const auto decoded = decode_entry_record(5, record_of(original));
  ASSERT_TRUE(decoded) << decoded.error();
  EXPECT_EQ(describe(*decoded), describe(original));
}

TEST(Record, AnyFlippedBitInAnEntryIsNoticed) {
  const std::string intact = record_of(entry(5, 3, "some payload"));
  for (size_t bit = 0; bit < intact.size() * 8; ++bit) {
    std::string flipped = intact;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(decode_entry_record(5, flipped)) << "bit " << bit;
  }
}

TEST(Record, AnEntryCutOffAnywhereIsNoticed) {
  const std::string intact = record_of(entry(5, 3, "some payload"));
  for (size_t size = 0; size < intact.size(); ++size) {
    EXPECT_FALSE(decode_entry_record(5, std::string_view(intact).substr(0, size))) << size;
  }
  EXPECT_FALSE(decode_entry_record(5, intact + "x"));
}

TEST(Record, AnEntryAtTheWrongPlaceIsNoticed) {
  const auto decoded = decode_entry_record(6, record_of(entry(5, 3)));
  ASSERT_FALSE(decoded);
  EXPECT_THAT(decoded.error(), HasSubstr("record of entry 5"));
}

TEST(Record, FactsAreReadBackAsTheyWereWritten) {
  const raft::HardState state{.term = 7, .vote = 3, .commit = UINT64_MAX};
  EXPECT_EQ(decode_hard_state(encode_hard_state(state)), state);
  const Position position{.write_number = 9,
                          .extent = {.first_index = 5,
                                     .base_term = 6,
                                     .last_index = 8,
                                     .last_term = 7,
                                     .lost_up_to = 12},
                          .snapshot_index = 4};
  EXPECT_EQ(decode_position(encode_position(position)), position);
  for (const auto& snapshots : std::vector<std::vector<raft::SnapshotMeta>>{
           {}, {snapshot(9, 3)}, {snapshot(9, 3), snapshot(4, 2)}}) {
    EXPECT_EQ(decode_snapshots(encode_snapshots(snapshots)), snapshots);
  }
}

TEST(Record, AnyFlippedBitInAFactIsNoticed) {
  const std::string intact = encode_hard_state({.term = 7, .vote = 3, .commit = 2});
  for (size_t bit = 0; bit < intact.size() * 8; ++bit) {
    std::string flipped = intact;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(decode_hard_state(flipped)) << "bit " << bit;
  }
  const std::string snapshots = encode_snapshots({snapshot(9, 3), snapshot(4, 2)});
  for (size_t bit = 0; bit < snapshots.size() * 8; ++bit) {
    std::string flipped = snapshots;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(decode_snapshots(flipped)) << "bit " << bit;
  }
}

TEST(Record, OneFactDoesNotPassForAnother) {
  const std::string position =
      encode_position({.write_number = 1, .extent = {.last_index = 2, .last_term = 3}});
  EXPECT_FALSE(decode_hard_state(position));
  EXPECT_FALSE(decode_position(position.substr(1)));
}

}  // namespace
}  // namespace raftkv::storage
