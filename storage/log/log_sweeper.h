// The log's housekeeping thread: gives back the space of entries that a cut dropped, and looks
// after the room on the disk. Neither may delay a sync.
//
// How does a cut free space? RocksDB deletes a table file whose keys are all before the cut without
// reading or rewriting anything, at the price of an entry in its manifest. No tombstone is written
// that later reads would pay for; what is left of dropped entries (in the file that holds the cut,
// in memory) is behind nobody's reads, which begin at the log's first index, and goes with a later
// sweep. The blocks of a deleted table are freed little by little (gradual_delete.h).
#pragma once

#include <rocksdb/listener.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace raftkv::storage {

class LogSweeper {
 public:
  // `sweep` is called on the thread after each request(), `look` about once a second.
  LogSweeper(std::function<void()> sweep, std::function<void()> look);
  ~LogSweeper();

  void start();
  // No call is under way when it returns, and none will follow until start().
  void stop();
  // Any thread; several become one.
  void request();

 private:
  void run();

  const std::function<void()> sweep_;
  const std::function<void()> look_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool requested_ = false;
  bool ending_ = false;
  std::thread thread_;
};

// RocksDB's calls: new table files may hold nothing but dropped entries, so they are swept; an
// error in the background that is for want of room is remembered.
class LogListener : public rocksdb::EventListener {
 public:
  explicit LogListener(LogSweeper& sweeper) : sweeper_(sweeper) {}

  bool background_full() const { return background_full_; }
  void forget_background_full() { background_full_ = false; }

  void OnFlushCompleted(rocksdb::DB* /*db*/, const rocksdb::FlushJobInfo& /*info*/) override {
    sweeper_.request();
  }
  void OnCompactionCompleted(rocksdb::DB* /*db*/,
                             const rocksdb::CompactionJobInfo& /*info*/) override {
    sweeper_.request();
  }
  void OnBackgroundError(rocksdb::BackgroundErrorReason /*reason*/,
                         rocksdb::Status* error) override {
    if (error->IsNoSpace()) background_full_ = true;
  }

 private:
  LogSweeper& sweeper_;
  std::atomic<bool> background_full_ = false;
};

}  // namespace raftkv::storage
