#include "storage/snapshot/rdb_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace raftkv::storage {

std::expected<RdbFile, std::string> RdbFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::unexpected(std::string(std::strerror(errno)));
  struct stat facts = {};
  RdbFile file(fd);
  if (::fstat(fd, &facts) != 0) return std::unexpected(std::string(std::strerror(errno)));
  if (!S_ISREG(facts.st_mode)) return std::unexpected("it is no file; it must be read twice");
  file.left_ = static_cast<uint64_t>(facts.st_size);
  return file;
}

RdbFile::RdbFile(RdbFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), left_(other.left_) {}

RdbFile::~RdbFile() {
  if (fd_ >= 0) ::close(fd_);
}

std::expected<size_t, std::string> RdbFile::read(char* to, size_t size) {
  ssize_t count = 0;
  do {
    count = ::read(fd_, to, size);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return std::unexpected(std::string(std::strerror(errno)));
  const auto read = static_cast<size_t>(count);
  left_ -= std::min<uint64_t>(left_, read);
  return read;
}

}  // namespace raftkv::storage
