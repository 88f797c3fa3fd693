#include "server/peer/known_peers.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "server/peer/descriptor.h"

namespace raftkv::server {
namespace {

constexpr std::string_view kTitle = "raftkv known peers 1\n";
constexpr char kDraft[] = "peers.tmp";
constexpr size_t kFileBytesMax = size_t{1} << 20;

std::string reason(int error) {
  return std::generic_category().message(error);
}

// Lines "peer <id> <incarnation>"; the checksum line covers all before it.
std::string encode(const std::map<uint64_t, uint64_t>& incarnations) {
  std::string text(kTitle);
  for (const auto& [id, incarnation] : incarnations) {
    text += fmt::format("peer {} {:016x}\n", id, incarnation);
  }
  text += fmt::format("checksum {:016x}\n", XXH3_64bits(text.data(), text.size()));
  return text;
}

bool take(std::string_view& text, std::string_view words) {
  if (!text.starts_with(words)) return false;
  text.remove_prefix(words.size());
  return true;
}

bool take(std::string_view& text, uint64_t& number, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

// Nothing if `text` is not exactly what encode() makes.
std::optional<std::map<uint64_t, uint64_t>> decode(std::string_view text) {
  std::map<uint64_t, uint64_t> incarnations;
  std::string_view rest = text;
  if (!take(rest, kTitle)) return std::nullopt;
  while (take(rest, "peer ")) {
    uint64_t id = 0;
    uint64_t incarnation = 0;
    if (!take(rest, id, 10) || !take(rest, " ") || !take(rest, incarnation, 16) ||
        !take(rest, "\n")) {
      return std::nullopt;
    }
    incarnations[id] = incarnation;
  }
  if (encode(incarnations) != text) return std::nullopt;
  return incarnations;
}

bool write_and_sync(const std::string& path, std::string_view text) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file.valid()) return false;
  const ssize_t put = ::write(file.get(), text.data(), text.size());
  if (put >= 0 && static_cast<size_t>(put) != text.size()) errno = ENOSPC;
  return put == static_cast<ssize_t>(text.size()) && ::fsync(file.get()) == 0;
}

bool sync_directory(const std::string& path) {
  const Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return directory.valid() && ::fsync(directory.get()) == 0;
}

}  // namespace

std::expected<KnownPeers, std::string> KnownPeers::open(const std::string& data_dir) {
  KnownPeers peers(data_dir);
  const std::string path = data_dir + "/" + kFile;
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) {
    if (errno == ENOENT) return peers;
    return std::unexpected(
        fmt::format("{} can't be read: {}; give its rights to the user that runs this server", path,
                    reason(errno)));
  }
  std::string text;
  for (char buffer[4096]; text.size() <= kFileBytesMax;) {
    const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0) return std::unexpected(fmt::format("{} can't be read: {}", path, reason(errno)));
    if (got == 0) break;
    text.append(buffer, static_cast<size_t>(got));
  }
  auto known = decode(text);
  if (!known) {
    return std::unexpected(fmt::format(
        "{} is damaged or of another release: restore it from a backup; or, if no other member's "
        "data directory was wiped since this node ran last, delete it, and the members are met "
        "anew",
        path));
  }
  peers.incarnations_ = std::move(*known);
  return peers;
}

std::expected<void, std::string> KnownPeers::learn(uint64_t id, uint64_t incarnation) {
  incarnations_[id] = incarnation;
  return write();
}

std::expected<void, std::string> KnownPeers::forget(uint64_t id) {
  if (incarnations_.erase(id) == 0 && !unwritten_) return {};
  return write();
}

std::expected<void, std::string> KnownPeers::write() {
  const std::string path = data_dir_ + "/" + kFile;
  const std::string draft = data_dir_ + "/" + kDraft;
  unwritten_ = !write_and_sync(draft, encode(incarnations_)) ||
               ::rename(draft.c_str(), path.c_str()) != 0 || !sync_directory(data_dir_);
  if (!unwritten_) return {};
  return std::unexpected(
      fmt::format("{} can't be written: {}; make room on its disk, or give its rights to the user "
                  "that runs this server",
                  path, reason(errno)));
}

}  // namespace raftkv::server
