// Whole clusters under drawn faults. RAFTKV_SIM_START and RAFTKV_SIM_SEEDS choose other seeds and
// more of them; a failing seed replays exactly.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/sim/sim_totals.h"

namespace raftkv::sim {
namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
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
    return std::pair(cluster.totals().messages, cluster.totals().acknowledged);
  };
  EXPECT_EQ(run(42), run(42));
  EXPECT_NE(run(42), run(43));
}

TEST(ClusterSim, NothingIsLostAndNothingIsStaleUnderFaults) {
  const uint64_t start = from_environment("RAFTKV_SIM_START", 1);
  const uint64_t seeds = from_environment("RAFTKV_SIM_SEEDS", 300);
  SimCluster::Totals sum;
  for (uint64_t seed = start; seed < start + seeds; ++seed) {
    Random random(seed);
    SimCluster cluster(seed, Profile::draw(random));
    const std::string failure = cluster.run();
    ASSERT_EQ(failure, "") << "seed " << seed << "; replay with RAFTKV_SIM_START=" << seed
                           << " RAFTKV_SIM_SEEDS=1 sim_test --gtest_filter='*UnderFaults'";
    add(sum, cluster.totals());
  }
  fmt::print("{} seeds: {}", seeds, to_text(sum));
  // Faults that never happen prove nothing.
  if (seeds >= 50) {
    EXPECT_GT(sum.crashes, 50u);
    EXPECT_GT(sum.partitions, 50u);
    EXPECT_GT(sum.unknown, 10u);
    EXPECT_GT(sum.leaders, 100u);
    EXPECT_GT(sum.once_retries, 100u);
    EXPECT_GT(sum.once_duplicates, 100u);
    EXPECT_GT(sum.snapshots, 1000u);
    EXPECT_GT(sum.installs, 50u);
    EXPECT_GT(sum.log_cuts, 1000u);
    EXPECT_GT(sum.changes, 50u);
    EXPECT_GT(sum.repairs, 20u);
    EXPECT_GT(sum.damaged_files, 3u);
    EXPECT_GT(sum.full_disks, 50u);
    EXPECT_GT(sum.digest_checks, 1000u);
  }
}

}  // namespace
}  // namespace raftkv::sim
