#pragma once

#include <expected>
#include <string>

namespace raftkv::storage {

// Syncs a directory, so that what was renamed or removed in it stays so. Blocks on the disk. The
// error names the directory and why.
[[nodiscard]] std::expected<void, std::string> sync_directory(const std::string& path);

}  // namespace raftkv::storage
