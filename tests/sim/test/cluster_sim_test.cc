// Whole clusters under drawn faults; a failing seed replays exactly.
//
//   RAFTKV_SIM_START, RAFTKV_SIM_SEEDS   other seeds than the fixed ones, and how many (1, 500)
//   RAFTKV_SIM_DAY, RAFTKV_SIM_DAILY     another day's seeds than today's, and how many (days since
//                                        1970, 500)
//
// Under a sanitizer, where a seed takes many times as long: 100 and 20.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/sim/sim_totals.h"

namespace raftkv::sim {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kFixedSeeds = 100;
constexpr uint64_t kDailySeeds = 20;
#else
constexpr uint64_t kFixedSeeds = 500;
constexpr uint64_t kDailySeeds = 500;
#endif

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

uint64_t today() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::hours>(now).count() / 24);
}

uint64_t running_seed = 0;

// A broken check ends the process: whoever reads the log then wants to know where.
void tell_seed(int /*signal*/) {
  fmt::print(stderr, "in seed {}; replay with: raftkv-sim --seed {} --verbose\n", running_seed,
             running_seed);
}

// Runs the seeds one after the other; what went wrong in the first that failed, empty if none did.
std::string run_seeds(uint64_t start, uint64_t seeds, SimCluster::Totals& sum) {
  std::signal(SIGABRT, tell_seed);
  for (uint64_t seed = start; seed < start + seeds; ++seed) {
    running_seed = seed;
    Random random(seed);
    SimCluster cluster(seed, Profile::draw(random));
    const std::string failure = cluster.run();
    if (!failure.empty()) {
      return fmt::format("seed {}: {}\nreplay with: raftkv-sim --seed {} --verbose", seed, failure,
                         seed);
    }
    add(sum, cluster.totals());
  }
  return "";
}

TEST(ClusterSim, ACalmClusterElectsOneLeaderAndAnswersEverything) {
  Profile calm;
  calm.duration_us = 3'000'000;
  SimCluster cluster(1, calm);
  EXPECT_EQ(cluster.run(), "");
  EXPECT_EQ(cluster.totals().leaders, 1u);
  EXPECT_EQ(cluster.totals().unknown, 0u);
  EXPECT_GT(cluster.totals().acknowledged, 500u);
}

TEST(ClusterSim, TheSameSeedGivesTheSameRun) {
  const auto run = [](uint64_t seed) {
    Random random(seed);
    SimCluster cluster(seed, Profile::draw(random));
    EXPECT_EQ(cluster.run(), "");
    return to_text(cluster.totals());
  };
  // What ran before leaves another heap behind: no address may decide anything.
  constexpr uint64_t kSeeds = 20;
  std::vector<std::string> first;
  for (uint64_t seed = 90; seed < 90 + kSeeds; ++seed) first.push_back(run(seed));
  for (uint64_t seed = 90 + kSeeds; seed-- > 90;) EXPECT_EQ(run(seed), first[seed - 90]) << seed;
  EXPECT_NE(first[0], first[1]);
}

TEST(ClusterSim, NothingIsLostAndNothingIsStaleUnderFaults) {
  const uint64_t start = from_environment("RAFTKV_SIM_START", 1);
  const uint64_t seeds = from_environment("RAFTKV_SIM_SEEDS", kFixedSeeds);
  fmt::print("{} seeds from {} on\n", seeds, start);
  std::fflush(stdout);
  SimCluster::Totals sum;
  ASSERT_EQ(run_seeds(start, seeds, sum), "");
  fmt::print("{}", to_text(sum));
  // Faults that never happen prove nothing.
  if (seeds < 500) return;
  EXPECT_GT(sum.unknown, 10u);
  EXPECT_GT(sum.leaders, 100u);
  EXPECT_GT(sum.judged, 10'000u);
  EXPECT_LT(sum.undecided, sum.judged / 1000);
  EXPECT_GT(sum.once_retries, 100u);
  EXPECT_GT(sum.once_duplicates, 100u);
  EXPECT_GT(sum.snapshots, 1000u);
  EXPECT_GT(sum.installs, 50u);
  EXPECT_GT(sum.log_cuts, 1000u);
  EXPECT_GT(sum.changes, 50u);
  EXPECT_GT(sum.digest_checks, 1000u);
  for (const uint64_t faults : {sum.lost,       sum.duplicated, sum.reordered,
                                sum.cut_off,    sum.crashes,    sum.crashes_at_write,
                                sum.partitions, sum.one_way,    sum.hunts,
                                sum.forsakings, sum.pauses,     sum.clock_jumps,
                                sum.full_disks, sum.disk_hangs, sum.failed_syncs,
                                sum.transfers,  sum.late,       sum.coups,
                                sum.stuns,      sum.returns}) {
    EXPECT_GT(faults, 20u);
  }
  for (const uint64_t rare :
       {sum.repairs, sum.flipped_bits, sum.lost_files, sum.flipped_files, sum.wipes}) {
    EXPECT_GT(rare, 2u);
  }
}

// New seeds each day, far from the fixed ones and from those of other days.
TEST(ClusterSim, TodaysSeedsHoldAsWell) {
  const uint64_t day = from_environment("RAFTKV_SIM_DAY", today());
  const uint64_t seeds = from_environment("RAFTKV_SIM_DAILY", kDailySeeds);
  const uint64_t start = day * 1'000'000;
  fmt::print("{} seeds of day {}: raftkv-sim --seeds {} --start {}\n", seeds, day, seeds, start);
  std::fflush(stdout);
  SimCluster::Totals sum;
  ASSERT_EQ(run_seeds(start, seeds, sum), "");
  fmt::print("{}", to_text(sum));
}

}  // namespace
}  // namespace raftkv::sim
