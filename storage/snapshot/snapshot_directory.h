// Snapshot files in a directory. Each is written by a thread of its own under a temporary name,
// synced, renamed, and the directory synced.
#pragma once

#include <expected>
#include <memory>
#include <string>

#include "storage/disk/file_remover.h"
#include "storage/snapshot/snapshot_store.h"

namespace raftkv::storage {

class SnapshotDirectory : public SnapshotStore {
 public:
  // Creates the directory if it is missing, and removes what writers left that a crash interrupted:
  // no writer may be at work in it. Other files are left alone. The error names the path and why.
  [[nodiscard]] static std::expected<std::unique_ptr<SnapshotDirectory>, std::string> open(
      const std::string& path);

  std::unique_ptr<SnapshotWriter> write(SnapshotId id, SnapshotWriterOptions options) override;
  std::expected<std::shared_ptr<const SnapshotFile>, std::string> open(
      SnapshotId id) const override;
  std::expected<std::vector<SnapshotInfo>, std::string> list() const override;
  std::expected<void, std::string> remove(SnapshotId id) override;

  const std::string& path() const { return path_; }
  std::string path_of(SnapshotId id) const { return path_ + "/" + snapshot_name(id); }

 private:
  explicit SnapshotDirectory(std::string path) : path_(std::move(path)) {}

  std::string path_;
  FileRemover remover_;
};

}  // namespace raftkv::storage
