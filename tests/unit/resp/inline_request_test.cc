#include "resp/inline_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

namespace raftkv::resp {
namespace {

using ::testing::IsEmpty;

using Args = std::vector<std::string>;

std::optional<Args> split(std::string_view line) {
  std::vector<std::string_view> args;
  std::string storage;
  if (!split_inline(line, args, storage)) return std::nullopt;
  return Args(args.begin(), args.end());
}

TEST(InlineRequest, SplitsAtSpacesAndTabs) {
  EXPECT_EQ(split("  SET\tkey   value "), (Args{"SET", "key", "value"}));
  EXPECT_EQ(split(" \t\v\f "), Args{});
}

TEST(InlineRequest, AVerticalTabIsSkippedBetweenWordsButDoesNotEndOne) {
  EXPECT_EQ(split("a \vb\vc"), (Args{"a", "b\vc"}));
  EXPECT_EQ(split("\"\" \vb\vc"), (Args{"", "b\vc"}));
}

TEST(InlineRequest, BareWordsKeepBackslashes) {
  EXPECT_EQ(split("a\\n \\x41"), (Args{"a\\n", "\\x41"}));
}

TEST(InlineRequest, BareWordsAreViewsIntoTheLine) {
  const std::string line = "GET key";
  std::vector<std::string_view> args;
  std::string storage;
  ASSERT_TRUE(split_inline(line, args, storage));
  EXPECT_EQ(args[1].data(), line.data() + 4);
  EXPECT_THAT(storage, IsEmpty());
}

TEST(InlineRequest, DoubleQuotesKnowEscapes) {
  EXPECT_EQ(split(R"("a b" "\n\r\t\b\a" "\"\\" "\q")"), (Args{"a b", "\n\r\t\b\a", "\"\\", "q"}));
  EXPECT_EQ(split(R"("\x41\xfF" "\x0g")"), (Args{"A\xff", "x0g"}));
}

TEST(InlineRequest, AHexEscapeNeedsTwoDigitsInsideTheQuotes) {
  EXPECT_EQ(split(R"("\x4")"), Args{"x4"});
  EXPECT_EQ(split(R"("\x4)"), std::nullopt);
}

TEST(InlineRequest, SingleQuotesKnowOnlyTheEscapedSingleQuote) {
  EXPECT_EQ(split(R"('a b' '\n' 'it\'s' '"')"), (Args{"a b", "\\n", "it's", "\""}));
}

TEST(InlineRequest, QuotesMayBeEmpty) {
  EXPECT_EQ(split("SET \"\" ''"), (Args{"SET", "", ""}));
}

TEST(InlineRequest, AQuoteMayOpenInsideAWord) {
  EXPECT_EQ(split("a\"b c\" d'e f'"), (Args{"ab c", "de f"}));
}

TEST(InlineRequest, AClosingQuoteEndsTheArgumentAndWantsASpace) {
  EXPECT_EQ(split("\"a\"b"), std::nullopt);
  EXPECT_EQ(split("'a'b"), std::nullopt);
  EXPECT_EQ(split("\"a\"'b'"), std::nullopt);
  EXPECT_EQ(split("\"a\"\tb"), (Args{"a", "b"}));
}

TEST(InlineRequest, UnbalancedQuotesAreRefused) {
  for (const std::string_view line :
       {"\"", "'", "a\"", "\"a", "'a", "\"a\\\"", "'a\\'", "\"a\\", "ok \""}) {
    EXPECT_EQ(split(line), std::nullopt) << line;
  }
}

TEST(InlineRequest, NulBytesAreOrdinary) {
  const std::string line("a\0b \"c\0d\"", 9);
  EXPECT_EQ(split(line), (Args{std::string("a\0b", 3), std::string("c\0d", 3)}));
}

}  // namespace
}  // namespace raftkv::resp
