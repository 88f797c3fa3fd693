#include "storage/snapshot/snapshot_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "storage/disk/sync_directory.h"
#include "storage/snapshot/snapshot_sink.h"
#include "storage/snapshot/snapshot_thread.h"

namespace raftkv::storage {
namespace {

namespace fs = std::filesystem;

std::string reason(const char* what, const std::string& path, const std::error_code& error) {
  return fmt::format("{} {}: {}", what, path, error.message());
}
std::error_code last_error() {
  return {errno, std::generic_category()};
}

class DiskFile : public SnapshotFile {
 public:
  DiskFile(int fd, uint64_t size, std::string path)
      : fd_(fd), size_(size), path_(std::move(path)) {}
  ~DiskFile() override { ::close(fd_); }
  DiskFile(const DiskFile&) = delete;
  DiskFile& operator=(const DiskFile&) = delete;

  uint64_t size() const override { return size_; }
  std::expected<size_t, std::string> read_at(uint64_t offset, char* to,
                                             size_t size) const override {
    size_t done = 0;
    while (done < size) {
      const ssize_t count = ::pread(fd_, to + done, size - done, static_cast<off_t>(offset + done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return std::unexpected(reason("cannot read", path_, last_error()));
      if (count == 0) break;
      done += static_cast<size_t>(count);
    }
    return done;
  }

 private:
  const int fd_;
  const uint64_t size_;
  const std::string path_;
};

// Calls visit(name, entry) for each entry of the directory; an error ends it.
template <typename Visit>
std::expected<void, std::string> for_each_entry(const std::string& path, Visit visit) {
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    visit(it->path().filename().string(), *it);
  }
  if (error) return std::unexpected(reason("cannot list", path, error));
  return {};
}

bool is_leftover(std::string_view name) {
  SnapshotId id;
  if (!name.ends_with(SnapshotSink::kTemporarySuffix)) return false;
  name.remove_suffix(std::strlen(SnapshotSink::kTemporarySuffix));
  return parse_snapshot_name(name, id);
}

}  // namespace

std::expected<std::unique_ptr<SnapshotDirectory>, std::string> SnapshotDirectory::open(
    const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return std::unexpected(reason("cannot create", path, error));
  if (auto synced = sync_directory(
          fs::path(path).parent_path().empty() ? "." : fs::path(path).parent_path().string());
      !synced) {
    return std::unexpected(synced.error());
  }
  std::string problem;
  const auto listed = for_each_entry(path, [&](const std::string& name, const auto& entry) {
    if (!is_leftover(name)) return;
    std::error_code failure;
    fs::remove(entry.path(), failure);
    if (failure) problem = reason("cannot remove", entry.path().string(), failure);
  });
  if (!listed) return std::unexpected(listed.error());
  if (!problem.empty()) return std::unexpected(std::move(problem));
  return std::unique_ptr<SnapshotDirectory>(new SnapshotDirectory(path));
}

std::unique_ptr<SnapshotWriter> SnapshotDirectory::write(SnapshotId id,
                                                         SnapshotWriterOptions options) {
  auto sink = std::make_unique<SnapshotSink>(path_, path_of(id), options.step_bytes);
  return start_snapshot_thread(std::move(sink), std::move(options));
}

std::expected<std::shared_ptr<const SnapshotFile>, std::string> SnapshotDirectory::open(
    SnapshotId id) const {
  const std::string path = path_of(id);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::unexpected(reason("cannot open", path, last_error()));
  struct stat facts = {};
  if (::fstat(fd, &facts) != 0) {
    const std::error_code error = last_error();
    ::close(fd);
    return std::unexpected(reason("cannot look at", path, error));
  }
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  return std::make_shared<const DiskFile>(fd, static_cast<uint64_t>(facts.st_size), path);
}

std::expected<std::vector<SnapshotInfo>, std::string> SnapshotDirectory::list() const {
  std::vector<SnapshotInfo> found;
  std::string problem;
  const auto listed = for_each_entry(path_, [&](const std::string& name, const auto& entry) {
    SnapshotInfo info;
    if (!parse_snapshot_name(name, info.id)) return;
    std::error_code error;
    info.bytes = entry.file_size(error);
    if (error) problem = reason("cannot look at", entry.path().string(), error);
    found.push_back(info);
  });
  if (!listed) return std::unexpected(listed.error());
  if (!problem.empty()) return std::unexpected(std::move(problem));
  std::ranges::sort(found, [](const auto& a, const auto& b) { return b.id < a.id; });
  return found;
}

std::expected<void, std::string> SnapshotDirectory::remove(SnapshotId id) {
  return remover_.remove(path_of(id));
}

}  // namespace raftkv::storage
