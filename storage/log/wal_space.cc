#include "storage/log/wal_space.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace raftkv::storage {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

constexpr char kReadySuffix[] = ".spare";
constexpr char kWornSuffix[] = ".worn";
// Zeros reach the disk in steps, so that no log sync has to wait behind a long queue; and between
// two of them the disk is left to others for so many times what a step took: a spare is wanted when
// the present file is full, which takes seconds.
constexpr size_t kStepBytes = size_t{256} << 10;
constexpr int kPausePerStep = 3;

// A file written from its beginning over what is there.
class PreparedFile : public rocksdb::FSWritableFile {
 public:
  explicit PreparedFile(std::unique_ptr<rocksdb::FSRandomRWFile> file) : file_(std::move(file)) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  IODebugContext* debug) override {
    IOStatus status = file_->Write(end_, data, options, debug);
    if (status.ok()) end_ += data.size();
    return status;
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& /*verification*/,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Flush(const IOOptions& options, IODebugContext* debug) override {
    return file_->Flush(options, debug);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return file_->Sync(options, debug);
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return file_->Fsync(options, debug);
  }
  bool IsSyncThreadSafe() const override { return true; }
  // The zeros behind the end stay.
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    return file_->Close(options, debug);
  }
  uint64_t GetFileSize(const IOOptions& /*options*/, IODebugContext* /*debug*/) override {
    return end_;
  }

 private:
  std::unique_ptr<rocksdb::FSRandomRWFile> file_;
  uint64_t end_ = 0;
};

// Remembers a sync that failed.
class WatchedFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  WatchedFile(std::unique_ptr<rocksdb::FSWritableFile> file, std::atomic<bool>& sync_failed)
      : FSWritableFileOwnerWrapper(std::move(file)), sync_failed_(sync_failed) {}

  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return note(FSWritableFileOwnerWrapper::Sync(options, debug));
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return note(FSWritableFileOwnerWrapper::Fsync(options, debug));
  }

 private:
  IOStatus note(IOStatus status) {
    if (!status.ok()) sync_failed_ = true;
    return status;
  }

  std::atomic<bool>& sync_failed_;
};

}  // namespace

WalSpace::WalSpace(const std::shared_ptr<rocksdb::FileSystem>& base, std::string directory,
                   size_t files_max, size_t file_bytes, std::chrono::milliseconds comes_back_within)
    : FileSystemWrapper(base),
      directory_(std::move(directory)),
      files_max_(files_max),
      file_bytes_(file_bytes),
      comes_back_within_(comes_back_within) {}

WalSpace::~WalSpace() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void WalSpace::start() {
  if (files_max_ == 0) return;
  adopt_leftovers();
  // RocksDB wants its first file at once.
  if (ready_.empty()) {
    const std::string first = spare_name(next_number_++);
    if (make_spare(first, Pace::kAtOnce)) ready_.push_back(first + kReadySuffix);
  }
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "log-space");
}

bool WalSpace::is_wal(const std::string& name) const {
  return name.starts_with(directory_ + "/") && name.ends_with(".log");
}

// A write-ahead log may have outgrown its spare by a write, or by many if flushes were slow.
bool WalSpace::is_right_size(uint64_t bytes) const {
  return bytes >= file_bytes_ && bytes < 2 * file_bytes_;
}

std::string WalSpace::spare_name(uint64_t number) const {
  return fmt::format("{}/{:06}", directory_, number);
}

void WalSpace::adopt_leftovers() {
  std::vector<std::string> names;
  if (!target()->GetChildren(directory_, IOOptions(), &names, nullptr).ok()) return;
  const std::lock_guard lock(mutex_);
  for (const std::string& name : names) {
    if (!name.ends_with(kReadySuffix) && !name.ends_with(kWornSuffix)) continue;
    const std::string path = directory_ + "/" + name;
    // A name that is taken must not be given again.
    next_number_ = std::max<uint64_t>(next_number_, std::strtoull(name.c_str(), nullptr, 10) + 1);
    uint64_t bytes = 0;
    const bool whole = name.ends_with(kReadySuffix) && ready_.size() < files_max_ &&
                       target()->GetFileSize(path, IOOptions(), &bytes, nullptr).ok() &&
                       is_right_size(bytes);
    if (whole) {
      ready_.push_back(path);
    } else {
      target()->DeleteFile(path, IOOptions(), nullptr).PermitUncheckedError();
    }
  }
}

IOStatus WalSpace::NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                   std::unique_ptr<rocksdb::FSWritableFile>* result,
                                   IODebugContext* debug) {
  std::string spare;
  if (is_wal(name)) {
    const std::lock_guard lock(mutex_);
    if (!ready_.empty()) {
      spare = std::move(ready_.back());
      ready_.pop_back();
      comes_back_by_ = Clock::now() + comes_back_within_;
    }
  }
  std::unique_ptr<rocksdb::FSWritableFile> file;
  IOStatus status = IOStatus::NotFound("no spare is ready");
  if (!spare.empty()) {
    wake_.notify_one();  // to make another one
    status = open_prepared(spare, name, options, &file, debug);
  }
  if (!status.ok()) status = FileSystemWrapper::NewWritableFile(name, options, &file, debug);
  if (!status.ok()) return status;
  if (is_wal(name)) file = std::make_unique<WatchedFile>(std::move(file), sync_failed_);
  *result = std::move(file);
  return status;
}

