#include "client/export.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>
#include <utility>

#include "storage/snapshot/rdb_file.h"
#include "storage/snapshot/rdb_reader.h"

namespace raftkv::client {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kPartBytes = uint64_t{1} << 20;  // what a node sends at a time
constexpr size_t kPartsAhead = 4;                   // asked for before the first has come
constexpr int kStartsMax = 3;
constexpr std::chrono::milliseconds kConnectTimeout{3000};
// Before a lost connection is tried again, while patience lasts.
constexpr std::chrono::milliseconds kPause{200};
constexpr std::string_view kGoneCode = "NOSNAPSHOT";

using Failure = std::unexpected<std::string>;

Failure disk_failure(const char* what, const std::string& path) {
  return Failure(fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)));
}

// The file until it has its name.
class FileAside {
 public:
  explicit FileAside(std::string path)
      : path_(std::move(path)), aside_(fmt::format("{}.{}.tmp", path_, ::getpid())) {}
  ~FileAside() {
    if (fd_ < 0) return;
    ::close(fd_);
    if (!named_) ::unlink(aside_.c_str());
  }
  FileAside(const FileAside&) = delete;
  FileAside& operator=(const FileAside&) = delete;

  std::expected<void, std::string> open() {
    fd_ = ::open(aside_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd_ < 0) return disk_failure("create", aside_);
    return {};
  }
  std::expected<void, std::string> begin_again() {
    if (::ftruncate(fd_, 0) != 0 || ::lseek(fd_, 0, SEEK_SET) != 0) {
      return disk_failure("empty", aside_);
    }
    return {};
  }
  std::expected<void, std::string> append(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::write(fd_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return disk_failure("write", aside_);
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return {};
  }
  // Durable, and under its name.
  std::expected<void, std::string> commit(bool replace) {
    if (::fsync(fd_) != 0) return disk_failure("sync", aside_);
    const unsigned flags = replace ? 0 : RENAME_NOREPLACE;
    if (::renameat2(AT_FDCWD, aside_.c_str(), AT_FDCWD, path_.c_str(), flags) != 0) {
      return disk_failure("name", path_);
    }
    named_ = true;
    const std::string folder = fs::path(path_).parent_path();
    const int directory = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_CLOEXEC);
    if (directory < 0) return disk_failure("open", folder);
    const int synced = ::fsync(directory);
    ::close(directory);
    if (synced != 0) return disk_failure("sync", folder);
    return {};
  }
  const std::string& aside() const { return aside_; }

 private:
  const std::string path_;
  const std::string aside_;
  int fd_ = -1;
  bool named_ = false;
};

// How many keys it has.
std::expected<uint64_t, std::string> verify(const std::string& path) {
  const auto damaged = [](const std::string& why) {
    return Failure("what came is damaged: " + why);
  };
  auto source = storage::RdbFile::open(path);
  if (!source) return damaged(source.error());
  storage::RdbReader reader(*source, {.checksum_required = true});
  uint64_t keys = 0;
  for (;;) {
    const auto item = reader.next();
    if (!item) return damaged(item.error());
    if (*item == storage::RdbReader::Item::kEnd) return keys;
    if (*item == storage::RdbReader::Item::kKey) ++keys;
  }
}

// A snapshot's file on its way here.
class Download {
 public:
  enum class End : uint8_t {
    kWhole,
    kGone,    // newer ones have taken its place on the node
    kFailed,  // error() says why
  };

  Download(const ExportPlan& plan, const ExportProgress& progress, const TakenSnapshot& snapshot,
           FileAside& file)
      : plan_(plan), progress_(progress), snapshot_(snapshot), file_(file) {}

  End run() {
    auto patience_ends = Clock::now() + plan_.patience;
    while (got_ < size()) {
      const uint64_t before = got_;
      const Step step = go_on();
      if (step == Step::kDone) break;
      if (step == Step::kGone) return End::kGone;
      if (step == Step::kFinal) return End::kFailed;
      if (got_ > before) patience_ends = Clock::now() + plan_.patience;
      if (Clock::now() >= std::min(patience_ends, plan_.snapshot.deadline)) return End::kFailed;
      std::this_thread::sleep_for(kPause);
    }
    return End::kWhole;
  }
  const std::string& error() const { return error_; }

