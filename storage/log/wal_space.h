// Write-ahead log files for RocksDB whose blocks were written before, with zeros, in the
// background.
//
// Why? A sync of bytes appended to a file also commits the file system's journal, because the file
// has grown; a sync of bytes written over existing blocks does not. On an ext4 that makes a synced
// write of some kilobytes about 1.6 times faster. RocksDB's own means, recycle_log_file_num,
// crashes in release 7.8 (SyncClosedLogs closes a file that MarkLogsSynced then looks at) whenever
// there is more than one column family, and is off in all but one recovery mode anyway.
//
// A spare file is prepared under another name, synced, and renamed when RocksDB asks for its next
// write-ahead log; a file that RocksDB deletes becomes the next spare. What lies behind the last
// write is zeros, which RocksDB takes for the end of a preallocated file. If no spare is ready, or
// there is no room for one, RocksDB gets an ordinary file: spares make it faster, nothing else.
#pragma once

#include <rocksdb/file_system.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace raftkv::storage {

class WalSpace : public rocksdb::FileSystemWrapper {
 public:
  // Looks after the write-ahead log of the database in `directory`, and passes everything else on
  // to `base`. `files_max` spares of `file_bytes` each are kept. RocksDB gives a file back when
  // what is in it has been flushed, some time after the next one has been begun; for so long no new
  // file is made if there is a spare left: to allocate blocks, and to free those of the other file,
  // costs the disk more than to write zeros over what is there.
  WalSpace(const std::shared_ptr<rocksdb::FileSystem>& base, std::string directory,
           size_t files_max, size_t file_bytes,
           std::chrono::milliseconds comes_back_within = std::chrono::seconds(2));
  ~WalSpace() override;

  // Whether a sync of a write-ahead log has ever failed: then nothing may be written again,
  // whatever else RocksDB says of that write. Any thread.
  bool sync_failed() const { return sync_failed_; }

  // Starts to prepare spares (if any are wanted); those that an earlier process left are used or
  // removed. Returns when the first one is ready. `directory` exists.
  void start();

  const char* Name() const override { return "raftkv.WalSpace"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;

 private:
  using Clock = std::chrono::steady_clock;
  enum class Pace : uint8_t { kAtOnce, kGentle };

  rocksdb::IOStatus open_prepared(const std::string& spare, const std::string& name,
                                  const rocksdb::FileOptions& options,
                                  std::unique_ptr<rocksdb::FSWritableFile>* result,
                                  rocksdb::IODebugContext* debug);
  bool is_wal(const std::string& name) const;
  bool is_right_size(uint64_t bytes) const;
  std::string spare_name(uint64_t number) const;
  void adopt_leftovers();
  void run();
  void wait_for_work(std::unique_lock<std::mutex>& lock);
  bool make_spare(const std::string& name, Pace pace);
  rocksdb::IOStatus prepare(const std::string& file, Pace pace);
  bool pause(Clock::duration length);

  const std::string directory_;
  const size_t files_max_;
  const size_t file_bytes_;
  const std::chrono::milliseconds comes_back_within_;

  std::atomic<bool> sync_failed_ = false;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::string> ready_;   // paths: zeroed and synced
  std::vector<std::string> worn_;    // given back by RocksDB: paths without their suffix
  size_t preparing_ = 0;             // 1 while the thread works on a file
  Clock::time_point comes_back_by_;  // until then a file may be given back
  uint64_t next_number_ = 1;
  bool ending_ = false;
  bool no_room_ = false;  // the last attempt failed: not again until a file comes back

  std::thread thread_;
};

}  // namespace raftkv::storage
