#include "storage/log/identity.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "storage/log/die.h"

namespace raftkv::storage {
namespace {

namespace fs = std::filesystem;

using Failure = std::unexpected<std::string>;

constexpr char kLockFile[] = "LOCK";
constexpr char kIdentityFile[] = "IDENTITY";
constexpr char kDraftFile[] = "IDENTITY.tmp";
constexpr std::string_view kTitle = "raftkv data directory 1";
constexpr size_t kIdentityFileBytesMax = 4096;

std::string reason(int error) {
  return std::generic_category().message(error);
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;

  bool valid() const { return fd_ >= 0; }
  int get() const { return fd_; }

 private:
  int fd_;
};

class HeldLock : public DirectoryLock {
 public:
  explicit HeldLock(Descriptor file) : file_(std::move(file)) {}

 private:
  Descriptor file_;  // the lock lives as long as this is open, in whichever way the process ends
};

// --- the file
// -------------------------------------------------------------------------------------

bool is_cluster_id(std::string_view text) {
  return text.size() == 40 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
         });
}

// Lines of "key value"; the checksum line covers all before it.
std::string encode(const Identity& identity) {
  std::string text = fmt::format("{}\ncluster_id {}\nnode_id {}\nincarnation {}\n", kTitle,
                                 identity.cluster_id, identity.node_id, identity.incarnation);
  text += fmt::format("checksum {:016x}\n", XXH3_64bits(text.data(), text.size()));
  return text;
}

// Takes "key value\n" off the front of `text`.
std::optional<std::string_view> take_line(std::string_view& text, std::string_view key) {
  const size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view line = text.substr(0, end);
  if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ' ') {
    return std::nullopt;
  }
  text.remove_prefix(end + 1);
  return line.substr(key.size() + 1);
}

std::optional<uint64_t> take_number(std::string_view& text, std::string_view key) {
  const auto digits = take_line(text, key);
  if (!digits) return std::nullopt;
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits->begin(), digits->end(), number);
  if (error != std::errc() || end != digits->end()) return std::nullopt;
  return number;
}

// Nothing if `text` is not exactly what encode() makes.
std::optional<Identity> decode(std::string_view text) {
  std::string_view rest = text;
  if (!rest.starts_with(kTitle)) return std::nullopt;
  rest.remove_prefix(kTitle.size());
  if (!rest.starts_with('\n')) return std::nullopt;
  rest.remove_prefix(1);
  const auto cluster_id = take_line(rest, "cluster_id");
  if (!cluster_id || !is_cluster_id(*cluster_id)) return std::nullopt;
  const auto node_id = take_number(rest, "node_id");
  if (!node_id) return std::nullopt;
  const auto incarnation = take_number(rest, "incarnation");
  if (!incarnation) return std::nullopt;
  Identity identity{
      .cluster_id = std::string(*cluster_id), .node_id = *node_id, .incarnation = *incarnation};
  if (encode(identity) != text) return std::nullopt;
  return identity;
}

// --- the steps
// ------------------------------------------------------------------------------------

std::expected<void, std::string> make_directory(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status)) return {};
  if (fs::exists(status)) {
    return Failure(fmt::format(
        "{} is not a directory: give another path with --data_dir, or move that file away", path));
  }
  if (!fs::create_directories(path, error) && error) {
    return Failure(
        fmt::format("the data directory {} can't be created: {}; create it with the rights of the "
                    "user that runs this server, or give another path with --data_dir",
                    path, error.message()));
  }
  return {};
}

// What keeps `path` from counting as empty: any name but those that a first start, cut off at any
// moment, may have left, and the one that a fresh file system has. Nothing if there is none.
std::expected<std::optional<std::string>, std::string> find_foreign_file(const std::string& path) {
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename();
    if (name != kLockFile && name != kDraftFile && name != "lost+found") return name;
  }
  if (error) {
    return Failure(
        fmt::format("the data directory {} can't be read: {}; give its rights to the user that "
                    "runs this server",
                    path, error.message()));
  }
  return std::optional<std::string>();
}

std::expected<void, std::string> check_ours_or_empty(const std::string& path) {
  struct stat facts = {};
  if (::stat((path + "/" + kIdentityFile).c_str(), &facts) == 0) return {};
  const auto foreign = find_foreign_file(path);
  if (!foreign) return Failure(foreign.error());
  if (*foreign) {
    return Failure(fmt::format(
        "{} is not empty and not a data directory (it holds {} but no {}): give an empty or new "
        "one with --data_dir, or restore the whole directory from its backup",
        path, **foreign, kIdentityFile));
  }
  return {};
}

std::string holder_of(int lock_fd) {
  std::array<char, 32> text = {};
  const ssize_t size = ::pread(lock_fd, text.data(), text.size() - 1, 0);
  std::string_view digits(text.data(), size > 0 ? static_cast<size_t>(size) : 0);
  digits = digits.substr(0, digits.find_first_not_of("0123456789"));
  // A holder that was killed between locking and writing leaves it empty.
  return digits.empty() ? "another process" : fmt::format("process {}", digits);
}

std::expected<Descriptor, std::string> take_lock(const std::string& path) {
  const std::string file = path + "/" + kLockFile;
  Descriptor lock(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!lock.valid()) {
    return Failure(
        fmt::format("the data directory {} is not writable: {} ({}); give its rights to the user "
                    "that runs this server, or give another one with --data_dir",
                    path, reason(errno), kLockFile));
  }
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return Failure(fmt::format(
          "the data directory {} is in use by {}: stop that one first, or give another directory "
          "with --data_dir",
          path, holder_of(lock.get())));
    }
    return Failure(
        fmt::format("the data directory {} can't be locked: {}; put it on a file system that knows "
                    "flock",
                    path, reason(errno)));
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::pwrite(lock.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()) ||
      ::ftruncate(lock.get(), static_cast<off_t>(pid.size())) != 0) {
    return Failure(
        fmt::format("the data directory {} is not writable: {} ({}); make room on its "
                    "disk, or give another one with --data_dir",
                    path, reason(errno), kLockFile));
  }
  return lock;
}