// RocksDB syncs the directory before it acknowledges a write to a new file.
IOStatus WalSpace::open_prepared(const std::string& spare, const std::string& name,
                                 const rocksdb::FileOptions& options,
                                 std::unique_ptr<rocksdb::FSWritableFile>* result,
                                 IODebugContext* debug) {
  IOStatus status = target()->RenameFile(spare, name, IOOptions(), debug);
  std::unique_ptr<rocksdb::FSRandomRWFile> file;
  if (status.ok()) status = target()->NewRandomRWFile(name, options, &file, debug);
  if (status.ok()) *result = std::make_unique<PreparedFile>(std::move(file));
  return status;
}

IOStatus WalSpace::DeleteFile(const std::string& name, const IOOptions& options,
                              IODebugContext* debug) {
  if (!is_wal(name)) return FileSystemWrapper::DeleteFile(name, options, debug);
  {
    const std::lock_guard lock(mutex_);
    uint64_t bytes = 0;
    const bool wanted =
        thread_.joinable() && !ending_ && ready_.size() + worn_.size() + preparing_ < files_max_ &&
        target()->GetFileSize(name, options, &bytes, debug).ok() && is_right_size(bytes);
    const std::string worn = spare_name(next_number_);
    if (!wanted || !target()->RenameFile(name, worn + kWornSuffix, options, debug).ok()) {
      return FileSystemWrapper::DeleteFile(name, options, debug);
    }
    ++next_number_;
    worn_.push_back(worn);
    no_room_ = false;
  }
  wake_.notify_one();
  return IOStatus::OK();
}

void WalSpace::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wait_for_work(lock);
    if (ending_) return;
    std::string name;
    if (worn_.empty()) {
      name = spare_name(next_number_++);
    } else {
      name = std::move(worn_.back());
      worn_.pop_back();
    }
    preparing_ = 1;
    lock.unlock();
    const bool made = make_spare(name, Pace::kGentle);
    lock.lock();
    preparing_ = 0;
    no_room_ = !made;
    if (made) ready_.push_back(name + kReadySuffix);
  }
}

// Until there is a file to make a spare of, or the end has come.
void WalSpace::wait_for_work(std::unique_lock<std::mutex>& lock) {
  while (!ending_ && worn_.empty()) {
    const bool wanted = ready_.size() < files_max_ && !no_room_;
    if (wanted && (ready_.empty() || Clock::now() >= comes_back_by_)) return;
    if (wanted) {
      wake_.wait_until(lock, comes_back_by_);
    } else {
      wake_.wait(lock);
    }
  }
}

// False when the end has come.
bool WalSpace::pause(Clock::duration length) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, length, [this] { return ending_; });
}

// Makes a spare of a new or a worn file. It has the name of a spare only once it is one.
bool WalSpace::make_spare(const std::string& name, Pace pace) {
  const std::string worn = name + kWornSuffix;
  IOStatus status = prepare(worn, pace);
  if (status.ok()) {
    status = target()->RenameFile(worn, name + kReadySuffix, IOOptions(), nullptr);
  }
  if (status.ok()) return true;
  target()->DeleteFile(worn, IOOptions(), nullptr).PermitUncheckedError();
  return false;
}

// Makes `file` if it is not there, and fills it with zeros that are on the disk: all of it, and
// file_bytes_ at least.
IOStatus WalSpace::prepare(const std::string& file, Pace pace) {
  uint64_t bytes = 0;
  IOStatus status = target()->GetFileSize(file, IOOptions(), &bytes, nullptr);
  if (!status.ok()) {
    std::unique_ptr<rocksdb::FSWritableFile> made;
    status = target()->NewWritableFile(file, rocksdb::FileOptions(), &made, nullptr);
    if (status.ok()) status = made->Close(IOOptions(), nullptr);
  }
  std::unique_ptr<rocksdb::FSRandomRWFile> opened;
  if (status.ok()) {
    status = target()->NewRandomRWFile(file, rocksdb::FileOptions(), &opened, nullptr);
  }
  bytes = std::max<uint64_t>(bytes, file_bytes_);
  const std::string zeros(kStepBytes, '\0');
  for (uint64_t at = 0; status.ok() && at < bytes; at += zeros.size()) {
    const auto begun = Clock::now();
    const size_t step = std::min<uint64_t>(zeros.size(), bytes - at);
    status = opened->Write(at, rocksdb::Slice(zeros.data(), step), IOOptions(), nullptr);
    if (status.ok()) status = opened->Sync(IOOptions(), nullptr);
    if (!status.ok() || pace == Pace::kAtOnce) continue;
    if (!pause(kPausePerStep * (Clock::now() - begun))) status = IOStatus::Aborted("ending");
  }
  if (status.ok()) status = opened->Fsync(IOOptions(), nullptr);
  if (status.ok()) status = opened->Close(IOOptions(), nullptr);
  return status;
}

}  // namespace raftkv::storage
