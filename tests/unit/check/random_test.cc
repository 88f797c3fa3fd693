// The checker against trying all orders, on thousands of small histories.
#include <gtest/gtest.h>

#include "tests/unit/check/generator.h"
#include "tests/unit/check/kit.h"

namespace raftkv::client::check {
namespace {

struct Mix {
  const char* name;
  std::vector<std::string> ops;
  int keys = 1;
  int values = 3;
};

const Mix kMixes[] = {
    {"Register", {"set", "get", "get"}},
    {"UniqueRegister", {"set", "get", "get"}, 1, 0},
    {"RegisterWithCas", {"set", "get", "cas", "cas", "del"}},
    {"UniqueWithCasAndDel", {"set", "get", "get", "cas", "del"}, 1, 0},
    {"Counter", {"incr", "incr", "get"}},
    {"CounterAndRegister", {"incr", "get", "set", "del", "cas"}},
    {"Appended", {"append", "append", "get"}},
    {"AppendedAndSet", {"append", "get", "set", "del"}},
    {"List", {"rpush", "rpush", "lrange"}, 1, 0},
    {"ListOfFewValues", {"rpush", "rpush", "lrange", "del"}, 1, 2},
    {"Set", {"sadd", "srem", "smembers"}},
    {"Everything", {"set", "get", "del", "cas", "incr", "append", "rpush", "lrange", "sadd"}},
    {"Transactions", {"set", "get", "incr", "txn", "txn"}, 3},
    {"TransactionsOfEverything", {"set", "get", "del", "incr", "rpush", "lrange", "txn"}, 2},
    {"TransactionsOnOneKey", {"rpush", "lrange", "txn", "txn"}, 1, 0},
};

class Random : public ::testing::TestWithParam<Mix> {
 protected:
  static GeneratorOptions options(uint64_t seed, int operations) {
    GeneratorOptions result;
    result.seed = seed;
    result.clients = 2 + static_cast<int>(seed % 3);
    result.operations = operations;
    result.ops = GetParam().ops;
    result.keys = GetParam().keys;
    result.values = GetParam().values;
    result.unknown = seed % 4 == 0 ? 0 : 0.25;
    result.failed = seed % 5 == 0 ? 0.2 : 0;
    return result;
  }
};

TEST_P(Random, AHistoryOfALinearizableStorePasses) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    const std::string text = text_of(generate(options(seed, 60)));
    ASSERT_TRUE(linearizable(text)) << "seed " << seed << "\n" << text;
  }
}

TEST_P(Random, TheVerdictIsThatOfTryingAllOrders) {
  std::mt19937_64 random(7);
  int violations = 0;
  for (uint64_t seed = 1; seed <= 700; ++seed) {
    std::vector<Json> lines = generate(options(seed, 5 + static_cast<int>(seed % 3)));
    for (uint64_t lies = seed % 3; lies > 0; --lies) lines = with_a_lie(std::move(lines), random);
    const bool expected = brute_force_linearizable(lines);
    violations += expected ? 0 : 1;
    ASSERT_EQ(linearizable(text_of(lines)), expected) << "seed " << seed << "\n" << text_of(lines);
  }
  // Both answers were asked for.
  EXPECT_GT(violations, 70);
  EXPECT_LT(violations, 630);
}

INSTANTIATE_TEST_SUITE_P(Mixes, Random, ::testing::ValuesIn(kMixes),
                         [](const auto& mix) { return mix.param.name; });

}  // namespace
}  // namespace raftkv::client::check
