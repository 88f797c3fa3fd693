// One snapshot file being written to disk. Blocks on the disk: for the writer's thread only.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <expected>
#include <memory>
#include <string>
#include <string_view>

namespace raftkv::storage {

class SnapshotSink {
 public:
  static constexpr char kTemporarySuffix[] = ".tmp";

  // Writes to `path` + kTemporarySuffix until commit(), in steps of `step_bytes` (rounded up to
  // whole pages).
  SnapshotSink(std::string directory, std::string path, size_t step_bytes);
  // Removes what was not committed.
  ~SnapshotSink();
  SnapshotSink(const SnapshotSink&) = delete;
  SnapshotSink& operator=(const SnapshotSink&) = delete;

  // Each error names the file and why; after one, nothing but the destructor may be called.
  [[nodiscard]] std::expected<void, std::string> open();
  [[nodiscard]] std::expected<void, std::string> append(std::string_view bytes);
  // Durable, and under its own name.
  [[nodiscard]] std::expected<void, std::string> commit();

  uint64_t bytes() const { return appended_; }

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };

  std::expected<void, std::string> write_step();
  std::expected<void, std::string> write_all(std::string_view bytes);
  std::expected<void, std::string> write_back();
  bool stop_direct();
  std::unexpected<std::string> failed(const char* what) const;
  void close();

  const std::string directory_;
  const std::string path_;
  const std::string temporary_;
  const size_t step_bytes_;
  int fd_ = -1;
  bool direct_ = false;                 // past the page cache
  std::unique_ptr<char, Free> buffer_;  // a step, aligned for direct writes
  size_t buffered_ = 0;
  uint64_t appended_ = 0;
  uint64_t written_ = 0;
};

}  // namespace raftkv::storage
