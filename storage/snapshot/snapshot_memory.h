// Snapshot files in memory, for tests and the simulator. No threads: what a writer has been given
// is written at once, but a file is finished only when the owner of the store says that the disk
// has come so far, and until then a crash loses it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "storage/snapshot/snapshot_store.h"

namespace raftkv::storage {

class SnapshotMemory : public SnapshotStore {
 public:
  enum class Finish : uint8_t {
    kAtOnce,
    kWhenTold,  // by finish_writers()
  };
  explicit SnapshotMemory(Finish finish = Finish::kAtOnce);
  ~SnapshotMemory() override;

  std::unique_ptr<SnapshotWriter> write(SnapshotId id, SnapshotWriterOptions options) override;
  std::expected<std::shared_ptr<const SnapshotFile>, std::string> open(
      SnapshotId id) const override;
  std::expected<std::vector<SnapshotInfo>, std::string> list() const override;
  std::expected<void, std::string> remove(SnapshotId id) override;

  // The disk has done all that it was given: what is written counts no more as backlog, and files
  // whose writers wait for their end are there now.
  void finish_writers();
  // The process dies: what is not finished is gone, and writers of before reach nothing any more.
  void crash();
  // The next write of any writer fails with this error.
  void fail_next_write(std::string error);
  // Flips one bit of a file. False if there is no such byte.
  bool damage(SnapshotId id, uint64_t offset, unsigned bit);

 private:
  friend class SnapshotMemoryWriter;
  struct Disk;
  std::shared_ptr<Disk> disk_;
};

}  // namespace raftkv::storage
