// Patterns of KEYS, SCAN and COMMAND LIST.

#include "server/command/glob.h"

#include <chrono>

namespace raftkv::server {
namespace {

TEST(Glob, TakesOtherBytesLiterally) {
  EXPECT_TRUE(glob_match("abc", "abc"));
  EXPECT_FALSE(glob_match("abc", "ab"));
  EXPECT_FALSE(glob_match("ab", "abc"));
  EXPECT_FALSE(glob_match("abc", "aBc"));
  EXPECT_TRUE(glob_match(std::string_view("a\0b", 3), std::string_view("a\0b", 3)));
}

TEST(Glob, QuestionMarkIsOneByte) {
  EXPECT_TRUE(glob_match("h?llo", "hello"));
  EXPECT_FALSE(glob_match("h?llo", "hllo"));
  EXPECT_FALSE(glob_match("?", ""));
}

TEST(Glob, StarIsAnyText) {
  EXPECT_TRUE(glob_match("*", "anything"));
  EXPECT_TRUE(glob_match("h*o", "ho"));
  EXPECT_TRUE(glob_match("h*o", "hello, o"));
  EXPECT_FALSE(glob_match("h*o", "hell"));
  EXPECT_TRUE(glob_match("*a*b*", "xxaxxbxx"));
  EXPECT_FALSE(glob_match("*a*b*", "xxbxxaxx"));
  EXPECT_TRUE(glob_match("a***b", "ab"));
  EXPECT_TRUE(glob_match("*ab", "aab"));
  EXPECT_TRUE(glob_match("a*", "a"));
}

TEST(Glob, EmptyTextIsMatchedByTheEmptyPatternOnly) {
  EXPECT_TRUE(glob_match("", ""));
  EXPECT_FALSE(glob_match("*", ""));
  EXPECT_FALSE(glob_match("", "a"));
}

TEST(Glob, ClassIsOneOfItsBytes) {
  EXPECT_TRUE(glob_match("h[ae]llo", "hallo"));
  EXPECT_FALSE(glob_match("h[ae]llo", "hillo"));
  EXPECT_TRUE(glob_match("h[a-c]llo", "hbllo"));
  EXPECT_FALSE(glob_match("h[a-c]llo", "hdllo"));
  EXPECT_TRUE(glob_match("[c-a]", "b")) << "a range may be given backwards";
  EXPECT_TRUE(glob_match("[a-cx-z]", "y"));
  EXPECT_FALSE(glob_match("[]", "a"));
}

TEST(Glob, ClassMayBeNegated) {
  EXPECT_TRUE(glob_match("h[^e]llo", "hallo"));
  EXPECT_FALSE(glob_match("h[^e]llo", "hello"));
  EXPECT_TRUE(glob_match("[^a-z]", "A"));
  EXPECT_TRUE(glob_match("[a^]", "^"));
}

TEST(Glob, BackslashMakesTheNextByteLiteral) {
  EXPECT_TRUE(glob_match("\\*", "*"));
  EXPECT_FALSE(glob_match("\\*", "a"));
  EXPECT_TRUE(glob_match("[\\]]", "]"));
  EXPECT_TRUE(glob_match("[a\\-c]", "-"));
  EXPECT_FALSE(glob_match("[a\\-c]", "b"));
  EXPECT_TRUE(glob_match("a\\", "a\\")) << "at the end it stands for itself";
}

TEST(Glob, ClassThatIsNotClosedEndsWithThePattern) {
  EXPECT_TRUE(glob_match("[ab", "b"));
  EXPECT_FALSE(glob_match("[ab", "c"));
  EXPECT_FALSE(glob_match("[", "a"));
  EXPECT_TRUE(glob_match("[^", "a"));
  EXPECT_TRUE(glob_match("[a-", "-"));
}

TEST(Glob, MayIgnoreTheCaseOfLetters) {
  EXPECT_TRUE(glob_match("GeT*", "getrange", Case::kIgnored));
  EXPECT_TRUE(glob_match("[A-C]", "b", Case::kIgnored));
  EXPECT_TRUE(glob_match("\\A", "a", Case::kIgnored));
  EXPECT_FALSE(glob_match("[^B]", "b", Case::kIgnored));
}

TEST(Glob, ManyStarsTakeNoExponentialTime) {
  std::string pattern;
  for (int i = 0; i < 200; ++i) pattern += "a*";
  pattern += "b";
  const std::string text(20'000, 'a');
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(glob_match(pattern, text));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

}  // namespace
}  // namespace raftkv::server
