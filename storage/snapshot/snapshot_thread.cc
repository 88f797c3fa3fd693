#include "storage/snapshot/snapshot_thread.h"

#include <pthread.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "storage/snapshot/crc64.h"
#include "storage/snapshot/rdb_packer.h"

namespace raftkv::storage {
namespace {

using Clock = std::chrono::steady_clock;
using Outcome = std::expected<void, std::string>;

constexpr int kNiceness = 10;  // a tenth of the share of a thread that competes for the same core

class SnapshotThread final : public SnapshotWriter {
 public:
  SnapshotThread(std::unique_ptr<SnapshotSink> sink, SnapshotWriterOptions options)
      : sink_(std::move(sink)), options_(std::move(options)) {
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), "snap-writer");
  }
  ~SnapshotThread() override {
    abandon();
    thread_.join();
  }
  SnapshotThread(const SnapshotThread&) = delete;
  SnapshotThread& operator=(const SnapshotThread&) = delete;

  size_t backlog_bytes() const override { return backlog_.load(std::memory_order_relaxed); }
  size_t queue_bytes() const override { return options_.queue_bytes; }
  uint64_t bytes_written() const override { return written_.load(std::memory_order_relaxed); }

  void submit(RdbBlock block) override {
    backlog_ += block.bytes.size();
    const std::lock_guard lock(mutex_);
    // After the end nobody reads the queue any more.
    if (state_ != State::kWriting) return;
    queue_.push_back(std::move(block));
    wake_.notify_one();
  }
  void finish() override {
    const std::lock_guard lock(mutex_);
    finishing_ = true;
    wake_.notify_one();
  }
  void abandon() override {
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
    wake_.notify_one();
  }

  State state() const override {
    const std::lock_guard lock(mutex_);
    return state_;
  }
  std::string error() const override {
    const std::lock_guard lock(mutex_);
    return error_;
  }

 private:
  enum class Next : uint8_t { kBlock, kCommit, kStop };

  void run() {
    be_patient();
    const Outcome outcome = write_all();
    const bool done = outcome.has_value() && committed_;
    sink_.reset();  // removes an unfinished file
    {
      const std::lock_guard lock(mutex_);
      state_ = !outcome ? State::kFailed : done ? State::kDone : State::kAbandoned;
      if (!outcome) error_ = outcome.error();
      queue_.clear();
    }
    wake_owner();
  }

  // On a busy machine those who answer clients go first. On Linux this is about the thread alone;
  // to ask for less than one has is always granted.
  static void be_patient() { ::setpriority(PRIO_PROCESS, 0, kNiceness); }

  Outcome write_all() {
    if (Outcome opened = sink_->open(); !opened) return opened;
    RdbBlock block;
    while (true) {
      switch (next(block)) {
        case Next::kBlock:
          if (Outcome written = write_block(block); !written) return written;
          continue;
        case Next::kCommit:
          if (Outcome committed = commit(); !committed) return committed;
          committed_ = true;
          return {};
        case Next::kStop:
          return {};
      }
    }
  }

  Next next(RdbBlock& block) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return abandoned_ || finishing_ || !queue_.empty(); });
    if (abandoned_) return Next::kStop;
    if (queue_.empty()) return Next::kCommit;
    block = std::move(queue_.front());
    queue_.pop_front();
    return Next::kBlock;
  }

  Outcome write_block(const RdbBlock& block) {
    taken_ += block.bytes.size();
    packed_.clear();
    packer_.pack(block, packed_);
    checksum_ = crc64(checksum_, packed_);
    if (Outcome appended = sink_->append(packed_); !appended) return appended;
    written_.store(sink_->bytes(), std::memory_order_relaxed);
    // One huge value does not hold its room for the rest of the file.
    if (packed_.capacity() > 4 * options_.queue_bytes) packed_ = {};
    const size_t before = backlog_.fetch_sub(block.bytes.size());
    const bool full_before = before >= options_.queue_bytes;
    if (full_before && before - block.bytes.size() < options_.queue_bytes) wake_owner();
    keep_to_rate();
    return {};
  }

  Outcome commit() {
    if (options_.append_checksum) {
      const std::string_view bytes(reinterpret_cast<const char*>(&checksum_), sizeof(checksum_));
      if (Outcome appended = sink_->append(bytes); !appended) return appended;
      written_.store(sink_->bytes(), std::memory_order_relaxed);
    }
    return sink_->commit();
  }

  // Sleeps until so many bytes may have been taken; abandon() ends it. What becomes shorter on the
  // way costs no less to walk and to pack.
  void keep_to_rate() {
    if (options_.bytes_per_second_max == 0) return;
    const double seconds =
        static_cast<double>(taken_) / static_cast<double>(options_.bytes_per_second_max);
    const auto until = begun_ + std::chrono::duration_cast<Clock::duration>(
                                    std::chrono::duration<double>(seconds));
    std::unique_lock lock(mutex_);
    wake_.wait_until(lock, until, [this] { return abandoned_; });
  }

  void wake_owner() {
    if (options_.on_progress) options_.on_progress();
  }

  // --- the thread's own
  std::unique_ptr<SnapshotSink> sink_;
  const SnapshotWriterOptions options_;
  const Clock::time_point begun_ = Clock::now();
  RdbPacker packer_{options_.compress};
  std::string packed_;
  uint64_t taken_ = 0;  // bytes, before they were packed
  uint64_t checksum_ = 0;
  bool committed_ = false;

  std::atomic<size_t> backlog_ = 0;
  std::atomic<uint64_t> written_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<RdbBlock> queue_;
  bool finishing_ = false;
  bool abandoned_ = false;
  State state_ = State::kWriting;
  std::string error_;

  std::thread thread_;
};

}  // namespace

std::unique_ptr<SnapshotWriter> start_snapshot_thread(std::unique_ptr<SnapshotSink> sink,
                                                      SnapshotWriterOptions options) {
  return std::make_unique<SnapshotThread>(std::move(sink), std::move(options));
}

}  // namespace raftkv::storage
