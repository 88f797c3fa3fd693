#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "client/connection.h"
#include "tests/unit/client/cli_harness.h"
#include "tests/unit/client/fake_node.h"

namespace raftkv::client {
namespace {

using namespace std::chrono_literals;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using Json = nlohmann::json;

CliRun bench(const FakeNode& node, Args more) {
  more.insert(more.begin(), {"bench", "--nodes", node.address().to_string()});
  return cli(more);
}

Answer serve(const Args& args) {
  return args.at(0) == "GET" ? text("$-1") : ok();
}

TEST(CliBench, PrintsOneLineOfFigures) {
  FakeNode node(serve);
  const CliRun run = bench(node, {"--n", "50"});
  EXPECT_EQ(run.exit_code, kExitOk);
  EXPECT_THAT(run.out,
              ContainsRegex("^writes=50 throughput=[0-9]+ops/sec p50=[0-9]+\\.[0-9][0-9]ms "
                            "p99=[0-9]+\\.[0-9][0-9]ms\n$"));
  EXPECT_EQ(node.requests().size(), 50U);
}

TEST(CliBench, DoesExactlyAsManyOperationsWhateverTheClientsAndTheirBatches) {
  FakeNode node(serve);
  const CliRun run = bench(node, {"--n", "1003", "--clients", "7", "--pipeline", "16"});
  EXPECT_THAT(run.out, HasSubstr("writes=1003 "));
  EXPECT_EQ(node.requests().size(), 1003U);
  EXPECT_EQ(node.connections(), 7U);
}

TEST(CliBench, SpreadsItsClientsOverTheThreads) {
  FakeNode node(serve);
  for (const char* threads : {"1", "3", "50"}) {
    const CliRun run = bench(node, {"--n", "203", "--clients", "7", "--threads", threads});
    EXPECT_THAT(run.out, HasSubstr("writes=203 ")) << threads;
  }
  EXPECT_EQ(node.connections(), 21U);
}

TEST(CliBench, WritesValuesOfTheGivenSizeToKeysOfTheGivenSpace) {
  FakeNode node(serve);
  bench(node, {"--n", "200", "--value_size", "100", "--keyspace", "10"});
  std::set<std::string> keys;
  for (const Args& request : node.requests()) {
    ASSERT_EQ(request.size(), 3U);
    EXPECT_EQ(request[2].size(), 100U);
    keys.insert(request[1]);
  }
  EXPECT_EQ(keys.size(), 10U);
}

TEST(CliBench, CountsReadsApart) {
  FakeNode node(serve);
  const Json mixed = Json::parse(bench(node, {"--n", "1000", "--read_share", "0.5", "--json"}).out);
  EXPECT_EQ(mixed["writes"].get<int>() + mixed["reads"].get<int>(), 1000);
  EXPECT_GT(mixed["reads"], 300);
  EXPECT_LT(mixed["reads"], 700);
  EXPECT_THAT(bench(node, {"--n", "10", "--read_share", "1"}).out, HasSubstr("writes=0 "));
  EXPECT_THAT(bench(node, {"--n", "10", "--read_share", "1"}).out, HasSubstr(" reads=10\n"));
}

TEST(CliBench, CountsErrorsAndUnknownOutcomesAsWhatTheyAre) {
  std::atomic<int> number = 0;
  FakeNode node([&](const Args&) {
    const int n = ++number;
    if (n % 10 == 0) return hang_up();
    if (n % 10 == 5) return text("-OOM command not allowed");
    return ok();
  });
  const CliRun run = bench(node, {"--n", "100"});
  EXPECT_EQ(run.exit_code, kExitOk);
  EXPECT_THAT(run.out, HasSubstr("writes=80 "));
  EXPECT_THAT(run.out, HasSubstr(" errors=10 unknown=10\n"));
  EXPECT_THAT(run.err, HasSubstr("the first of 20 failures: OOM"));
}

TEST(CliBench, GoesOnAtTheNextLeader) {
  FakeNode next(serve);
  std::atomic<int> number = 0;
  FakeNode first([&](const Args&) { return ++number <= 30 ? ok() : moved_to(next.address()); });
  const CliRun run = bench(first, {"--n", "100", "--clients", "4"});
  EXPECT_THAT(run.out, HasSubstr("writes=100 "));
  EXPECT_EQ(next.requests().size(), 70U);
}

TEST(CliBench, KeepsTheRateThatWasAskedFor) {
  FakeNode node(serve);
  const CliRun run =
      bench(node, {"--n", "200", "--clients", "4", "--pipeline", "5", "--rate", "400", "--json"});
  // Forty batches, one each 12.5 ms; how much later they end is the machine's affair.
  EXPECT_GE(Json::parse(run.out).at("elapsed_s").get<double>(), 39 * 0.0125);
  EXPECT_EQ(node.requests().size(), 200U);
}

TEST(CliBench, AtARateALatencyCountsFromWhenTheBatchWasDue) {
  std::atomic<int> asked = 0;
  FakeNode node([&asked](const Args&) {
    if (asked++ == 0) std::this_thread::sleep_for(200ms);
    return ok();
  });
  const CliRun run = bench(node, {"--n", "20", "--rate", "100", "--json"});
  // All but the last few were due while the first one was waited for.
  EXPECT_GE(Json::parse(run.out).at("p50_ms").get<double>(), 50.0);
}

// The first answer takes long, and what waits behind it is late as well.
TEST(CliBench, LatenciesOfTheWarmUpAreNotCounted) {
  std::atomic<int> asked = 0;
  FakeNode node([&asked](const Args&) {
    if (asked++ == 0) std::this_thread::sleep_for(500ms);
    return ok();
  });
  const CliRun run =
      bench(node, {"--duration_s", "2", "--warmup_s", "1", "--rate", "100", "--json"});
  const Json figures = Json::parse(run.out);
  EXPECT_GT(figures.at("writes").get<int>(), 150) << "they are done all the same";
  EXPECT_GT(figures.at("max_ms").get<double>(), 0.0);
  EXPECT_LT(figures.at("max_ms").get<double>(), 400.0);
}

TEST(CliBench, RefusesToWarmUpForAsLongAsItRuns) {
  FakeNode node(serve);
  const CliRun run = bench(node, {"--duration_s", "1", "--warmup_s", "1"});
  EXPECT_EQ(run.exit_code, kExitUsage);
  EXPECT_THAT(run.err, HasSubstr("give a --duration_s that is longer than --warmup_s"));
  EXPECT_EQ(node.requests().size(), 0U);
}

TEST(CliBench, RefusesToReadBackWhatIncrWrote) {
  FakeNode node(serve);
  const CliRun run = bench(node, {"--n", "50", "--verify", "--incr"});
  EXPECT_EQ(run.exit_code, kExitUsage);
  EXPECT_THAT(run.err, HasSubstr("give one of --verify and --incr"));
  EXPECT_EQ(node.requests().size(), 0U);
}

TEST(CliBench, StopsAfterItsDuration) {
  FakeNode node(serve);
  const auto start = Clock::now();
  const CliRun run = bench(node, {"--duration_s", "1", "--clients", "2"});
  EXPECT_EQ(run.exit_code, kExitOk);
  EXPECT_GE(Clock::now() - start, 1s);
  EXPECT_LT(Clock::now() - start, 3s);
}

TEST(CliBench, StopsAlsoBetweenTwoBatchesThatAreFarApart) {
  FakeNode node(serve);
  const auto start = Clock::now();
  const CliRun run = bench(node, {"--duration_s", "1", "--rate", "1", "--pipeline", "60"});
  EXPECT_LT(Clock::now() - start, 30s);
  EXPECT_THAT(run.out, HasSubstr("writes=60 "));
}

TEST(CliBench, GivesUpWhenNothingSucceedsAnyMore) {
  const ClosedPort nobody;
  const auto start = Clock::now();
  const CliRun run = cli({"bench", "--nodes", nobody.address().to_string(), "--n", "1000000",
                          "--timeout_ms", "200", "--patience_s", "1"});
  EXPECT_LT(Clock::now() - start, 4s);
  EXPECT_EQ(run.exit_code, kExitFailed);
  EXPECT_THAT(run.out, HasSubstr("writes=0 throughput=0ops/sec p50=0.00ms p99=0.00ms errors="));
  EXPECT_THAT(run.err, HasSubstr("stopped early"));
  EXPECT_THAT(run.err, HasSubstr("Connection refused"));
}

}  // namespace
}  // namespace raftkv::client
