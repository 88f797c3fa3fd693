// Parts of snapshot files for clients. A file that is being read stays open, so that it can be read
// to its end although newer ones have replaced it and its name is gone; a reader that is silent for
// long loses it, for its space on the disk is free only then.
//
// Reads block the calling thread, which is the loop's. They are bounded: one of kReadBytesMax takes
// well under a millisecond from the page cache, where a file is that was just written, and some ten
// from a disk, a small part of an election timeout. Single-threaded.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "storage/snapshot/snapshot_store.h"

namespace raftkv::server {

class SnapshotReads {
 public:
  static constexpr uint64_t kReadBytesMax = uint64_t{1} << 20;
  static constexpr size_t kFilesMax = 4;  // open at a time
  static constexpr uint64_t kIdleUs = 60'000'000;

  // `store` must outlive it.
  explicit SnapshotReads(const storage::SnapshotStore& store) : store_(store) {}

  // `count` bytes from `offset` on, at most kReadBytesMax, fewer at the end. The error is one of
  // the protocol's: NOSNAPSHOT if there is no such file (any more), TRYAGAIN if too many others are
  // being read, ERR. `now_us` is monotonic.
  std::expected<std::string, std::string> read(storage::SnapshotId id, uint64_t offset,
                                               uint64_t count, uint64_t now_us);
  // Now and then: lets go of the files that nobody has read for kIdleUs.
  void close_idle(uint64_t now_us);

  size_t open_files() const { return files_.size(); }

 private:
  struct OpenFile {
    storage::SnapshotId id;
    std::shared_ptr<const storage::SnapshotFile> file;
    uint64_t last_read_us = 0;
  };

  std::expected<OpenFile*, std::string> find(storage::SnapshotId id);

  const storage::SnapshotStore& store_;
  std::vector<OpenFile> files_;
};

}  // namespace raftkv::server
