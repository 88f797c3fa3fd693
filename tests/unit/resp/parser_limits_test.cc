// Each limit from both sides, and each error text, as Redis 7.0 gives them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "resp/request_parser.h"
#include "tests/unit/resp/parse_stream.h"

namespace raftkv::resp {
namespace {

using ::testing::ElementsAre;

std::string error_of(std::string_view stream, ParserLimits limits = {}) {
  const Parsed whole = parse_whole(stream, limits);
  EXPECT_EQ(parse_bytewise(stream, limits).error, whole.error) << "differs byte by byte";
  return whole.error;
}

TEST(ParserErrors, ACountMustBeANumberOfRedissKind) {
  for (const std::string_view count :
       {"", "a", "+1", "01", "1 ", " 1", "1a", "-", "--1", "-0", "-01", "1-", "9223372036854775808",
        "-9223372036854775809", "99999999999999999999999999", "1\n"}) {
    EXPECT_EQ(error_of("*" + std::string(count) + "\r\n"),
              "ERR Protocol error: invalid multibulk length")
        << count;
  }
}

TEST(ParserErrors, ALengthMustBeANumberAndNotNegative) {
  for (const std::string_view length : {"", "a", "+4", "04", "4 ", "-1", "-0", "00",
                                        "9223372036854775807", "18446744073709551617"}) {
    EXPECT_EQ(error_of("*1\r\n$" + std::string(length) + "\r\n"),
              "ERR Protocol error: invalid bulk length")
        << length;
  }
}

TEST(ParserErrors, AnArgumentMustBeginWithADollar) {
  EXPECT_EQ(error_of("*1\r\nPING\r\n"), "ERR Protocol error: expected '$', got 'P'");
  EXPECT_EQ(error_of("*2\r\n$1\r\na\r\n:1\r\n"), "ERR Protocol error: expected '$', got ':'");
}

TEST(ParserErrors, AnErrorIsOneLineWhateverWasReceived) {
  EXPECT_EQ(error_of("*1\r\n\r\n"), "ERR Protocol error: expected '$', got ' '");
  EXPECT_EQ(error_of("*1\r\n\n\r\n"), "ERR Protocol error: expected '$', got ' '");
}

TEST(ParserErrors, QuotesMustBeBalanced) {
  EXPECT_EQ(error_of("GET \"a\r\n"), "ERR Protocol error: unbalanced quotes in request");
}

TEST(ParserErrors, NothingIsParsedBehindAnError) {
  RequestParser parser;
  ASSERT_EQ(parser.parse("*x\r\n"), ParseStatus::kError);
  EXPECT_EQ(parser.parse("PING\r\n"), ParseStatus::kError);
  EXPECT_EQ(parser.error(), "ERR Protocol error: invalid multibulk length");
}

TEST(ParserErrors, RequestsBeforeAnErrorAreStillGiven) {
  const Parsed parsed = parse_whole("PING\r\n*x\r\n");
  EXPECT_THAT(parsed.requests, ElementsAre(Request{"PING"}));
  EXPECT_EQ(parsed.error, "ERR Protocol error: invalid multibulk length");
}

TEST(ParserLimitsTest, AnInlineLineMayHave64KiBAndNotAByteMore) {
  const std::string longest(64 * 1024, 'a');
  EXPECT_THAT(parse_whole(longest + "\n").requests, ElementsAre(Request{longest}));
  EXPECT_EQ(parse_whole(longest).error, "");
  for (const std::string_view end : {"a", "a\n", "a\r\n"}) {
    EXPECT_EQ(error_of(longest + std::string(end)), "ERR Protocol error: too big inline request");
  }
}

TEST(ParserLimitsTest, ACountLineMayHave64KiBAndNotAByteMore) {
  const std::string longest = "*" + std::string(64 * 1024 - 1, '1');
  EXPECT_EQ(parse_whole(longest).error, "");
  EXPECT_EQ(error_of(longest + "\r\n"), "ERR Protocol error: invalid multibulk length");
  EXPECT_EQ(error_of(longest + "1"), "ERR Protocol error: too big mbulk count string");
  EXPECT_EQ(error_of(longest + "1\r\n"), "ERR Protocol error: too big mbulk count string");
}

TEST(ParserLimitsTest, ALengthLineMayHave64KiBAndNotAByteMore) {
  const std::string longest = "*1\r\n$" + std::string(64 * 1024 - 1, '1');
  EXPECT_EQ(parse_whole(longest).error, "");
  EXPECT_EQ(error_of(longest + "\r\n"), "ERR Protocol error: invalid bulk length");
  EXPECT_EQ(error_of(longest + "1"), "ERR Protocol error: too big bulk count string");
}

TEST(ParserLimitsTest, ArgumentsAreCountedBeforeTheyArrive) {
  EXPECT_EQ(parse_whole("*1048576\r\n").error, "");
  EXPECT_EQ(error_of("*1048577\r\n"), "ERR Protocol error: invalid multibulk length");
  EXPECT_EQ(error_of("*3\r\n", {.args_max = 2}), "ERR Protocol error: invalid multibulk length");
}

TEST(ParserLimitsTest, AnArgumentIsMeasuredBeforeItArrives) {
  EXPECT_EQ(parse_whole("*1\r\n$536870912\r\n").error, "");
  EXPECT_EQ(error_of("*1\r\n$536870913\r\n"), "ERR Protocol error: invalid bulk length");
}

TEST(ParserLimitsTest, AWholeRequestIsMeasuredToTheByteAndTheErrorSaysWhatToDo) {
  const std::string request = multibulk({"SET", "key", "value"});
  EXPECT_EQ(parse_whole(request, {.request_bytes_max = request.size()}).requests.size(), 1U);
  EXPECT_EQ(error_of(request, {.request_bytes_max = request.size() - 1}),
            "ERR Protocol error: request of more than " + std::to_string(request.size() - 1) +
                " bytes, send it as several smaller requests");
  EXPECT_THAT(parse_whole(request, {.request_bytes_max = 0}).error,
              ::testing::HasSubstr("smaller requests"));
}

TEST(ParserLimitsTest, TheSizeOfARequestStartsAnewWithEachOfAPipeline) {
  const std::string request = multibulk({"SET", "key", "value"});
  const Parsed parsed =
      parse_whole(request + request + request, {.request_bytes_max = request.size()});
  EXPECT_EQ(parsed.requests.size(), 3U);
}

TEST(ParserLimitsTest, AnnouncedSizesReserveNothing) {
  RequestParser parser;
  ASSERT_EQ(parser.parse("*1048576\r\n$536870912\r\nabc"), ParseStatus::kNeedMore);
  EXPECT_LT(parser.args().capacity(), 16U);
}

TEST(ParserLimitsTest, ManyArgumentsLeaveNoLargeBufferBehind) {
  RequestParser parser;
  const std::string large = multibulk(Request(100'000, "a"));
  ASSERT_EQ(parser.parse(large), ParseStatus::kRequest);
  ASSERT_GE(parser.args().capacity(), 100'000U);
  const std::string small = multibulk({"PING"});
  ASSERT_EQ(parser.parse(small), ParseStatus::kRequest);
  EXPECT_LE(parser.args().capacity(), 1024U);
}

TEST(ParserLimitsTest, AClientThatHasNotAuthenticatedIsAllowedLittle) {
  const auto error_before_auth = [](std::string_view stream) {
    RequestParser parser;
    parser.set_unauthenticated(true);
    return parser.parse(stream) == ParseStatus::kError ? parser.error() : "";
  };
  EXPECT_EQ(error_before_auth("*10\r\n$16384\r\n"), "");
  EXPECT_EQ(error_before_auth("*11\r\n"), "ERR Protocol error: unauthenticated multibulk length");
  EXPECT_EQ(error_before_auth("*1\r\n$16385\r\n"),
            "ERR Protocol error: unauthenticated bulk length");
}

TEST(ParserLimitsTest, NewLimitsCountFromTheNextHeader) {
  RequestParser parser;
  parser.set_limits({.bulk_bytes_max = 3});
  ASSERT_EQ(parser.parse("*1\r\n$4\r\n"), ParseStatus::kError);
  EXPECT_EQ(parser.error(), "ERR Protocol error: invalid bulk length");
}

}  // namespace
}  // namespace raftkv::resp
