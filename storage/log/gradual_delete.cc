#include "storage/log/gradual_delete.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace raftkv::storage {
namespace {

// -1 if there is no such file.
int open_if_large(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  struct stat facts = {};
  if (fd < 0) return -1;
  if (::fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode) &&
      static_cast<uint64_t>(facts.st_size) > FileRemover::kStepBytes) {
    return fd;
  }
  ::close(fd);
  return -1;
}

}  // namespace

rocksdb::IOStatus GradualDelete::DeleteFile(const std::string& name,
                                            const rocksdb::IOOptions& options,
                                            rocksdb::IODebugContext* debug) {
  const int fd = open_if_large(name);
  rocksdb::IOStatus deleted = FileSystemWrapper::DeleteFile(name, options, debug);
  if (fd < 0) return deleted;
  if (deleted.ok()) {
    remover_.take_unnamed(fd, std::filesystem::path(name).parent_path().string());
  } else {
    ::close(fd);
  }
  return deleted;
}

}  // namespace raftkv::storage
