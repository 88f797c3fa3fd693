// A file that this process has open and that has lost its name, seen from outside: without opening
// it once more, which would change what is tested.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

namespace raftkv::test {

// Its descriptor's path under /proc; empty if there is none.
inline std::string unnamed(const std::string& path) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone) == path + " (deleted)") {
      return entry.path();
    }
  }
  return {};
}

inline std::optional<uintmax_t> size_of_unnamed(const std::string& path) {
  const std::string descriptor = unnamed(path);
  struct stat facts = {};
  if (descriptor.empty() || ::stat(descriptor.c_str(), &facts) != 0) return std::nullopt;
  return static_cast<uintmax_t>(facts.st_size);
}

}  // namespace raftkv::test
