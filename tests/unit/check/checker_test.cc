// Histories made by hand, and the words in which their violations are told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/check/report.h"
#include "client/check/words.h"
#include "tests/unit/check/generator.h"
#include "tests/unit/check/kit.h"

namespace raftkv::client::check {
namespace {

using ::testing::HasSubstr;

// client, call, return, then the fields of the command.
std::string line(int client, int call, int returned, const std::string& fields) {
  return R"({"client":)" + std::to_string(client) + R"(,"key":"k","ok":true,"call":)" +
         std::to_string(call) + R"(,"return":)" + std::to_string(returned) + "," + fields + "}\n";
}
std::string unknown(int client, int call, const std::string& fields) {
  return R"({"client":)" + std::to_string(client) + R"(,"key":"k","ok":"unknown","call":)" +
         std::to_string(call) + "," + fields + "}\n";
}
std::string set(const std::string& value) {
  return R"("op":"set","value":")" + value + "\"";
}
std::string get(const std::string& value) {
  return R"("op":"get","value":)" + (value.empty() ? "null" : "\"" + value + "\"");
}
std::string incr(int result) {
  return R"("op":"incr","result":)" + std::to_string(result);
}
std::string cas(const std::string& from, const std::string& to, bool swapped) {
  return R"("op":"cas","expect":")" + from + R"(","value":")" + to + R"(","result":)" +
         (swapped ? "true" : "false");
}

struct Told {
  std::string reason;
  size_t core = 0;
};
Told violation_of(const std::string& text) {
  const auto history = history_of(text);
  const CheckReport report = check_linearizable(*history, {});
  if (report.violations.empty()) return {"none", 0};
  EXPECT_TRUE(report.violations[0].minimal);
  EXPECT_THAT(html_page("FAIL", &report.violations[0]), HasSubstr("</svg>"));
  return {explain(report.violations[0]), report.violations[0].core.size()};
}

TEST(Checker, AStaleReadIsShownWithTheThreeOperationsItTakes) {
  const Told told =
      violation_of(line(1, 0, 1, set("x")) + line(1, 2, 3, set("a")) + line(2, 4, 5, get("a")) +
                   line(1, 6, 7, set("b")) + line(3, 10, 11, get("a")) + line(2, 12, 13, get("b")) +
                   line(1, 14, 15, set("c")));
  EXPECT_EQ(told.core, 3);
  EXPECT_EQ(
      told.reason,
      "client 3 read 'a' after client 1's write of 'b' had returned, and nothing wrote 'a' in "
      "between: a stale read");
}

TEST(Checker, AReadMayReturnEitherValueWhileAWriteIsOpen) {
  const std::string writes = line(1, 0, 1, set("a")) + line(1, 2, 10, set("b"));
  EXPECT_TRUE(linearizable(writes + line(2, 3, 4, get("a")) + line(2, 5, 6, get("b"))));
  EXPECT_FALSE(linearizable(writes + line(2, 3, 4, get("b")) + line(2, 5, 6, get("a"))));
}

TEST(Checker, EventsAtOneInstantOverlap) {
  EXPECT_TRUE(linearizable(line(1, 0, 5, set("a")) + line(2, 5, 6, get(""))));
  EXPECT_FALSE(linearizable(line(1, 0, 5, set("a")) + line(2, 6, 7, get(""))));
}

TEST(Checker, ALostWriteIsToldAsSuch) {
  const Told told = violation_of(line(1, 0, 1, set("a")) + line(2, 2, 3, get("")));
  EXPECT_EQ(told.core, 2);
  EXPECT_THAT(told.reason, HasSubstr("found no such key after client 1's write of 'a'"));
}

TEST(Checker, AValueFromNowhereNeedsOnlyTheReadToShow) {
  const Told told = violation_of(line(1, 0, 1, set("a")) + line(2, 2, 3, get("z")));
  EXPECT_EQ(told.core, 1);
  EXPECT_THAT(told.reason, HasSubstr("client 2 read 'z', which nothing ever wrote"));
}

TEST(Checker, AFailedWriteHasNoEffect) {
  const std::string failed =
      R"({"client":7,"key":"k","op":"set","value":"f","ok":false,"call":0,"return":1})"
      "\n";
  EXPECT_TRUE(linearizable(failed + line(2, 2, 3, get(""))));
  EXPECT_THAT(violation_of(failed + line(2, 2, 3, get("f"))).reason,
              HasSubstr("only client 7 tried to write, and that was answered as failed"));
}

TEST(Checker, TwoEqualCountsAreALostUpdate) {
  const Told told = violation_of(line(1, 0, 1, incr(1)) + line(1, 2, 5, incr(2)) +
                                 line(2, 3, 6, incr(2)) + line(2, 7, 8, get("2")));
  EXPECT_EQ(told.core, 2);
  EXPECT_THAT(told.reason, HasSubstr("client 1 and client 2 were both told 2"));
}

TEST(Checker, AnUnknownIncrementCountsOnceOrNever) {
  const std::string start = line(1, 0, 1, incr(1)) + unknown(2, 2, R"("op":"incr")");
  EXPECT_TRUE(linearizable(start + line(1, 3, 4, get("1"))));
  EXPECT_TRUE(linearizable(start + line(1, 3, 4, get("2"))));
  EXPECT_TRUE(linearizable(start + line(1, 3, 4, get("1")) + line(1, 500, 600, get("2"))));
  EXPECT_FALSE(linearizable(start + line(1, 3, 4, get("2")) + line(1, 500, 600, get("1"))));
  EXPECT_THAT(violation_of(start + line(1, 3, 4, get("3"))).reason,
              HasSubstr("make at most 2: one was applied more than once"));
}

TEST(Checker, AnUnknownWriteMayTakeEffectLateButNotTwiceNorBeforeItsCall) {
  const std::string start = unknown(2, 5, set("u")) + line(1, 6, 7, set("a"));
  EXPECT_TRUE(linearizable(start + line(3, 8, 9, get("a")) + line(3, 100, 101, get("u"))));
  EXPECT_FALSE(linearizable(start + line(3, 8, 9, get("u")) + line(1, 10, 11, set("b")) +
                            line(3, 12, 13, get("u"))));
  EXPECT_THAT(violation_of(unknown(2, 5, set("u")) + line(3, 1, 2, get("u"))).reason,
              HasSubstr("before its write was even called"));
}

TEST(Checker, OfTwoSwapsFromOneValueOnlyOneCanSucceed) {
  const std::string start = line(1, 0, 1, set("a"));
  EXPECT_TRUE(linearizable(start + line(2, 2, 5, cas("a", "b", true)) +
                           line(3, 3, 6, cas("a", "c", false))));
  const Told told =
      violation_of(start + line(2, 2, 5, cas("a", "b", true)) + line(3, 3, 6, cas("a", "c", true)));
  EXPECT_THAT(told.reason, HasSubstr("client 2 and client 3 both swapped 'a'"));
}

TEST(Checker, ADeleteTellsWhetherSomethingWasThere) {
  const std::string del = R"("op":"del","result":)";
  EXPECT_TRUE(linearizable(line(1, 0, 1, set("a")) + line(1, 2, 3, del + "1") +
                           line(1, 4, 5, del + "0") + line(1, 6, 7, get(""))));
  EXPECT_FALSE(linearizable(line(1, 0, 1, set("a")) + line(1, 2, 3, del + "0")));
  EXPECT_FALSE(linearizable(line(1, 2, 3, del + "1")));
}

TEST(Checker, AListKeepsItsOrder) {
  const std::string pushes = line(1, 0, 9, R"("op":"rpush","value":"a","result":null)") +
                             line(2, 0, 9, R"("op":"rpush","value":"b","result":null)");
  const auto range = [](int at, const char* seen) {
    return line(3, at, at + 1, std::string(R"("op":"lrange","value":)") + seen);
  };
  EXPECT_TRUE(linearizable(pushes + range(10, R"(["b","a"])")));
  EXPECT_FALSE(linearizable(pushes + range(10, R"(["b","a"])") + range(12, R"(["a","b"])")));
  EXPECT_THAT(violation_of(pushes + range(10, R"(["b","a"])") + range(12, R"(["a","b"])")).reason,
              HasSubstr("does not go on from what client 3 had seen before"));
  EXPECT_THAT(violation_of(pushes + range(10, R"(["a","b","a"])")).reason,
              HasSubstr("saw 'a' 2 times, but it was pushed once: applied twice"));
  EXPECT_THAT(violation_of(pushes + range(10, R"(["a"])")).reason,
              HasSubstr("did not see 'b', which client 2 had added before"));
}

TEST(Checker, ASetLosesNoMember) {
  const std::string add = line(1, 0, 1, R"("op":"sadd","value":"a","result":1)") +
                          line(1, 1, 1, R"("op":"sadd","value":"b","result":1)");
  EXPECT_TRUE(linearizable(add + line(2, 2, 3, R"("op":"smembers","value":["b","a"])")));
  EXPECT_THAT(violation_of(add + line(2, 2, 3, R"("op":"smembers","result":["b"])")).reason,
              HasSubstr("did not see 'a'"));
}

TEST(Checker, ATransactionIsNotTorn) {
  const auto txn = [](int client, int call, int returned, const std::string& ops) {
    return R"({"client":)" + std::to_string(client) + R"(,"op":"txn","ok":true,"call":)" +
           std::to_string(call) + R"(,"return":)" + std::to_string(returned) + R"(,"ops":[)" + ops +
           "]}\n";
  };
  const std::string move = txn(1, 0, 9,
                               R"({"op":"incr","key":"x","value":-5,"result":-5},)"
                               R"({"op":"incr","key":"y","value":5,"result":5})");
  const auto look = [&](const char* x, const char* y) {
    return txn(2, 3, 4,
               std::string(R"({"op":"get","key":"x","value":)") + x +
                   R"(},{"op":"get","key":"y","value":)" + y + "}");
  };
  EXPECT_TRUE(linearizable(move + look("null", "null")));
  EXPECT_TRUE(linearizable(move + look("-5", "5")));
  EXPECT_FALSE(linearizable(move + look("-5", "null")));
  // No order whatever of the transfer explains half of it.
  EXPECT_EQ(violation_of(move + look("-5", "null")).core, 1);
}

TEST(Checker, AClientMayPipeline) {
  EXPECT_TRUE(
      linearizable(line(1, 0, 5, set("a")) + line(1, 1, 6, get("")) + line(1, 2, 7, get("a"))));
}

TEST(Checker, ALimitEndsUndecidedNeverWithAPass) {
  GeneratorOptions options;
  options.operations = 5000;
  options.clients = 20;
  options.ops = {"incr", "get", "set"};
  const auto history = history_of(text_of(generate(options)));
  EXPECT_EQ(check_linearizable(*history, {.steps_max = 100}).verdict, Verdict::kUndecided);
  EXPECT_EQ(check_linearizable(*history, {.memory_bytes_max = 1000}).verdict, Verdict::kUndecided);
  EXPECT_EQ(check_linearizable(*history, {.deadline = {}}).verdict, Verdict::kUndecided);
  EXPECT_EQ(check_linearizable(*history, {}).verdict, Verdict::kLinearizable);
}

// What is left after shrinking contradicts itself, and nothing in it is idle: with any one of it
// free to have happened whenever, or as a read gone, a valid order exists.
TEST(Checker, WhatIsShownIsAViolationAndMinimal) {
  std::mt19937_64 random(3);
  int seen = 0;
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    GeneratorOptions options;
    options.seed = seed;
    options.operations = 14;
    options.unknown = 0.15;
    options.values = seed % 2 == 0 ? 0 : 3;
    options.ops = seed % 3 == 0   ? std::vector<std::string>{"incr", "get"}
                  : seed % 3 == 1 ? std::vector<std::string>{"set", "get", "get", "cas", "del"}
                                  : std::vector<std::string>{"rpush", "lrange"};
    const auto history =
        history_of(text_of(with_a_lie(with_a_lie(generate(options), random), random)));
    const CheckReport report = check_linearizable(*history, {});
    if (report.violations.empty()) continue;
    ++seen;
    const Violation& shown = report.violations[0];
    EXPECT_TRUE(shown.minimal);
    const Problem core{.history = history.get(), .keys = shown.whole.keys, .entries = shown.core};
    EXPECT_EQ(search(core, {}).verdict, Verdict::kViolation) << seed;
    const Problem until = prefix(shown.whole, shown.at);
    EXPECT_EQ(search(until, {}).verdict, Verdict::kViolation) << seed;
    EXPECT_EQ(search(prefix(shown.whole, shown.at - 1), {}).verdict, Verdict::kLinearizable)
        << seed;
    for (size_t freed = 0; freed < shown.core.size(); ++freed) {
      Problem rest{.history = history.get(), .keys = shown.whole.keys, .entries = {}};
      for (Entry entry : until.entries) {
        bool kept = false;
        for (size_t i = 0; i < shown.core.size(); ++i) {
          kept = kept || (i != freed && shown.core[i].operation == entry.operation);
        }
        if (!kept) {
          entry.call = kAlways;
          entry.returned = kNever;
          entry.optional = true;
          entry.check_reply = false;
        }
        rest.entries.push_back(entry);
      }
      std::stable_sort(rest.entries.begin(), rest.entries.end(),
                       [](const Entry& a, const Entry& b) { return a.call < b.call; });
      EXPECT_EQ(search(rest, {}).verdict, Verdict::kLinearizable) << seed << " " << freed;
    }
  }
  EXPECT_GT(seen, 80);
}

}  // namespace
}  // namespace raftkv::client::check
