// Many short lives of a group in a hostile world. A failure names its seed, which replays exactly.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/unit/raft/world.h"

namespace raftkv::raft::test {
namespace {

struct Sum {
  size_t committed = 0;
  size_t reads = 0;
  size_t remote_reads = 0;
  size_t snapshots = 0;
  size_t repairs = 0;
  size_t changes = 0;
};

// RAFT_SEED_FIRST=n begins elsewhere, for longer hunts and to replay a failure.
uint64_t first_seed() {
  const char* text = std::getenv("RAFT_SEED_FIRST");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

Sum live_through(Profile profile, size_t seeds, size_t steps) {
  Sum sum;
  for (uint64_t seed = first_seed(); seed < first_seed() + seeds; seed++) {
    World world(profile, seed);
    world.rage(steps);
    world.demand_progress();
    EXPECT_EQ(world.broken(), "") << "seed " << seed;
    if (!world.broken().empty()) break;
    sum.committed += world.committed();
    sum.reads += world.reads_granted();
    sum.remote_reads += world.remote_reads_granted();
    sum.snapshots += world.snapshots_installed();
    sum.repairs += world.logs_repaired();
    sum.changes += world.changes_finished();
  }
  return sum;
}

// A world in which nothing ever happens proves nothing.
void expect_life(const Sum& sum, size_t seeds) {
  EXPECT_GT(sum.committed, seeds * 50);
  EXPECT_GT(sum.reads, seeds * 50);
}

constexpr size_t kSeeds = 150;
constexpr size_t kSteps = 4000;

TEST(RandomWorld, LossAndDuplicatesInOrder) {
  const Profile profile{.nodes = 3, .loss = 5, .duplication = 5, .partitions = 3};
  expect_life(live_through(profile, kSeeds, kSteps), kSeeds);
}

TEST(RandomWorld, CrashesThatLoseWhatWasNotSynced) {
  const Profile profile{.nodes = 3, .loss = 1, .crashes = 10, .disk_speed = 20};
  expect_life(live_through(profile, kSeeds, kSteps), kSeeds);
}

TEST(RandomWorld, FiveNodesWithEverythingAtOnce) {
  const Profile profile{.nodes = 5,
                        .reorder = true,
                        .loss = 3,
                        .duplication = 5,
                        .crashes = 5,
                        .pauses = 4,
                        .partitions = 4,
                        .disk_speed = 30};
  expect_life(live_through(profile, kSeeds, kSteps), kSeeds);
}

TEST(RandomWorld, FourNodesWhereHalfIsNoMajority) {
  const Profile profile{
      .nodes = 4, .reorder = true, .loss = 2, .crashes = 5, .pauses = 4, .partitions = 6};
  expect_life(live_through(profile, kSeeds, kSteps), kSeeds);
}

TEST(RandomWorld, SmallWindowsAndReordering) {
  const Profile profile{.nodes = 3,
                        .reorder = true,
                        .small_windows = true,
                        .loss = 5,
                        .duplication = 10,
                        .crashes = 4,
                        .pauses = 4,
                        .partitions = 3};
  expect_life(live_through(profile, kSeeds, kSteps), kSeeds);
}

TEST(RandomWorld, LeaseReadsWithUnequalClocks) {
  const Profile profile{.nodes = 3,
                        .lease_reads = true,
                        .reorder = true,
                        .loss = 2,
                        .duplication = 3,
                        .crashes = 4,
                        .pauses = 6,
                        .partitions = 6};
  expect_life(live_through(profile, kSeeds, kSteps), kSeeds);
}

TEST(RandomWorld, SlowDisksAndStorms) {
  const Profile profile{
      .nodes = 5, .loss = 2, .crashes = 8, .pauses = 2, .partitions = 8, .disk_speed = 4};
  expect_life(live_through(profile, kSeeds, kSteps), kSeeds);
}

TEST(RandomWorld, SnapshotsAndLogsThatBeginBehindThem) {
  const Profile profile{.nodes = 3,
                        .reorder = true,
                        .small_windows = true,
                        .loss = 3,
                        .duplication = 5,
                        .crashes = 5,
                        .pauses = 4,
                        .partitions = 4,
                        .compactions = 30};
  const Sum sum = live_through(profile, kSeeds, kSteps);
  expect_life(sum, kSeeds);
  EXPECT_GT(sum.snapshots, kSeeds);
  EXPECT_GT(sum.remote_reads, kSeeds);
}

TEST(RandomWorld, DamagedLogsComeBackAndNothingAcknowledgedIsVotedAway) {
  const Profile profile{.nodes = 3,
                        .reorder = true,
                        .loss = 2,
                        .duplication = 5,
                        .crashes = 4,
                        .pauses = 3,
                        .partitions = 5,
                        .compactions = 10,
                        .log_losses = 10};
  const Sum sum = live_through(profile, kSeeds, kSteps);
  expect_life(sum, kSeeds);
  EXPECT_GT(sum.repairs, kSeeds);
}

TEST(RandomWorld, MembersComeAndGo) {
  const Profile profile{.nodes = 3,
                        .reorder = true,
                        .loss = 2,
                        .duplication = 3,
                        .crashes = 4,
                        .pauses = 3,
                        .partitions = 3,
                        .changes = 60,
                        .joiners = 3};
  const Sum sum = live_through(profile, kSeeds, kSteps);
  expect_life(sum, kSeeds);
  EXPECT_GT(sum.changes, kSeeds);
}

TEST(RandomWorld, MembersComeAndGoWithSnapshotsAndDamagedLogs) {
  const Profile profile{.nodes = 4,
                        .lease_reads = true,
                        .reorder = true,
                        .loss = 1,
                        .duplication = 3,
                        .crashes = 4,
                        .pauses = 3,
                        .partitions = 3,
                        .compactions = 30,
                        .log_losses = 4,
                        .changes = 60,
                        .joiners = 2};
  const Sum sum = live_through(profile, kSeeds, kSteps);
  expect_life(sum, kSeeds);
  EXPECT_GT(sum.changes, kSeeds);
  EXPECT_GT(sum.snapshots, kSeeds);
}

}  // namespace
}  // namespace raftkv::raft::test
