#include "storage/disk/sync_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace raftkv::storage {

std::expected<void, std::string> sync_directory(const std::string& path) {
  const auto failed = [&path](const char* what) {
    return std::unexpected(fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)));
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return failed("open");
  std::expected<void, std::string> synced;
  if (::fsync(fd) != 0) synced = failed("sync");
  ::close(fd);
  return synced;
}

}  // namespace raftkv::storage
