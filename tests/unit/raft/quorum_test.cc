#include "raft/quorum.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tests/unit/raft/host.h"

namespace raftkv::raft::test {
namespace {

using testing::ElementsAre;

std::vector<NodeId> ids(std::span<const NodeId> span) {
  return {span.begin(), span.end()};
}

uint64_t reached(std::vector<uint64_t> by_voter) {
  std::vector<NodeId> voters;
  for (NodeId id = 1; id <= by_voter.size(); id++) voters.push_back(id);
  return majority_reached(Configuration(members(voters)),
                          [&](NodeId id) { return by_voter[id - 1]; });
}

TEST(Quorum, AMajorityHasReachedTheMiddleOfThree) {
  EXPECT_EQ(reached({7, 3, 5}), 5U);
}
TEST(Quorum, TwoOfFourAreNoMajority) {
  EXPECT_EQ(reached({9, 9, 2, 1}), 2U);
}
TEST(Quorum, ASingleVoterIsItsOwnMajority) {
  EXPECT_EQ(reached({4}), 4U);
}
TEST(Quorum, BothOfTwoAreNeeded) {
  EXPECT_EQ(reached({4, 1}), 1U);
}

TEST(Quorum, AgreesWithCountingOneByOne) {
  uint64_t state = 1;
  for (int round = 0; round < 2000; round++) {
    std::vector<uint64_t> values(1 + round % 9);
    for (uint64_t& value : values) value = (state = state * 6364136223846793005 + 1) >> 60;
    uint64_t expected = 0;
    for (uint64_t candidate = 0; candidate < 16; candidate++) {
      const auto count = std::count_if(values.begin(), values.end(),
                                       [&](uint64_t value) { return value >= candidate; });
      if (static_cast<size_t>(count) * 2 > values.size()) expected = candidate;
    }
    ASSERT_EQ(reached(values), expected);
  }
}

TEST(Quorum, AVoteIsWonByMoreThanHalf) {
  EXPECT_EQ(tally_votes(5, 3, 0), Tally::kWon);
  EXPECT_EQ(tally_votes(5, 2, 2), Tally::kPending);
  EXPECT_EQ(tally_votes(5, 2, 3), Tally::kLost);
  EXPECT_EQ(tally_votes(4, 2, 1), Tally::kPending);
  EXPECT_EQ(tally_votes(4, 2, 2), Tally::kLost);
  EXPECT_EQ(tally_votes(1, 1, 0), Tally::kWon);
}

// --- joint consensus (thesis 4.3) --------------------------------------------------------------

uint64_t jointly(const std::map<NodeId, uint64_t>& values, const Membership& membership) {
  return majority_reached(Configuration(membership), [&](NodeId id) { return values.at(id); });
}

TEST(JointQuorum, WhatBothMajoritiesHaveReachedCounts) {
  const Membership joint = members({3, 4, 5}, {}, {1, 2, 3});
  EXPECT_EQ(jointly({{1, 9}, {2, 9}, {3, 9}, {4, 1}, {5, 2}}, joint), 2U);
  EXPECT_EQ(jointly({{1, 1}, {2, 2}, {3, 9}, {4, 9}, {5, 9}}, joint), 2U);
  EXPECT_EQ(jointly({{1, 4}, {2, 1}, {3, 9}, {4, 5}, {5, 1}}, joint), 4U);
}

TEST(JointQuorum, LearnersAreNotAsked) {
  EXPECT_EQ(jointly({{1, 3}, {2, 2}, {3, 1}}, members({1, 2, 3}, {8, 9})), 2U);
}

TEST(JointQuorum, AVoteIsWonTwiceAndLostOnce) {
  const Configuration joint(members({3, 4, 5}, {}, {1, 2, 3}));
  const auto result = [&](std::vector<NodeId> granted, std::vector<NodeId> refused) {
    return tally(joint, [&](NodeId id) {
      if (std::count(granted.begin(), granted.end(), id) > 0) return Vote::kGranted;
      return std::count(refused.begin(), refused.end(), id) > 0 ? Vote::kRefused : Vote::kUnknown;
    });
  };
  EXPECT_EQ(result({1, 2, 3}, {}), Tally::kPending);
  EXPECT_EQ(result({3, 4, 5}, {}), Tally::kPending);
  EXPECT_EQ(result({1, 3, 4}, {}), Tally::kWon);
  EXPECT_EQ(result({1, 2, 3}, {4, 5}), Tally::kLost);
  EXPECT_EQ(result({3, 4, 5}, {1, 2}), Tally::kLost);
}

TEST(Configuration, KnowsItsVotersInOrder) {
  const Configuration config(members({3, 1, 2}));
  EXPECT_THAT(std::vector<NodeId>(config.voters().begin(), config.voters().end()),
              testing::ElementsAre(1, 2, 3));
  EXPECT_TRUE(config.is_member(2));
  EXPECT_FALSE(config.is_member(4));
}

TEST(Configuration, KnowsNobodyAtFirst) {
  const Configuration config;
  EXPECT_FALSE(config.known());
  EXPECT_FALSE(config.is_member(1));
  EXPECT_FALSE(config.is_sole_voter(1));
}

TEST(Configuration, TellsTheVotersOfTheTwoSetsAndTheLearners) {
  const Configuration config(members({1, 2}, {9}, {2, 3}));
  EXPECT_TRUE(config.joint());
  EXPECT_THAT(ids(config.all_voters()), ElementsAre(1, 2, 3));
  EXPECT_THAT(ids(config.members()), ElementsAre(1, 2, 3, 9));
  EXPECT_TRUE(config.is_voter(3));
  EXPECT_FALSE(config.stays_voter(3));
  EXPECT_TRUE(config.stays_voter(1));
  EXPECT_TRUE(config.is_member(9));
  EXPECT_FALSE(config.is_voter(9));
}

TEST(ConfigurationDeathTest, RefusesSenselessSets) {
  EXPECT_DEATH(Configuration(Membership{}), "without voters");
  EXPECT_DEATH(Configuration(members({0, 1})), "one is 0");
  EXPECT_DEATH(Configuration(members({1, 2, 1})), "not ascending");
  EXPECT_DEATH(Configuration(members({1, 2}, {2})), "2 is voter and learner");
  EXPECT_DEATH(Configuration(members({1, 2}, {3}, {3})), "3 is voter and learner");
  Membership nameless = members({1, 2});
  nameless.contexts.erase(2);
  EXPECT_DEATH(Configuration{nameless}, "contexts are not those");
}

}  // namespace
}  // namespace raftkv::raft::test