 private:
  enum class Step : uint8_t {
    kDone,
    kGone,
    kBroken,  // the connection; another one may go on
    kFinal,   // another one would not help
  };

  uint64_t size() const { return snapshot_.facts.bytes; }

  // Over one connection, until it breaks.
  Step go_on() {
    auto connection = Connection::connect(snapshot_.node, Clock::now() + kConnectTimeout);
    if (!connection) return broken(connection.error());
    uint64_t asked = got_;
    size_t ahead = 0;
    while (got_ < size()) {
      for (; ahead < kPartsAhead && asked < size(); ++ahead) {
        connection->append(
            std::vector<std::string>{"RAFT.SNAPSHOT", "READ", std::to_string(snapshot_.facts.index),
                                     std::to_string(snapshot_.facts.term), std::to_string(asked),
                                     std::to_string(kPartBytes)});
        asked += std::min(kPartBytes, size() - asked);
      }
      const auto part =
          connection->receive(std::min(plan_.snapshot.deadline, Clock::now() + plan_.patience));
      if (!part) return broken(part.error());
      --ahead;
      if (const Step step = take(*part); step != Step::kDone) return step;
    }
    return Step::kDone;
  }

  Step take(const Reply& part) {
    if (part.is_error() && part.text.starts_with(kGoneCode)) return Step::kGone;
    if (part.is_error()) return refused(part.text);
    if (part.text.size() != std::min(kPartBytes, size() - got_)) {
      return refused(fmt::format("{} bytes came where others were due", part.text.size()));
    }
    if (const auto written = file_.append(part.text); !written) {
      error_ = written.error();
      return Step::kFinal;
    }
    got_ += part.text.size();
    if (progress_.loading) progress_.loading(got_, size());
    return Step::kDone;
  }

  Step broken(const std::string& why) {
    error_ = fmt::format("the download from {} broke off at byte {} of {}: {}",
                         snapshot_.node.to_string(), got_, size(), why);
    return Step::kBroken;
  }
  Step refused(const std::string& why) {
    error_ = fmt::format("{} does not send the snapshot at byte {} of {}: {}",
                         snapshot_.node.to_string(), got_, size(), why);
    return Step::kFinal;
  }

  const ExportPlan& plan_;
  const ExportProgress& progress_;
  const TakenSnapshot& snapshot_;
  FileAside& file_;
  uint64_t got_ = 0;
  std::string error_;
};

}  // namespace

std::expected<ExportOutcome, std::string> run_export(const ExportPlan& plan,
                                                     const ExportProgress& progress) {
  std::error_code ignored;
  if (!plan.replace && fs::exists(plan.file, ignored)) {
    return Failure(plan.file + " is there already; --replace overwrites it");
  }
  FileAside file(plan.file);
  // Known before a node is put to work.
  if (auto opened = file.open(); !opened) return Failure(opened.error());
  ExportOutcome outcome;
  for (int start = 1;; ++start) {
    auto taken = take_snapshot(plan.snapshot, progress.saving);
    if (!taken) return Failure(taken.error());
    outcome.snapshot = *std::move(taken);
    Download download(plan, progress, outcome.snapshot, file);
    const Download::End end = download.run();
    if (end == Download::End::kWhole) break;
    if (end == Download::End::kFailed) return Failure(download.error());
    if (start == kStartsMax) {
      return Failure(fmt::format("{} takes snapshots faster than they can be downloaded",
                                 outcome.snapshot.node.to_string()));
    }
    if (auto emptied = file.begin_again(); !emptied) return Failure(emptied.error());
  }
  const auto keys = verify(file.aside());
  if (!keys) return Failure(keys.error());
  outcome.keys = *keys;
  if (auto committed = file.commit(plan.replace); !committed) return Failure(committed.error());
  return outcome;
}

}  // namespace raftkv::client
