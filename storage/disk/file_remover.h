// Removes large files without making those wait who use the same disk.
//
// The blocks of a file that goes are freed in one transaction of the file system's journal, and are
// given back to the device when that is committed: 20 ms for 64 MiB, half a second for a GiB, on an
// ext4 that is mounted with `discard`. A sync of the log next to it waits for all of it. So a file
// is cut shorter step by step, with pauses, before it goes: then it waits for 2 ms.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <expected>
#include <mutex>
#include <string>
#include <thread>

namespace raftkv::storage {

class FileRemover {
 public:
  // What is not larger goes at once.
  static constexpr uint64_t kStepBytes = uint64_t{1} << 20;

  FileRemover() = default;
  // Does not wait for the files: what is left of them goes at once.
  ~FileRemover();
  FileRemover(const FileRemover&) = delete;
  FileRemover& operator=(const FileRemover&) = delete;

  // The name is gone when it returns, and fine if it was not there; that it stays gone over a
  // crash, and the room on the disk, comes later. Whoever has the file open, or another name for
  // it, keeps it whole. The error says why the name is still there. Any thread.
  [[nodiscard]] std::expected<void, std::string> remove(const std::string& path);

  // The same for a file whose name was just removed from `directory` by somebody else: `fd` is open
  // for writing, and is closed in time. Any thread.
  void take_unnamed(int fd, std::string directory);

 private:
  struct Unnamed {
    int fd = -1;
    std::string directory;
  };

  void run();
  void shorten(int fd);
  bool pause(std::chrono::steady_clock::duration length);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Unnamed> files_;
  bool ending_ = false;
  std::thread thread_;  // begun with the first file
};

}  // namespace raftkv::storage
