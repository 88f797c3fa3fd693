// Memberships and snapshot facts as bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/codec.h"
#include "raft/membership.h"
#include "raft/random.h"
#include "tests/unit/raft/host.h"

namespace raftkv::raft::test {
namespace {

using testing::HasSubstr;

std::vector<Membership> some() {
  Membership full = members({1, 2, 300}, {7, 1ULL << 40}, {2, 5});
  full.contexts[300] = "127.0.0.1:7000";
  full.contexts[7] = std::string(1000, '\0');
  return {members({1}), members({1, 2, 3}), members({1, 2}, {9}), members({4}, {}, {1, 2, 3}),
          full};
}

std::string encoded(const Membership& membership) {
  std::string bytes;
  encode_membership(membership, bytes);
  return bytes;
}

std::string encoded(const SnapshotMeta& meta) {
  std::string bytes;
  encode_snapshot_meta(meta, bytes);
  return bytes;
}

TEST(MembershipCodec, WhatIsEncodedComesBack) {
  for (const Membership& membership : some()) {
    const auto decoded = decode_membership(encoded(membership));
    ASSERT_TRUE(decoded) << decoded.error();
    EXPECT_EQ(*decoded, membership);
    const SnapshotMeta meta = snapshot_of(1ULL << 50, 77, membership);
    EXPECT_EQ(decode_snapshot_meta(encoded(meta)), meta);
  }
}

TEST(MembershipCodec, ASnapshotMayNameNobody) {
  const SnapshotMeta meta = snapshot_of(9, 3, {});
  EXPECT_EQ(decode_snapshot_meta(encoded(meta)), meta);
  EXPECT_EQ(decode_snapshot_meta(encoded(SnapshotMeta{})), SnapshotMeta{});
}

TEST(MembershipCodec, CutOffAnywhereOrTooLongIsAnError) {
  for (const Membership& membership : some()) {
    const std::string bytes = encoded(membership);
    const std::string meta = encoded(snapshot_of(9, 3, membership));
    for (size_t size = 0; size < bytes.size(); size++) {
      ASSERT_FALSE(decode_membership(std::string_view(bytes).substr(0, size)));
    }
    for (size_t size = 0; size < meta.size(); size++) {
      ASSERT_FALSE(decode_snapshot_meta(std::string_view(meta).substr(0, size)));
    }
    EXPECT_THAT(decode_membership(bytes + "x").error(), HasSubstr("1 bytes too many"));
    EXPECT_THAT(decode_snapshot_meta(meta + "x").error(), HasSubstr("1 bytes too many"));
  }
}

TEST(MembershipCodec, WhatIsNotSoundIsAnError) {
  struct Case {
    std::string bytes;
    const char* error;
  };
  const auto bytes = [](std::initializer_list<int> list) {
    return std::string(list.begin(), list.end());
  };
  for (const Case& c : {
           Case{bytes({0, 0, 0}), "without voters"},
           Case{bytes({0, 2, 2, 1, 0, 0, 0}), "not ascending"},
           Case{bytes({0, 2, 2, 2, 0, 0, 0}), "not ascending"},
           Case{bytes({0, 1, 0, 0, 0}), "one is 0"},
           Case{bytes({0, 2, 1, 2, 1, 2, 0, 0}), "2 is voter and learner"},
           Case{bytes({1, 1, 1, 1, 3, 1, 3, 0, 0}), "3 is voter and learner"},
           Case{bytes({1, 1, 1, 0, 0, 0}), "without outgoing voters"},
           Case{bytes({2, 1, 1, 0, 0}), "unknown flags"},
           Case{bytes({0, 32}), "too many"},
           Case{bytes({0, 1, 1, 65}), "too many"},
       }) {
    const auto decoded = decode_membership(c.bytes);
    ASSERT_FALSE(decoded) << c.error;
    EXPECT_THAT(decoded.error(), HasSubstr(c.error));
  }
  EXPECT_THAT(decode_snapshot_meta(bytes({5, 0, 1, 0})).error(), HasSubstr("without a term"));
  EXPECT_THAT(decode_snapshot_meta(bytes({5, 1, 1, 2})).error(), HasSubstr("unknown flags"));
}

TEST(MembershipCodec, AFalseNumberAllocatesNothing) {
  const std::string huge = std::string(9, '\xff') + '\x01';
  EXPECT_FALSE(decode_membership(std::string("\0", 1) + huge));
  EXPECT_FALSE(decode_membership(std::string("\0\x01\x01\0", 4) + huge));
}

TEST(MembershipCodec, DamagedOnesAreErrorsOrSound) {
  Random random(3);
  size_t errors = 0;
  for (int round = 0; round < 50'000; round++) {
    const auto all = some();
    std::string bytes = encoded(all[random.below(all.size())]);
    for (uint64_t i = 0; i <= random.below(4); i++) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    }
    const auto decoded = decode_membership(bytes);
    if (!decoded) {
      errors++;
    } else {
      ASSERT_EQ(membership_fault(*decoded), "");
      ASSERT_EQ(encoded(*decoded), bytes);
    }
  }
  EXPECT_GT(errors, 1000U);
}

TEST(MembershipCodec, AnAppendWithABrokenMembershipIsIgnored) {
  Host host(options_for(1, {1, 2, 3}), kStart);
  Append append{.entries = entries_of({1})};
  append.entries[0].kind = EntryKind::kMembership;
  host.hears(2, 1, append);
  EXPECT_EQ(host->last_index(), 0U);
  EXPECT_EQ(host->status().messages_ignored, 1U);
}

TEST(MembershipCodecDeathTest, OnlySoundOnesAreEncoded) {
  std::string out;
  EXPECT_DEATH(encode_membership(Membership{}, out), "without voters");
}

}  // namespace
}  // namespace raftkv::raft::test