bool write_and_sync(const std::string& file, std::string_view text) {
  const Descriptor fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  return fd.valid() &&
         ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
         ::fsync(fd.get()) == 0;
}

bool sync_directory(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd.valid() && ::fsync(fd.get()) == 0;
}

// Written aside, synced, renamed, and the names synced: at any moment the identity is whole or not
// there.
std::expected<void, std::string> write_identity(const std::string& path, const Identity& identity) {
  const std::string draft = path + "/" + kDraftFile;
  const std::string file = path + "/" + kIdentityFile;
  const std::string parent = fs::absolute(path).lexically_normal().parent_path();
  if (!write_and_sync(draft, encode(identity)) || ::rename(draft.c_str(), file.c_str()) != 0 ||
      !sync_directory(path)) {
    return Failure(
        fmt::format("{} can't be written: {}; make room on its disk, or give another "
                    "directory with --data_dir",
                    file, reason(errno)));
  }
  // The parent may belong to somebody else and not let us open it; its own sync then has to do.
  if (!sync_directory(parent) && errno != EACCES) {
    return Failure(fmt::format("{} can't be synced: {}", parent, reason(errno)));
  }
  return {};
}

// Nothing if there is no identity yet.
std::expected<std::optional<Identity>, std::string> read_identity(const std::string& path) {
  const std::string file = path + "/" + kIdentityFile;
  const Descriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    if (errno == ENOENT) return std::optional<Identity>();
    return Failure(
        fmt::format("{} can't be read: {}; give its rights to the user that runs this server", file,
                    reason(errno)));
  }
  std::string text(kIdentityFileBytesMax, '\0');
  const ssize_t size = ::read(fd.get(), text.data(), text.size());
  if (size < 0) return Failure(fmt::format("{} can't be read: {}", file, reason(errno)));
  text.resize(static_cast<size_t>(size));
  auto identity = decode(text);
  if (!identity) {
    return Failure(
        fmt::format("{} is damaged or of another release: restore it from a backup, or remove this "
                    "node from its cluster and add it again with an empty directory",
                    file));
  }
  return identity;
}

std::expected<void, std::string> check_belongs(const std::string& path, const Identity& found,
                                               const Identity& wanted) {
  if (found.cluster_id != wanted.cluster_id) {
    return Failure(fmt::format(
        "the data directory {} belongs to cluster {}, not to {}: check --cluster and --data_dir",
        path, found.cluster_id, wanted.cluster_id));
  }
  if (found.node_id != wanted.node_id) {
    return Failure(fmt::format(
        "the data directory {} belongs to node {} of this cluster, not to node {}: check --node_id "
        "and --data_dir",
        path, found.node_id, wanted.node_id));
  }
  return {};
}

}  // namespace

std::expected<OpenedDirectory, std::string> open_data_directory(const std::string& path,
                                                                const Identity& wanted) {
  if (!is_cluster_id(wanted.cluster_id)) die("a cluster id of 40 hexadecimal characters was due");
  if (wanted.node_id == 0) die("node id 0 means no node");

  if (auto made = make_directory(path); !made) return Failure(made.error());
  // Before the lock, so that a stranger's directory is not even touched.
  if (auto ours = check_ours_or_empty(path); !ours) return Failure(ours.error());
  auto lock = take_lock(path);
  if (!lock) return Failure(lock.error());

  OpenedDirectory opened;
  auto found = read_identity(path);
  if (!found) return Failure(found.error());
  if (*found) {
    if (auto belongs = check_belongs(path, **found, wanted); !belongs) {
      return Failure(belongs.error());
    }
    opened.identity = **found;
  } else {
    // Again, under the lock: nobody else changes it now.
    if (auto empty = check_ours_or_empty(path); !empty) return Failure(empty.error());
    if (auto written = write_identity(path, wanted); !written) return Failure(written.error());
    opened.identity = wanted;
    opened.created = true;
  }
  opened.lock = std::make_unique<HeldLock>(*std::move(lock));
  return opened;
}

std::expected<OpenedDirectory, std::string> open_existing_directory(const std::string& path,
                                                                    uint64_t node_id) {
  const auto before = read_identity(path);
  if (!before) return Failure(before.error());
  if (!*before) {
    return Failure(fmt::format("{} is no data directory (it has no {}): check --data_dir", path,
                               kIdentityFile));
  }
  return open_data_directory(path, {.cluster_id = (*before)->cluster_id, .node_id = node_id});
}

std::expected<void, std::string> check_log_is_not_lost(const std::string& path) {
  const auto exists = [&path](const char* name) {
    return ::access((path + name).c_str(), F_OK) == 0;
  };
  // The folder of snapshots is made after the log.
  if (!exists("/snapshots") || exists("/log/CURRENT") || exists("/log.rebuilt")) return {};
  return std::unexpected(fmt::format(
      "{}/log is lost or incomplete (it has no CURRENT): if its file system is not mounted, mount "
      "it; if not, this node's vote and log can't be trusted: remove the node from the cluster "
      "(raftkv-cli members replace) and add it with an empty directory",
      path));
}

std::expected<void, std::string> rewrite_identity(const std::string& path,
                                                  const Identity& identity) {
  if (!is_cluster_id(identity.cluster_id)) die("a cluster id of 40 hexadecimal characters was due");
  if (identity.node_id == 0) die("node id 0 means no node");
  return write_identity(path, identity);
}

}  // namespace raftkv::storage
