// Parts of snapshot files for clients: what is read, for how long, and what is refused.
#include "server/snapshot_reads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/snapshot/snapshot_memory.h"

namespace raftkv::server {
namespace {

using storage::SnapshotId;
using testing::StartsWith;

constexpr uint64_t kNow = 1'000'000'000;

class SnapshotReadsTest : public testing::Test {
 protected:
  SnapshotId add(raft::Index index, const std::string& bytes) {
    const SnapshotId id{.term = 3, .index = index};
    const auto writer = files_.write(id, {.compress = false, .append_checksum = false});
    storage::RdbBlock block;
    block.bytes = bytes;
    writer->submit(std::move(block));
    writer->finish();
    EXPECT_EQ(writer->state(), storage::SnapshotWriter::State::kDone);
    return id;
  }
  std::string error(SnapshotId id, uint64_t offset = 0, uint64_t now_us = kNow) {
    const auto read = reads_.read(id, offset, 10, now_us);
    return read ? "" : read.error();
  }

  storage::SnapshotMemory files_;
  SnapshotReads reads_{files_};
};

TEST_F(SnapshotReadsTest, GivesTheBytesAskedForAndFewerAtTheEnd) {
  const SnapshotId id = add(7, "0123456789");
  EXPECT_EQ(reads_.read(id, 0, 4, kNow), "0123");
  EXPECT_EQ(reads_.read(id, 4, 4, kNow), "4567");
  EXPECT_EQ(reads_.read(id, 8, 4, kNow), "89");
  EXPECT_EQ(reads_.read(id, 10, 4, kNow), "");
  EXPECT_EQ(reads_.read(id, 3, 0, kNow), "");
  EXPECT_EQ(error(id, 11), "ERR the snapshot has 10 bytes, and none at offset 11");
  EXPECT_THAT(error(id, UINT64_MAX), StartsWith("ERR "));
}

TEST_F(SnapshotReadsTest, GivesNoMoreThanTheLimitAtATime) {
  const SnapshotId id = add(7, std::string(SnapshotReads::kReadBytesMax + 5, 'x'));
  EXPECT_EQ(reads_.read(id, 0, UINT64_MAX, kNow)->size(), SnapshotReads::kReadBytesMax);
}

TEST_F(SnapshotReadsTest, NamesASnapshotThatIsNotThere) {
  EXPECT_THAT(error({.term = 3, .index = 7}),
              StartsWith("NOSNAPSHOT the snapshot of index 7 and term 3 is not there"));
  add(7, "0123456789");
  EXPECT_THAT(error({.term = 2, .index = 7}), StartsWith("NOSNAPSHOT "));
}

TEST_F(SnapshotReadsTest, AFileThatIsReadOutlivesItsRemoval) {
  const SnapshotId id = add(7, "0123456789");
  EXPECT_EQ(reads_.read(id, 0, 5, kNow), "01234");
  ASSERT_TRUE(files_.remove(id).has_value());
  EXPECT_EQ(reads_.read(id, 5, 5, kNow + SnapshotReads::kIdleUs - 1), "56789");
  // The last read counts, not the first.
  EXPECT_EQ(reads_.read(id, 5, 5, kNow + 2 * SnapshotReads::kIdleUs - 2), "56789");
  EXPECT_THAT(error(id, 0, kNow + 3 * SnapshotReads::kIdleUs), StartsWith("NOSNAPSHOT "));
}

TEST_F(SnapshotReadsTest, ASilentReaderKeepsNoFileOpen) {
  const SnapshotId id = add(7, "0123456789");
  EXPECT_EQ(error(id), "");
  reads_.close_idle(kNow + SnapshotReads::kIdleUs - 1);
  EXPECT_EQ(reads_.open_files(), 1u);
  reads_.close_idle(kNow + SnapshotReads::kIdleUs);
  EXPECT_EQ(reads_.open_files(), 0u);
}

TEST_F(SnapshotReadsTest, OnlySoManyFilesAreOpenAtATime) {
  for (raft::Index i = 1; i <= SnapshotReads::kFilesMax; ++i) EXPECT_EQ(error(add(i, "x")), "");
  const SnapshotId more = add(99, "x");
  EXPECT_THAT(error(more), StartsWith("TRYAGAIN 4 other snapshots"));
  EXPECT_EQ(error({.term = 3, .index = 1}), "") << "one that is open goes on";
  EXPECT_EQ(error(more, 0, kNow + SnapshotReads::kIdleUs), "");
}

}  // namespace
}  // namespace raftkv::server
