#include "storage/snapshot/snapshot_sink.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace raftkv::storage {
namespace {

std::string reason(const char* what, const std::string& path) {
  return fmt::format("{} {}: {}", what, path, std::strerror(errno));
}

}  // namespace

std::expected<void, std::string> sync_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return std::unexpected(reason("cannot open", path));
  const bool synced = ::fsync(fd) == 0;
  std::string problem = synced ? "" : reason("cannot sync", path);
  ::close(fd);
  if (!synced) return std::unexpected(std::move(problem));
  return {};
}

SnapshotSink::SnapshotSink(std::string directory, std::string path, size_t bytes_per_sync)
    : directory_(std::move(directory)),
      path_(std::move(path)),
      temporary_(path_ + kTemporarySuffix),
      bytes_per_sync_(bytes_per_sync) {}

SnapshotSink::~SnapshotSink() {
  if (fd_ < 0) return;
  close();
  ::unlink(temporary_.c_str());
}

void SnapshotSink::close() {
  ::close(std::exchange(fd_, -1));
}

std::unexpected<std::string> SnapshotSink::failed(const char* what) const {
  return std::unexpected(reason(what, temporary_));
}

std::expected<void, std::string> SnapshotSink::open() {
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) return failed("cannot create");
  return {};
}

std::expected<void, std::string> SnapshotSink::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed("cannot write");
    bytes.remove_prefix(static_cast<size_t>(count));
    written_ += static_cast<uint64_t>(count);
  }
  return write_back();
}

// Starts the write-back of each full step, and waits for the one before it: at most two steps are
// dirty or under way at any time. This is no sync, only less to do for it.
std::expected<void, std::string> SnapshotSink::write_back() {
  const auto wait =
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  while (written_ - started_ >= bytes_per_sync_) {
    const auto step = static_cast<off64_t>(bytes_per_sync_);
    const auto start = static_cast<off64_t>(started_);
    int result = ::sync_file_range(fd_, start, step, SYNC_FILE_RANGE_WRITE);
    if (result == 0 && start >= step) result = ::sync_file_range(fd_, start - step, step, wait);
    // Some file systems can't do this; they have their own ways.
    if (result != 0 && errno != ENOSYS && errno != EOPNOTSUPP && errno != EINVAL) {
      return failed("cannot write back");
    }
    started_ += bytes_per_sync_;
  }
  return {};
}

std::expected<void, std::string> SnapshotSink::commit() {
  if (::fdatasync(fd_) != 0) return failed("cannot sync");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return failed("cannot rename");
  close();
  return sync_directory(directory_);
}

}  // namespace raftkv::storage
