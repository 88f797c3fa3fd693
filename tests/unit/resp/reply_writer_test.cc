#include "resp/reply_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

namespace raftkv::resp {
namespace {

std::string written(Protocol protocol, const std::function<void(ReplyWriter&)>& write) {
  std::string out;
  ReplyWriter writer(out, protocol);
  write(writer);
  return out;
}

// The same call in RESP2 and in RESP3.
void expect_written(const std::function<void(ReplyWriter&)>& write, const std::string& resp2,
                    const std::string& resp3) {
  EXPECT_EQ(written(Protocol::kResp2, write), resp2);
  EXPECT_EQ(written(Protocol::kResp3, write), resp3);
}

void expect_same(const std::function<void(ReplyWriter&)>& write, const std::string& both) {
  expect_written(write, both, both);
}

TEST(ReplyWriter, AppendsToWhatTheBufferHolds) {
  std::string out = ":1\r\n";
  ReplyWriter writer(out);
  writer.ok();
  writer.integer(2);
  EXPECT_EQ(out, ":1\r\n+OK\r\n:2\r\n");
}

TEST(ReplyWriter, WritesStatusAndError) {
  expect_same([](auto& w) { w.simple("PONG"); }, "+PONG\r\n");
  expect_same([](auto& w) { w.error("ERR no such key"); }, "-ERR no such key\r\n");
}

TEST(ReplyWriter, ALineNeverBreaks) {
  expect_same([](auto& w) { w.error("ERR unknown command 'a\r\n+OK\r\n'"); },
              "-ERR unknown command 'a  +OK  '\r\n");
  expect_same([](auto& w) { w.simple("a\nb"); }, "+a b\r\n");
  EXPECT_EQ(written(Protocol::kResp3, [](auto& w) { w.big_number("1\n2"); }), "(1 2\r\n");
}

TEST(ReplyWriter, WritesIntegersOverTheWholeRange) {
  for (const int64_t value :
       {int64_t{0}, int64_t{9}, int64_t{10}, int64_t{-1}, int64_t{-10},
        std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()}) {
    const std::string digits = std::to_string(value);
    expect_same([value](auto& w) { w.integer(value); }, ":" + digits + "\r\n");
    expect_same([value](auto& w) { w.bulk_integer(value); },
                "$" + std::to_string(digits.size()) + "\r\n" + digits + "\r\n");
  }
}

TEST(ReplyWriter, BulkStringsAreBinarySafe) {
  const std::string bytes("a\0\r\n", 4);
  expect_same([&](auto& w) { w.bulk(bytes); }, "$4\r\n" + bytes + "\r\n");
  expect_same([](auto& w) { w.bulk(""); }, "$0\r\n\r\n");
}

TEST(ReplyWriter, NothingHasOneFormInResp3AndTwoInResp2) {
  expect_written([](auto& w) { w.null(); }, "$-1\r\n", "_\r\n");
  expect_written([](auto& w) { w.null_array(); }, "*-1\r\n", "_\r\n");
}

TEST(ReplyWriter, AggregatesAreArraysInResp2) {
  expect_same([](auto& w) { w.array(0); }, "*0\r\n");
  expect_same([](auto& w) { w.array(12345); }, "*12345\r\n");
  expect_written([](auto& w) { w.map(3); }, "*6\r\n", "%3\r\n");
  expect_written([](auto& w) { w.set(2); }, "*2\r\n", "~2\r\n");
  expect_written([](auto& w) { w.push(3); }, "*3\r\n", ">3\r\n");
}

TEST(ReplyWriter, BooleansAreIntegersInResp2) {
  expect_written([](auto& w) { w.boolean(true); }, ":1\r\n", "#t\r\n");
  expect_written([](auto& w) { w.boolean(false); }, ":0\r\n", "#f\r\n");
}

// The texts are those of redis-server 7.0.15.
TEST(ReplyWriter, DoublesArePrintedAsRedisDoes) {
  const auto both = [](double value, const std::string& text) {
    expect_written([value](auto& w) { w.double_value(value); },
                   "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n", "," + text + "\r\n");
  };
  both(0, "0");
  both(-0.0, "-0");
  both(3, "3");
  both(-1.5, "-1.5");
  both(3.1, "3.1000000000000001");
  both(1e20, "1e+20");
  both(1e16, "10000000000000000");
  both(1e-7, "9.9999999999999995e-08");
  both(17179869184, "17179869184");
  both(std::numeric_limits<double>::max(), "1.7976931348623157e+308");
  both(std::numeric_limits<double>::denorm_min(), "4.9406564584124654e-324");
  both(std::numeric_limits<double>::infinity(), "inf");
  both(-std::numeric_limits<double>::infinity(), "-inf");
  both(std::numeric_limits<double>::quiet_NaN(), "nan");
  both(-std::numeric_limits<double>::quiet_NaN(), "nan");
}

TEST(ReplyWriter, BigNumbersAreBulkStringsInResp2) {
  expect_written([](auto& w) { w.big_number("-12345678901234567890"); },
                 "$21\r\n-12345678901234567890\r\n", "(-12345678901234567890\r\n");
}

TEST(ReplyWriter, VerbatimTextLosesItsFormatInResp2) {
  expect_written([](auto& w) { w.verbatim("txt", "a\r\nb"); }, "$4\r\na\r\nb\r\n",
                 "=8\r\ntxt:a\r\nb\r\n");
}

TEST(ReplyWriterDeathTest, AVerbatimFormatHasThreeCharacters) {
  EXPECT_DEATH(written(Protocol::kResp3, [](auto& w) { w.verbatim("text", "a"); }),
               "a format has 3 characters");
}

}  // namespace
}  // namespace raftkv::resp
