// How much of the loop's time, and of the disk's, work that can wait may take.
#include "server/replica/slice_pace.h"

#include <gtest/gtest.h>

#include "server/replica/snapshot_keeper.h"

namespace raftkv::server {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

TEST(SlicePace, WhileOthersAreBusyATenthOfTheTimeIsItsOwn) {
  SlicePace pace(500);
  pace.ended(10'000);
  EXPECT_EQ(pace.slice_us(10'900), 100U);
  EXPECT_EQ(pace.slice_us(11'800), 200U);
}

TEST(SlicePace, AnIdleLoopGetsOn) {
  SlicePace pace(500);
  pace.ended(10'000);
  EXPECT_EQ(pace.slice_us(10'001), 20U);
}

TEST(SlicePace, ALongPauseMakesNoLongerSliceThanTheMost) {
  SlicePace pace(500);
  EXPECT_EQ(pace.slice_us(1'000'000), 500U);
  pace.ended(1'000'000);
  EXPECT_EQ(pace.slice_us(9'000'000), 500U);
  EXPECT_EQ(SlicePace(0).slice_us(9'000'000), 0U);
}

TEST(SlicePace, AClockThatGoesBackIsNoTime) {
  SlicePace pace(500);
  pace.ended(10'000);
  EXPECT_EQ(pace.slice_us(9'000), 20U);
}

TEST(SnapshotRate, ASmallDatasetIsWrittenGently) {
  EXPECT_EQ(SnapshotKeeper::write_rate(100 * kMiB, 64 * kMiB), 16 * kMiB);
}

TEST(SnapshotRate, ALargerOneInAMinuteIfThatIsAllowed) {
  EXPECT_EQ(SnapshotKeeper::write_rate(60 * 40 * kMiB, 64 * kMiB), 40 * kMiB);
  EXPECT_EQ(SnapshotKeeper::write_rate(60 * 400 * kMiB, 64 * kMiB), 64 * kMiB);
}

TEST(SnapshotRate, WhatIsAllowedIsNeverExceededAndNoLimitIsNone) {
  EXPECT_EQ(SnapshotKeeper::write_rate(100 * kMiB, kMiB), kMiB);
  EXPECT_EQ(SnapshotKeeper::write_rate(60 * 400 * kMiB, 0), 0U);
}

}  // namespace
}  // namespace raftkv::server
