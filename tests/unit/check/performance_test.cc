// Modest sizes, bounds that only a blow-up breaks.
#include <gtest/gtest.h>

#include <chrono>

#include "tests/unit/check/generator.h"
#include "tests/unit/check/kit.h"

namespace raftkv::client::check {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr auto kPatience = seconds(60);

void expect_pass_in_time(const GeneratorOptions& options) {
  const auto history = history_of(text_of(generate(options)));
  const auto start = steady_clock::now();
  const CheckReport report = check_linearizable(*history, {.deadline = start + kPatience});
  const std::chrono::duration<double> took = steady_clock::now() - start;
  EXPECT_EQ(report.verdict, Verdict::kLinearizable) << report.limit;
  std::printf("%d operations in %.2f s\n", options.operations, took.count());
}

GeneratorOptions chaos(std::vector<std::string> ops, int keys, int values) {
  GeneratorOptions options;
  options.clients = 40;
  options.operations = 30'000;
  options.keys = keys;
  options.ops = std::move(ops);
  options.values = values;
  options.unknown = 0.01;
  options.failed = 0.01;
  return options;
}

TEST(Performance, ManyKeys) {
  expect_pass_in_time(chaos({"set", "get", "get", "cas", "incr", "del"}, 2000, 0));
}
TEST(Performance, AHotRegisterOfUniqueValues) {
  expect_pass_in_time(chaos({"set", "get"}, 1, 0));
}
TEST(Performance, AHotRegisterWithCasAndDel) {
  expect_pass_in_time(chaos({"set", "get", "get", "cas", "del"}, 1, 0));
}
TEST(Performance, AHotCounter) {
  expect_pass_in_time(chaos({"incr", "incr", "get"}, 1, 0));
}
TEST(Performance, HotLists) {
  expect_pass_in_time(chaos({"rpush", "lrange"}, 20, 0));
}
TEST(Performance, Transfers) {
  GeneratorOptions options = chaos({"incr", "txn", "txn", "get"}, 10, 0);
  options.unknown = 0;
  expect_pass_in_time(options);
}

}  // namespace
}  // namespace raftkv::client::check
