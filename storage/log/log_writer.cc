#include "storage/log/log_writer.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <span>
#include <thread>
#include <utility>

#include "storage/log/die.h"

namespace raftkv::storage {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kHistogramBuckets = 18;  // the last one begins at 6.5 seconds
constexpr uint64_t kFirstBucketUs = 100;
constexpr std::chrono::milliseconds kRetryFullDiskEvery{50};

size_t bucket_of(uint64_t sync_us) {
  const auto bucket = static_cast<size_t>(std::bit_width(sync_us / kFirstBucketUs));
  return std::min(bucket, kHistogramBuckets - 1);
}

size_t bytes_of(const raft::Persist& persist) {
  size_t bytes = 0;
  for (const raft::Entry& entry : persist.entries) bytes += entry.bytes();
  return bytes;
}

uint64_t payload_bytes_of(std::span<const raft::Persist> group) {
  uint64_t bytes = 0;
  for (const raft::Persist& persist : group) {
    for (const raft::Entry& entry : persist.entries) bytes += entry.payload_size();
  }
  return bytes;
}

}  // namespace

class LogWriter::Impl {
 public:
  Impl(LogStore& store, std::function<void()> on_durable,
       std::function<void(const std::string&)> on_failure, const LogWriterOptions& options)
      : store_(store),
        on_durable_(std::move(on_durable)),
        on_failure_(std::move(on_failure)),
        options_(options) {
    stats_.sync_histogram.resize(kHistogramBuckets);
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), "log-writer");
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void submit(raft::Persist persist) {
    bool asleep = false;
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(std::move(persist));
      asleep = asleep_;
      work_waits_.store(true, std::memory_order_relaxed);
    }
    // A writer that is busy looks at the queue by itself: no system call for it.
    if (asleep) wake_.notify_one();
  }

  std::vector<raft::Persist> take_durable() {
    std::vector<raft::Persist> durable;
    const std::lock_guard lock(mutex_);
    durable.swap(durable_);
    return durable;
  }

  bool disk_full() const { return waits_for_room_ || store_.disk_full(); }

  LogWriterStats stats() const {
    const std::lock_guard lock(mutex_);
    return stats_;
  }

 private:
  void run() {
    std::vector<raft::Persist> work;
    while (wait_for_work(work)) {
      std::span<raft::Persist> rest(work);
      while (!rest.empty()) {
        const std::span<raft::Persist> group = rest.first(group_size(rest));
        if (!write_group(group)) return;
        rest = rest.subspan(group.size());
      }
      work.clear();
    }
  }

  // Takes the whole queue. False when the end has come and nothing is left.
  bool wait_for_work(std::vector<raft::Persist>& work) {
    if (options_.spin_us > 0) spin();
    std::unique_lock lock(mutex_);
    asleep_ = true;
    wake_.wait(lock, [this] { return !queue_.empty() || ending_; });
    asleep_ = false;
    work.swap(queue_);
    work_waits_.store(false, std::memory_order_relaxed);
    return !work.empty();
  }

  void spin() const {
    const auto end = Clock::now() + std::chrono::microseconds(options_.spin_us);
    while (!work_waits_.load(std::memory_order_relaxed) && Clock::now() < end) {
      std::this_thread::yield();
    }
  }

  size_t group_size(std::span<const raft::Persist> waiting) const {
    size_t bytes = 0;
    for (size_t i = 0; i < waiting.size(); ++i) {
      bytes += bytes_of(waiting[i]);
      if (i > 0 && bytes > options_.group_bytes_max) return i;
    }
    return waiting.size();
  }

  // False if the end came while the disk was full.
  bool write_group(std::span<raft::Persist> group) {
    pointers_.clear();
    for (const raft::Persist& persist : group) pointers_.push_back(&persist);

    auto start = Clock::now();
    auto written = store_.write(pointers_);
    while (!written) {
      if (!written.error().disk_full) {
        on_failure_(written.error().text);
        die("the log writer was to go on after a failed write: " + written.error().text);
      }
      if (!wait_for_room()) return false;
      start = Clock::now();
      written = store_.write(pointers_);
    }
    waits_for_room_.store(false, std::memory_order_relaxed);
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);

    const uint64_t payload_bytes = payload_bytes_of(group);
    // The payloads are let go of here rather than on the owner's thread, which has more to do.
    for (raft::Persist& persist : group) persist.entries = {};
    {
      const std::lock_guard lock(mutex_);
      std::ranges::move(group, std::back_inserter(durable_));
      count(group.size(), payload_bytes, static_cast<uint64_t>(took.count()));
    }
    on_durable_();
    return true;
  }

  // False when the end has come.
  bool wait_for_room() {
    if (!waits_for_room_.exchange(true)) on_durable_();  // the owner may want to know
    std::unique_lock lock(mutex_);
    return !wake_.wait_for(lock, kRetryFullDiskEvery, [this] { return ending_; });
  }

  void count(size_t persists, uint64_t payload_bytes, uint64_t sync_us) {
    stats_.syncs += 1;
    stats_.persists += persists;
    stats_.bytes += payload_bytes;
    stats_.last_sync_us = sync_us;
    stats_.sync_histogram[bucket_of(sync_us)] += 1;
  }

  LogStore& store_;
  const std::function<void()> on_durable_;
  const std::function<void(const std::string&)> on_failure_;
  const LogWriterOptions options_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<raft::Persist> queue_;    // submitted
  std::vector<raft::Persist> durable_;  // not yet taken back
  bool asleep_ = false;
  bool ending_ = false;
  LogWriterStats stats_;

  std::atomic<bool> waits_for_room_ = false;    // the disk is full
  std::atomic<bool> work_waits_ = false;        // queue_ is not empty; for the spin only
  std::vector<const raft::Persist*> pointers_;  // the writer's own: the group being written

  std::thread thread_;
};

LogWriter::LogWriter(LogStore& store, std::function<void()> on_durable,
                     std::function<void(const std::string& error)> on_failure,
                     const LogWriterOptions& options)
    : impl_(std::make_unique<Impl>(store, std::move(on_durable), std::move(on_failure), options)) {}

LogWriter::~LogWriter() = default;

void LogWriter::submit(raft::Persist persist) {
  impl_->submit(std::move(persist));
}
std::vector<raft::Persist> LogWriter::take_durable() {
  return impl_->take_durable();
}
bool LogWriter::disk_full() const {
  return impl_->disk_full();
}
LogWriterStats LogWriter::stats() const {
  return impl_->stats();
}

}  // namespace raftkv::storage
