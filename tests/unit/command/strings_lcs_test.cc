// LCS.

#include <random>

#include "tests/unit/command/data_world.h"

namespace raftkv::test {
namespace {

class Lcs : public testing::Test {
 protected:
  void SetUp() override { world.run("MSET a ohmytext b mynewtext"); }

  DataWorld world;
};

TEST_F(Lcs, ReturnsTheCommonSubsequence) {
  EXPECT_EQ(world.run("LCS a b"), "'mytext'");
  EXPECT_EQ(world.run("LCS a b LEN"), "6");
  EXPECT_EQ(world.run("LCS a a"), "'ohmytext'");
}

TEST_F(Lcs, ChoosesAmongEquallyLongOnesAsRedisDoes) {
  world.run("MSET a ab b ba");
  EXPECT_EQ(world.run("LCS a b"), "'b'");
  EXPECT_EQ(world.run("LCS b a"), "'a'");
  world.run("MSET a abcab b cabc");
  EXPECT_EQ(world.run("LCS a b IDX"), "['matches', [[[2, 4], [0, 2]]], 'len', 3]");
}

TEST_F(Lcs, OfAKeyThatDoesNotExistIsEmpty) {
  EXPECT_EQ(world.run("LCS a absent"), "''");
  EXPECT_EQ(world.run("LCS absent a LEN"), "0");
  EXPECT_EQ(world.run("LCS a absent IDX"), "['matches', [], 'len', 0]");
}

TEST_F(Lcs, TellsWhereTheMatchesAreFromTheLastToTheFirst) {
  EXPECT_EQ(world.run("LCS a b IDX"),
            "['matches', [[[4, 7], [5, 8]], [[2, 3], [0, 1]]], 'len', 6]");
  EXPECT_EQ(world.run("LCS a b IDX WITHMATCHLEN"),
            "['matches', [[[4, 7], [5, 8], 4], [[2, 3], [0, 1], 2]], 'len', 6]");
  EXPECT_EQ(world.run("LCS a b IDX MINMATCHLEN 3"), "['matches', [[[4, 7], [5, 8]]], 'len', 6]");
  EXPECT_EQ(world.run("LCS a b IDX MINMATCHLEN -3 MINMATCHLEN 9"), "['matches', [], 'len', 6]");
}

TEST_F(Lcs, RepliesWithAMapInRespThree) {
  world.protocol = resp::Protocol::kResp3;
  EXPECT_EQ(world.run("LCS a absent IDX"), "{'matches': [], 'len': 0}");
}

TEST_F(Lcs, RefusesWhatContradicts) {
  EXPECT_EQ(world.run("LCS a b LEN IDX"),
            "-ERR If you want both the length and indexes, please just use IDX.");
  EXPECT_EQ(world.run("LCS a b FOO"), "-ERR syntax error");
  EXPECT_EQ(world.run("LCS a b MINMATCHLEN"), "-ERR syntax error");
  EXPECT_EQ(world.run("LCS a b MINMATCHLEN x"), "-ERR value is not an integer or out of range");
}

TEST_F(Lcs, TakesNoMoreMemoryThanTheLargestStringHas) {
  world.call({"SET", "a", std::string(12'000, 'a')});
  world.call({"SET", "b", std::string(12'000, 'b')});
  EXPECT_EQ(world.run("LCS a b"),
            "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
}

bool is_subsequence(std::string_view part, std::string_view whole) {
  for (const char c : whole) {
    if (!part.empty() && part.front() == c) part.remove_prefix(1);
  }
  return part.empty();
}

// Against the definition: exponential, so for short strings.
size_t longest(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return 0;
  if (a[0] == b[0]) return 1 + longest(a.substr(1), b.substr(1));
  return std::max(longest(a.substr(1), b), longest(a, b.substr(1)));
}

TEST_F(Lcs, IsACommonSubsequenceAndNoneIsLonger) {
  std::mt19937 random(3);
  const auto draw = [&] {
    std::string text(random() % 9, ' ');
    for (char& c : text) c = static_cast<char>('a' + random() % 3);
    return text;
  };
  for (int i = 0; i < 300; ++i) {
    const std::string a = draw();
    const std::string b = draw();
    world.call({"MSET", "a", a, "b", b});
    const std::string reply = world.run("LCS a b");
    const std::string common = reply.substr(1, reply.size() - 2);
    EXPECT_TRUE(is_subsequence(common, a) && is_subsequence(common, b)) << a << " " << b;
    EXPECT_EQ(common.size(), longest(a, b)) << a << " " << b;
    EXPECT_EQ(world.run("LCS a b LEN"), std::to_string(common.size()));
  }
}

}  // namespace
}  // namespace raftkv::test
