// A data directory belongs to one cluster, one node and one incarnation of it, and to one process
// at a time. Checked before anything in it is read or written.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>

namespace raftkv::storage {

struct Identity {
  std::string cluster_id;  // 40 hexadecimal characters
  uint64_t node_id = 0;
  uint64_t incarnation = 0;  // drawn when the directory was made: a wiped node is a different one

  friend bool operator==(const Identity&, const Identity&) = default;
};

// The lock on a data directory; released when destroyed or when the process ends, however it ends.
class DirectoryLock {
 public:
  virtual ~DirectoryLock() = default;
};

struct OpenedDirectory {
  Identity identity;
  bool created = false;  // the directory was new or empty
  std::unique_ptr<DirectoryLock> lock;
};

// Creates `path` if it is missing (with `wanted`), or checks that it belongs to `wanted` (its
// incarnation is read from the directory, that of `wanted` is used for a new one only). The error
// is one line for the operator: what is wrong (locked by pid N, another node's, another cluster's,
// not a data directory and not empty, not writable, damaged identity) and what to do.
std::expected<OpenedDirectory, std::string> open_data_directory(const std::string& path,
                                                                const Identity& wanted);

// Locks a directory that is node `node_id`'s, of whichever cluster. The error is one line.
std::expected<OpenedDirectory, std::string> open_existing_directory(const std::string& path,
                                                                    uint64_t node_id);

// A log that was there once is not made anew: this node's vote was in it. The error is one line:
// what is missing and what to do. Asked before the log of a locked directory is opened.
std::expected<void, std::string> check_log_is_not_lost(const std::string& path);

// Gives a directory whose lock the caller holds another identity. At any moment the old one or the
// new one is there, whole.
std::expected<void, std::string> rewrite_identity(const std::string& path,
                                                  const Identity& identity);

}  // namespace raftkv::storage
