#include "storage/snapshot/snapshot_sink.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "storage/disk/sync_directory.h"

namespace raftkv::storage {
namespace {

// A file's offset, the length and the memory of a direct write are multiples of it.
constexpr size_t kPageBytes = 4096;

size_t whole_pages(size_t bytes) {
  return std::max((bytes + kPageBytes - 1) / kPageBytes, size_t{1}) * kPageBytes;
}

std::string reason(const char* what, const std::string& path) {
  return fmt::format("{} {}: {}", what, path, std::strerror(errno));
}

}  // namespace

SnapshotSink::SnapshotSink(std::string directory, std::string path, size_t step_bytes)
    : directory_(std::move(directory)),
      path_(std::move(path)),
      temporary_(path_ + kTemporarySuffix),
      step_bytes_(whole_pages(step_bytes)) {}

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

// Past the page cache where the file system can: what was written through it is pushed out by the
// next commit of the file system's journal, and a sync of the log is such a commit and waits for
// all of it; and nobody is going to read these pages soon.
std::expected<void, std::string> SnapshotSink::open() {
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) return failed("cannot create");
  direct_ = ::fcntl(fd_, F_SETFL, O_DIRECT) == 0;
  buffer_.reset(static_cast<char*>(std::aligned_alloc(kPageBytes, step_bytes_)));
  if (buffer_ == nullptr) return failed("no memory to write");
  return {};
}

std::expected<void, std::string> SnapshotSink::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t count = std::min(step_bytes_ - buffered_, bytes.size());
    std::memcpy(buffer_.get() + buffered_, bytes.data(), count);
    bytes.remove_prefix(count);
    buffered_ += count;
    appended_ += count;
    if (buffered_ < step_bytes_) continue;
    if (auto written = write_step(); !written) return written;
  }
  return {};
}

std::expected<void, std::string> SnapshotSink::write_step() {
  if (auto written = write_all({buffer_.get(), buffered_}); !written) return written;
  if (!direct_ && buffered_ == step_bytes_) {
    if (auto started = write_back(); !started) return started;
  }
  buffered_ = 0;
  return {};
}

std::expected<void, std::string> SnapshotSink::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    // Not every file system that says it can does, and the end of the file is no whole page.
    if (count < 0 && errno == EINVAL && stop_direct()) continue;
    if (count < 0) return failed("cannot write");
    bytes.remove_prefix(static_cast<size_t>(count));
    written_ += static_cast<uint64_t>(count);
  }
  return {};
}

// False if they were not direct before, or can't be anything else.
bool SnapshotSink::stop_direct() {
  return std::exchange(direct_, false) && ::fcntl(fd_, F_SETFL, 0) == 0;
}

// Starts the write-back of the step just written, and waits for the one before it: at most two
// steps are dirty or under way at any time. This is no sync, only less to do for it.
std::expected<void, std::string> SnapshotSink::write_back() {
  const auto wait =
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  const auto step = static_cast<off64_t>(step_bytes_);
  const off64_t start = static_cast<off64_t>(written_) - step;
  int result = ::sync_file_range(fd_, start, step, SYNC_FILE_RANGE_WRITE);
  if (result == 0 && start >= step) result = ::sync_file_range(fd_, start - step, step, wait);
  // Some file systems can't do this; they have their own ways.
  if (result != 0 && errno != ENOSYS && errno != EOPNOTSUPP && errno != EINVAL) {
    return failed("cannot write back");
  }
  return {};
}

std::expected<void, std::string> SnapshotSink::commit() {
  if (auto written = write_step(); !written) return written;
  if (::fdatasync(fd_) != 0) return failed("cannot sync");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return failed("cannot rename");
  close();
  return sync_directory(directory_);
}

}  // namespace raftkv::storage
