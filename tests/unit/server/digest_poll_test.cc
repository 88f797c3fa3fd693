// What the replicas' reports come to, and how all of this is written down.
#include "server/replica/digest_poll.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace raftkv::server {
namespace {

constexpr Digest kRight{.low = 1, .high = 2};
constexpr Digest kWrong{.low = 1, .high = 3};
constexpr Digest kOther{.low = 2, .high = 2};

raft::Membership members(std::vector<raft::NodeId> voters, std::vector<raft::NodeId> learners = {},
                         std::vector<raft::NodeId> outgoing = {}) {
  raft::Membership membership{
      .voters = voters, .outgoing_voters = outgoing, .learners = learners, .contexts = {}};
  for (const auto& ids : {voters, outgoing, learners}) {
    for (const raft::NodeId id : ids) membership.contexts[id] = "";
  }
  return membership;
}

class DigestPollTest : public testing::Test {
 protected:
  void report(raft::NodeId from, const Digest& digest, raft::Index index = 7) {
    poll.report(from, {.index = index, .digest = digest});
  }

  DigestPoll poll{1000, 500};
};

TEST_F(DigestPollTest, TheDigestOfAMajorityOfTheVotersIsTheVerdict) {
  poll.begin(7, 0);
  report(1, kWrong);
  report(2, kRight);
  EXPECT_EQ(poll.verdict(members({1, 2, 3})), std::nullopt);
  report(3, kRight);
  const DigestVerdict expected{.index = 7, .digest = kRight};
  EXPECT_EQ(poll.verdict(members({1, 2, 3})), expected);
  EXPECT_EQ(poll.verdict(members({1, 2, 3})), expected) << "until it stands in the log";
  poll.end(6);
  EXPECT_EQ(poll.verdict(members({1, 2, 3})), expected);
  poll.end(7);
  EXPECT_EQ(poll.verdict(members({1, 2, 3})), std::nullopt);
}

TEST_F(DigestPollTest, AMajorityOfThoseWhoAnswerIsNone) {
  poll.begin(7, 0);
  report(1, kRight);
  report(2, kRight);
  report(3, kWrong);
  EXPECT_EQ(poll.verdict(members({1, 2, 3, 4, 5})), std::nullopt);
  report(4, kRight);
  EXPECT_EQ(poll.verdict(members({1, 2, 3, 4, 5}))->digest, kRight);
}

TEST_F(DigestPollTest, AReportOfAnotherCheckCountsForNothing) {
  poll.begin(7, 0);
  report(1, kRight);
  report(2, kRight, 6);
  report(3, kRight, 8);
  EXPECT_EQ(poll.verdict(members({1, 2, 3})), std::nullopt);
  EXPECT_FALSE(poll.knows(2, 7));
  EXPECT_TRUE(poll.knows(1, 7));
  EXPECT_TRUE(poll.knows(2, 6)) << "it is over";
  poll.begin(8, 0);
  report(2, kRight, 8);
  EXPECT_EQ(poll.verdict(members({1, 2, 3})), std::nullopt) << "the reports of 7 are void";
  report(3, kRight, 8);
  EXPECT_EQ(poll.verdict(members({1, 2, 3}))->index, 8U);
}

TEST_F(DigestPollTest, WithoutACheckNothingIsReported) {
  for (const raft::NodeId id : {1, 2, 3}) report(id, kRight, 0);
  EXPECT_FALSE(poll.has_news());
  EXPECT_EQ(poll.verdict(members({1, 2, 3})), std::nullopt);
}

TEST_F(DigestPollTest, NobodyWinsOnlyWhenNobodyCanAnyMore) {
  poll.begin(7, 0);
  report(1, kRight);
  report(2, kWrong);
  EXPECT_TRUE(poll.has_news());
  EXPECT_EQ(poll.verdict(members({1, 2, 3})), std::nullopt) << "the third one decides";
  EXPECT_FALSE(poll.has_news());
  report(3, kOther);
  EXPECT_EQ(poll.verdict(members({1, 2, 3})), (DigestVerdict{.index = 7, .digest = std::nullopt}));
}

TEST_F(DigestPollTest, TwoAgainstTwoIsNoMajority) {
  poll.begin(7, 0);
  report(1, kRight);
  report(2, kRight);
  report(3, kWrong);
  report(4, kWrong);
  EXPECT_EQ(poll.verdict(members({1, 2, 3, 4})),
            (DigestVerdict{.index = 7, .digest = std::nullopt}));
}

TEST_F(DigestPollTest, LearnersAreNotAsked) {
  poll.begin(7, 0);
  report(1, kWrong);
  report(8, kWrong);
  report(9, kWrong);
  EXPECT_EQ(poll.verdict(members({1, 2, 3}, {8, 9})), std::nullopt);
  report(2, kRight);
  report(3, kRight);
  EXPECT_EQ(poll.verdict(members({1, 2, 3}, {8, 9}))->digest, kRight);
}

TEST_F(DigestPollTest, InAJointPhaseBothMajoritiesMustAgree) {
  const raft::Membership joint = members({3, 4, 5}, {}, {1, 2, 3});
  poll.begin(7, 0);
  for (const raft::NodeId id : {1, 2, 3}) report(id, kRight);
  EXPECT_EQ(poll.verdict(joint), std::nullopt);
  report(4, kWrong);
  report(5, kWrong);
  EXPECT_EQ(poll.verdict(joint)->digest, std::nullopt);
  report(5, kRight);
  EXPECT_EQ(poll.verdict(joint)->digest, kRight) << "the last word of a replica counts";
}

TEST_F(DigestPollTest, ACheckIsDueWhenSomethingIsNewAndTheIntervalIsOver) {
  EXPECT_FALSE(poll.check_due(5000)) << "nothing was applied";
  poll.entry_applied();
  EXPECT_FALSE(poll.check_due(1499));
  EXPECT_TRUE(poll.check_due(1500));
  poll.begin(7, 1500);
  EXPECT_FALSE(poll.check_due(5000)) << "nothing since";
  poll.entry_applied();
  EXPECT_FALSE(poll.check_due(2499));
  EXPECT_TRUE(poll.check_due(2500));
  DigestPoll never(0, 0);
  never.entry_applied();
  EXPECT_FALSE(never.check_due(UINT64_MAX));
}

// --- bytes -------------------------------------------------------------------------------------

TEST(DigestCodec, WhatIsEncodedComesBack) {
  const HostEntry entries[] = {DigestCheck{.with_sessions = true},
                               DigestCheck{.with_sessions = false},
                               DigestVerdict{.index = 300, .digest = kRight},
                               DigestVerdict{.index = UINT64_MAX, .digest = std::nullopt}};
  for (const HostEntry& entry : entries) {
    EXPECT_EQ(decode_host_entry(encode_host_entry(entry)), entry);
  }
  const DigestReport report{.index = 12345,
                            .digest = {.low = 0x0123456789abcdef, .high = 0xfedcba9876543210}};
  const auto decoded = decode_digest_report(encode_digest_report(report));
  ASSERT_TRUE(decoded) << decoded.error();
  EXPECT_EQ(*decoded, report);
}

TEST(DigestCodec, ANoteThatIsNoReportIsAnError) {
  const std::string bytes = encode_digest_report({.index = 300, .digest = kRight});
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_digest_report(bytes.substr(0, size))) << size;
  }
  EXPECT_FALSE(decode_digest_report(bytes + "x"));
  std::string later = bytes;
  later[0] = 2;
  EXPECT_THAT(decode_digest_report(later).error(), testing::HasSubstr("unknown type"));
}

TEST(DigestCodecDeathTest, AnEntryThatIsNotKnownEndsTheProcess) {
  const std::string bytes = encode_host_entry(DigestVerdict{.index = 300, .digest = kRight});
  EXPECT_DEATH(decode_host_entry(bytes.substr(0, bytes.size() - 1)), "upgrade this node");
  EXPECT_DEATH(decode_host_entry(bytes + "x"), "upgrade this node");
  EXPECT_DEATH(decode_host_entry("\x07"), "unknown type.*upgrade this node");
  EXPECT_DEATH(decode_host_entry(""), "upgrade this node");
}

}  // namespace
}  // namespace raftkv::server
