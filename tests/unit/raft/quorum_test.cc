#include "raft/quorum.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace raftkv::raft {
namespace {

uint64_t reached(std::vector<uint64_t> by_voter) {
  std::vector<NodeId> voters;
  for (NodeId id = 1; id <= by_voter.size(); id++) voters.push_back(id);
  return majority_reached(Configuration(voters), [&](NodeId id) { return by_voter[id - 1]; });
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

TEST(Configuration, KnowsItsVotersInOrder) {
  const Configuration config({3, 1, 2});
  EXPECT_THAT(std::vector<NodeId>(config.voters().begin(), config.voters().end()),
              testing::ElementsAre(1, 2, 3));
  EXPECT_TRUE(config.is_member(2));
  EXPECT_FALSE(config.is_member(4));
}

TEST(ConfigurationDeathTest, RefusesSenselessSets) {
  EXPECT_DEATH(Configuration({}), "at least one voter");
  EXPECT_DEATH(Configuration({0, 1}), "0 is not a node");
  EXPECT_DEATH(Configuration({1, 2, 1}), "named twice");
}

}  // namespace
}  // namespace raftkv::raft
