// One snapshot file being written to disk. Blocks on the disk: for the writer's thread only.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace raftkv::storage {

// Syncs a directory, so that what was renamed or removed in it stays so.
[[nodiscard]] std::expected<void, std::string> sync_directory(const std::string& path);

class SnapshotSink {
 public:
  static constexpr char kTemporarySuffix[] = ".tmp";

  // Writes to `path` + kTemporarySuffix until commit().
  SnapshotSink(std::string directory, std::string path, size_t bytes_per_sync);
  // Removes what was not committed.
  ~SnapshotSink();
  SnapshotSink(const SnapshotSink&) = delete;
  SnapshotSink& operator=(const SnapshotSink&) = delete;

  // Each error names the file and why; after one, nothing but the destructor may be called.
  [[nodiscard]] std::expected<void, std::string> open();
  [[nodiscard]] std::expected<void, std::string> append(std::string_view bytes);
  // Durable, and under its own name.
  [[nodiscard]] std::expected<void, std::string> commit();

  uint64_t bytes() const { return written_; }

 private:
  std::expected<void, std::string> write_back();
  std::unexpected<std::string> failed(const char* what) const;
  void close();

  const std::string directory_;
  const std::string path_;
  const std::string temporary_;
  const size_t bytes_per_sync_;
  int fd_ = -1;
  uint64_t written_ = 0;
  uint64_t started_ = 0;  // write-back was started up to here
};

}  // namespace raftkv::storage
