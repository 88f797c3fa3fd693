// When a snapshot by bytes is due, the first one of a node above all.
#include "server/replica/snapshot_pace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "server/stagger.h"

namespace raftkv::server {
namespace {

class Applier {
 public:
  explicit Applier(raft::Index snapshot = 0)
      : pace({.log_bytes = 100'000, .first_log_bytes = 30'000}, snapshot), last_(snapshot) {}

  void restore(raft::Index index) { pace.restored(last_ = index); }
  // Bytes that are applied until one is due.
  uint64_t until_due() {
    const uint64_t before = pace.bytes_applied();
    while (!pace.due()) {
      raft::Entry entry;
      entry.index = ++last_;
      entry.payload = std::make_shared<const std::string>(1000 - raft::Entry::kEntryOverhead, 'x');
      pace.applied(entry);
    }
    return pace.bytes_applied() - before;
  }

  SnapshotPace pace;

 private:
  raft::Index last_;
};

TEST(SnapshotPace, TheFirstOfANewNodeComesEarlier) {
  Applier applier;
  EXPECT_EQ(applier.until_due(), 30'000u);
  applier.pace.begun();
  EXPECT_EQ(applier.until_due(), 100'000u);
  applier.pace.begun();
  EXPECT_EQ(applier.until_due(), 100'000u);
}

TEST(SnapshotPace, AFirstThatFailedIsStillTheFirst) {
  Applier applier;
  applier.until_due();
  applier.pace.begun();
  applier.pace.failed();
  EXPECT_TRUE(applier.pace.due());
  applier.pace.begun();
  applier.pace.failed();
  EXPECT_TRUE(applier.pace.due());
}

TEST(SnapshotPace, ALaterOneThatFailedIsNotTheFirst) {
  Applier applier;
  applier.until_due();
  applier.pace.begun();
  EXPECT_EQ(applier.until_due(), 100'000u);
  applier.pace.begun();
  applier.pace.failed();
  EXPECT_EQ(applier.until_due(), 0u);
  applier.pace.begun();
  EXPECT_EQ(applier.until_due(), 100'000u);
}

TEST(SnapshotPace, AfterOneFromElsewhereTheNextComesEarlier) {
  Applier applier;
  applier.until_due();
  applier.pace.begun();
  applier.restore(1000);
  EXPECT_EQ(applier.until_due(), 30'000u);
}

TEST(SnapshotPace, ARestartIsNotABeginning) {
  Applier applier(500);
  EXPECT_EQ(applier.until_due(), 100'000u);
}

TEST(Stagger, ConsecutiveIdsLieApart) {
  constexpr uint64_t kWhole = 1'000'000;
  for (size_t nodes = 1; nodes <= 8; ++nodes) {
    for (raft::NodeId first = 1; first <= 100; ++first) {
      std::vector<uint64_t> parts;
      for (size_t i = 0; i < nodes; ++i) parts.push_back(staggered(first + i, kWhole));
      std::ranges::sort(parts);
      EXPECT_LT(parts.back(), kWhole);
      parts.push_back(parts.front() + kWhole);
      for (size_t i = 0; i < nodes; ++i) {
        EXPECT_GE(parts[i + 1] - parts[i], kWhole / (2 * nodes)) << nodes << " from " << first;
      }
    }
  }
}

TEST(Stagger, WorksAtTheEnds) {
  EXPECT_EQ(staggered(1, 0), 0u);
  EXPECT_LT(staggered(~raft::NodeId{0}, ~uint64_t{0}), ~uint64_t{0});
}

}  // namespace
}  // namespace raftkv::server
