#include "resp/request_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/resp/parse_stream.h"

namespace raftkv::resp {
namespace {

using ::testing::ElementsAre;

TEST(RequestParser, ReadsAMultibulkRequest) {
  const std::string stream = multibulk({"SET", "key", "value"});
  RequestParser parser;
  ASSERT_EQ(parser.parse(stream), ParseStatus::kRequest);
  EXPECT_THAT(parser.args(), ElementsAre("SET", "key", "value"));
  EXPECT_EQ(parser.consumed(), stream.size());
}

TEST(RequestParser, LendsArgumentsFromTheCallersBuffer) {
  const std::string stream = multibulk({"GET", "key"});
  RequestParser parser;
  ASSERT_EQ(parser.parse(stream), ParseStatus::kRequest);
  EXPECT_EQ(parser.args()[1].data(), stream.data() + stream.find("key"));
}

TEST(RequestParser, KeepsArgumentsThatAreEmptyOrBinary) {
  const Request request = {"SET", "", std::string("\0\r\n$5\r\n*", 8)};
  EXPECT_THAT(parse_whole(multibulk(request)).requests, ElementsAre(request));
}

TEST(RequestParser, TakesOneRequestOfAPipelineACall) {
  const std::string first = multibulk({"PING"});
  const std::string stream = first + multibulk({"ECHO", "x"});
  RequestParser parser;
  ASSERT_EQ(parser.parse(stream), ParseStatus::kRequest);
  EXPECT_EQ(parser.consumed(), first.size());
  ASSERT_EQ(parser.parse(std::string_view(stream).substr(first.size())), ParseStatus::kRequest);
  EXPECT_THAT(parser.args(), ElementsAre("ECHO", "x"));
}

TEST(RequestParser, SkipsEmptyMultibulkRequests) {
  const Parsed parsed = parse_whole("*0\r\n*-1\r\n*-9223372036854775808\r\n" + multibulk({"PING"}));
  EXPECT_THAT(parsed.requests, ElementsAre(Request{"PING"}));
  EXPECT_EQ(parsed.error, "");
}

TEST(RequestParser, SkipsEmptyLines) {
  const Parsed parsed = parse_whole("\r\n\n  \t\r\n\"\"x");
  EXPECT_TRUE(parsed.requests.empty());
  EXPECT_EQ(parsed.leftover, 3U) << "the empty lines are consumed, the line begun is kept";
}

TEST(RequestParser, ConsumesEmptyRequestsBeforeAnIncompleteOne) {
  RequestParser parser;
  ASSERT_EQ(parser.parse("*0\r\n\r\n*1\r\n$4\r\nPI"), ParseStatus::kNeedMore);
  EXPECT_EQ(parser.consumed(), 6U);
  ASSERT_EQ(parser.parse("*1\r\n$4\r\nPING\r\n"), ParseStatus::kRequest);
  EXPECT_THAT(parser.args(), ElementsAre("PING"));
}

TEST(RequestParser, MixesInlineAndMultibulkInOneStream) {
  const Parsed parsed = parse_whole("PING\r\n" + multibulk({"GET", "a"}) + "GET b\n");
  EXPECT_THAT(parsed.requests,
              ElementsAre(Request{"PING"}, Request{"GET", "a"}, Request{"GET", "b"}));
}

// Redis skips the two bytes where CR LF belongs, without looking at them; so do we.
TEST(RequestParser, DoesNotInsistOnWhatFollowsACarriageReturnOrAnArgument) {
  EXPECT_THAT(parse_whole("*1\rX$4\rYPINGZZ").requests, ElementsAre(Request{"PING"}));
}

TEST(RequestParser, SaysHowManyBytesAnArgumentStillNeeds) {
  RequestParser parser;
  ASSERT_EQ(parser.parse("*1\r\n$100\r\nabc"), ParseStatus::kNeedMore);
  EXPECT_EQ(parser.bytes_needed(), 97U + 2U);
  ASSERT_EQ(parser.parse("*1\r\n$100\r\nabcdefghij"), ParseStatus::kNeedMore);
  EXPECT_EQ(parser.bytes_needed(), 90U + 2U);
}

TEST(RequestParser, SaysThatAtLeastOneByteIsNeededInAHeader) {
  RequestParser parser;
  for (const std::string_view begun : {"", "*", "*1", "*1\r", "*1\r\n", "*1\r\n$", "*1\r\n$4\r"}) {
    ASSERT_EQ(parser.parse(begun), ParseStatus::kNeedMore) << begun;
    EXPECT_GE(parser.bytes_needed(), 1U);
    EXPECT_LE(parser.bytes_needed(), 2U);
  }
}

// A pipeline with every kind of request, an argument that looks like protocol, and empty requests.
std::string varied_stream() {
  return multibulk({"SET", "k", std::string("a\r\nb\0$3\r\n", 9)}) +
         "*0\r\n\r\nGET \"a b\" 'c'\r\n" + multibulk({"", ""}) + "*-1\r\nPING\n" +
         multibulk({"MSET", "a", "1", "b", "22"});
}

TEST(RequestParserSplits, EverySplitPointGivesTheSameRequests) {
  const std::string stream = varied_stream();
  const Parsed whole = parse_whole(stream);
  ASSERT_EQ(whole.requests.size(), 5U);
  ASSERT_EQ(whole.leftover, 0U);
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    StreamReader reader;
    reader.feed(std::string_view(stream).substr(0, cut));
    reader.feed(std::string_view(stream).substr(cut));
    EXPECT_EQ(reader.parsed(), whole) << "cut at " << cut;
  }
}

TEST(RequestParserSplits, EveryPairOfSplitPointsGivesTheSameRequests) {
  const std::string stream = varied_stream();
  const std::string_view view = stream;
  const Parsed whole = parse_whole(stream);
  for (size_t first = 0; first <= stream.size(); ++first) {
    for (size_t second = first; second <= stream.size(); ++second) {
      StreamReader reader;
      reader.feed(view.substr(0, first));
      reader.feed(view.substr(first, second - first));
      reader.feed(view.substr(second));
      ASSERT_EQ(reader.parsed(), whole) << "cut at " << first << " and " << second;
    }
  }
}

TEST(RequestParserSplits, ByteByByteGivesTheSameRequests) {
  const std::string stream = varied_stream();
  EXPECT_EQ(parse_bytewise(stream), parse_whole(stream));
}

TEST(RequestParserSplits, AnErrorIsTheSameWhereverTheStreamIsCut) {
  const std::string good = multibulk({"PING"});
  for (const std::string_view bad : {"*a\r\n", "*1\r\n$-1\r\n", "*1\r\n+PING\r\n", "GET \"a\r\n",
                                     "*2\r\n$1\r\nx\r\n\r\n$1\r\n"}) {
    const std::string stream = good + std::string(bad);
    const Parsed whole = parse_whole(stream);
    ASSERT_FALSE(whole.error.empty()) << bad;
    for (size_t cut = 0; cut <= stream.size(); ++cut) {
      StreamReader reader;
      reader.feed(std::string_view(stream).substr(0, cut));
      reader.feed(std::string_view(stream).substr(cut));
      EXPECT_EQ(reader.parsed().requests, whole.requests);
      EXPECT_EQ(reader.parsed().error, whole.error) << "cut at " << cut;
    }
  }
}

// A parser that began again at each call would need time square to the size here: minutes.
TEST(RequestParserSplits, AManyArgumentRequestByteByByteTakesLinearTime) {
  Request request(200'000, "ab");
  const std::string stream = multibulk(request);
  RequestParser parser;
  for (size_t size = 1; size < stream.size(); ++size) {
    ASSERT_EQ(parser.parse(std::string_view(stream).substr(0, size)), ParseStatus::kNeedMore);
  }
  ASSERT_EQ(parser.parse(stream), ParseStatus::kRequest);
  EXPECT_EQ(parser.args().size(), request.size());
}

TEST(RequestParserSplits, ALongInlineRequestByteByByteIsScannedOnce) {
  const std::string stream = "SET k " + std::string(60'000, 'v') + "\r\n";
  EXPECT_EQ(parse_bytewise(stream), parse_whole(stream));
}

}  // namespace
}  // namespace raftkv::resp
