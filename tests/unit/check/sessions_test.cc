#include "client/check/sessions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/check/generator.h"
#include "tests/unit/check/kit.h"

namespace raftkv::client::check {
namespace {

using ::testing::HasSubstr;

std::string line(int client, int at, const std::string& op, const std::string& fields) {
  return R"({"key":"k","ok":true,"client":)" + std::to_string(client) + R"(,"call":)" +
         std::to_string(at) + R"(,"return":)" + std::to_string(at + 1) + R"(,"op":")" + op + "\"," +
         fields + "}\n";
}
std::string set(int client, int at, const std::string& value) {
  return line(client, at, "set", R"("value":")" + value + "\"");
}
std::string get(int client, int at, const std::string& value) {
  return line(client, at, "get", R"("value":)" + (value.empty() ? "null" : "\"" + value + "\""));
}
std::string reason(const std::string& text) {
  const auto found = check_sessions(*history_of(text));
  return found ? found->reason : "";
}

TEST(Sessions, AnotherClientMayReadWhatIsOld) {
  const std::string text = set(1, 0, "a") + set(1, 10, "b") + get(2, 20, "a");
  EXPECT_EQ(reason(text), "");
  EXPECT_FALSE(linearizable(text));
  EXPECT_EQ(reason(set(1, 0, "a") + get(2, 20, "") + get(2, 30, "a")), "");
}

TEST(Sessions, AClientReadsItsOwnWrites) {
  EXPECT_THAT(reason(set(1, 0, "a") + set(1, 10, "b") + get(1, 20, "a")),
              HasSubstr("client 1 went back in time"));
  EXPECT_THAT(reason(set(1, 0, "a") + get(1, 20, "")), HasSubstr("client 1 went back in time"));
}

TEST(Sessions, AClientDoesNotReadOlderThanItRead) {
  EXPECT_THAT(reason(set(1, 0, "a") + set(1, 10, "b") + get(2, 20, "b") + get(2, 30, "a")),
              HasSubstr("client 2 went back in time"));
  EXPECT_EQ(reason(set(1, 0, "a") + set(1, 10, "b") + get(2, 20, "a") + get(2, 30, "b")), "");
}

TEST(Sessions, TwoClientsMayNotSeeConcurrentWritesInDifferentOrder) {
  EXPECT_NE(reason(set(1, 0, "a") + set(2, 0, "b") + get(3, 20, "a") + get(3, 30, "b") +
                   get(4, 20, "b") + get(4, 30, "a")),
            "");
}

TEST(Sessions, AValueIsReadOnlyOnceItWasWritten) {
  EXPECT_THAT(reason(set(1, 0, "a") + get(2, 20, "z")), HasSubstr("nothing ever wrote"));
  EXPECT_THAT(reason(get(2, 0, "a") + set(1, 10, "a")), HasSubstr("only written later"));
}

TEST(Sessions, WhatOnlyGrowsDoesNotShrinkForAClient) {
  const std::string add = line(1, 0, "incr", R"("result":1)") + line(1, 2, "incr", R"("result":2)");
  EXPECT_EQ(reason(add + get(2, 20, "1")), "");
  EXPECT_THAT(reason(add + get(1, 20, "1")), HasSubstr("did not read its own write"));
  EXPECT_THAT(reason(add + get(2, 20, "2") + get(2, 30, "1")), HasSubstr("went back in time"));
  EXPECT_THAT(reason(add + get(2, 20, "3")), HasSubstr("at most 2"));
  const auto push = [](int at, const char* value, int length) {
    return line(1, at, "rpush",
                std::string(R"("value":")") + value + R"(","result":)" + std::to_string(length));
  };
  const auto range = [](int at, const char* seen) {
    return line(2, at, "lrange", std::string(R"("value":)") + seen);
  };
  const std::string pushed = push(0, "a", 1) + push(2, "b", 2);
  EXPECT_EQ(reason(pushed + range(20, R"(["a"])") + range(22, R"(["a","b"])")), "");
  EXPECT_THAT(reason(pushed + range(20, R"(["a","b"])") + range(22, R"(["a"])")),
              HasSubstr("went back in time"));
  EXPECT_THAT(reason(pushed + range(20, R"(["b"])") + range(22, R"(["a","b"])")),
              HasSubstr("neither goes on from the other"));
  EXPECT_THAT(reason(pushed + range(20, R"(["a","b","b"])")), HasSubstr("more often"));
}

TEST(Sessions, ALinearizableStoreKeepsThem) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    for (const auto& ops : {std::vector<std::string>{"set", "get", "cas", "del"},
                            {"incr", "get"},
                            {"rpush", "lrange"},
                            {"append", "get"},
                            {"set", "get"}}) {
      GeneratorOptions options;
      options.seed = seed;
      options.operations = 80;
      options.ops = ops;
      options.values = 0;
      options.unknown = 0.1;
      const std::string text = text_of(generate(options));
      ASSERT_EQ(reason(text), "") << text;
    }
  }
}

}  // namespace
}  // namespace raftkv::client::check
