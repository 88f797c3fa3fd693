#include "storage/disk/file_remover.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <utility>

#include "storage/disk/sync_directory.h"

namespace raftkv::storage {
namespace {

using Clock = std::chrono::steady_clock;

// Others have the disk for so many times what a step took.
constexpr int kPausePerStep = 3;

// Whether nobody else can see the file: it has no other name, and nobody else has it open. A lease
// for writing is granted only then, in this process as in any other, and where there are no leases
// nobody knows. It is given back at once: without a name nobody can open the file any more.
bool is_ours_alone(int fd, off_t& bytes) {
  struct stat facts = {};
  if (::fstat(fd, &facts) != 0 || facts.st_nlink != 0) return false;
  bytes = facts.st_size;
  return ::fcntl(fd, F_SETLEASE, F_WRLCK) == 0 && ::fcntl(fd, F_SETLEASE, F_UNLCK) == 0;
}

}  // namespace

FileRemover::~FileRemover() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
  for (const Unnamed& file : files_) ::close(file.fd);
}

std::expected<void, std::string> FileRemover::remove(const std::string& path) {
  const auto failed = [&path] {
    return std::unexpected(fmt::format("cannot remove {}: {}", path, std::strerror(errno)));
  };
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 && errno == ENOENT) return {};
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    auto error = failed();
    if (fd >= 0) ::close(fd);
    return error;
  }
  take_unnamed(fd, std::filesystem::path(path).parent_path().string());
  return {};
}

void FileRemover::take_unnamed(int fd, std::string directory) {
  const std::lock_guard lock(mutex_);
  files_.push_back({.fd = fd, .directory = std::move(directory)});
  if (thread_.joinable()) {
    wake_.notify_one();
    return;
  }
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "file-remover");
}

void FileRemover::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return ending_ || !files_.empty(); });
    if (ending_) return;
    const Unnamed file = std::move(files_.front());
    files_.pop_front();
    lock.unlock();
    // If it fails the name may be there again after a crash, with a file that nobody needs.
    (void)sync_directory(file.directory);
    if (file.fd >= 0) {
      shorten(file.fd);
      ::close(file.fd);
    }
    lock.lock();
  }
}

void FileRemover::shorten(int fd) {
  off_t bytes = 0;
  if (!is_ours_alone(fd, bytes)) return;
  constexpr auto kStep = static_cast<off_t>(kStepBytes);
  while (bytes > kStep) {
    const auto begun = Clock::now();
    bytes -= kStep;
    if (::ftruncate(fd, bytes) != 0 || ::fsync(fd) != 0) return;
    if (!pause(kPausePerStep * (Clock::now() - begun))) return;
  }
}

// False when the end has come.
bool FileRemover::pause(Clock::duration length) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, length, [this] { return ending_; });
}

}  // namespace raftkv::storage
