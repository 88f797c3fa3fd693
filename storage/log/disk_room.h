// Watches the room on the log's disk, so that writes stop before the disk is full: RocksDB must
// still be able to flush what it has accepted, or it gives up.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

namespace rocksdb {
class Env;
}

namespace raftkv::storage {

struct DiskRoomLimits {
  // Nothing is written while the disk has less than this; a write that holds hardly anything (a
  // vote, a leader's first entry) may use half of it.
  uint64_t reserve_bytes = 0;
  // running_out() from here on: room for what was accepted before anybody looked.
  uint64_t slack_bytes = 0;
};

class DiskRoom {
 public:
  // `env` must outlive this.
  DiskRoom(rocksdb::Env* env, std::string path, const DiskRoomLimits& limits);

  // The writing thread: whether so many bytes may be written now. Asks the system now and then
  // only.
  bool allows(size_t bytes);
  // Any thread: asks the system.
  void look();
  // Any thread.
  bool running_out() const { return running_out_.load(std::memory_order_relaxed); }

 private:
  uint64_t free_bytes() const;

  rocksdb::Env* const env_;
  const std::string path_;
  const DiskRoomLimits limits_;

  std::atomic<uint64_t> free_ = 0;
  std::atomic<bool> running_out_ = false;

  // The writing thread's.
  uint64_t written_since_look_ = 0;
  uint64_t looked_at_ms_ = 0;
  bool looked_ = false;
};

}  // namespace raftkv::storage
