#include "storage/log/disk_room.h"

#include <rocksdb/env.h>

#include <chrono>
#include <utility>

namespace raftkv::storage {
namespace {

constexpr uint64_t kLookAfterBytes = uint64_t{1} << 20;
constexpr uint64_t kLookAfterMs = 200;
constexpr size_t kSmallWriteBytes = size_t{64} << 10;
// Once in the write-ahead log, once in a table file.
constexpr uint64_t kCopies = 2;

uint64_t now_ms() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

}  // namespace

DiskRoom::DiskRoom(rocksdb::Env* env, std::string path, const DiskRoomLimits& limits)
    : env_(env), path_(std::move(path)), limits_(limits) {}

bool DiskRoom::allows(size_t bytes) {
  const uint64_t now = now_ms();
  written_since_look_ += kCopies * bytes;
  const bool small = bytes <= kSmallWriteBytes;
  const uint64_t floor = small ? limits_.reserve_bytes / 2 : limits_.reserve_bytes;
  const bool look_again = !looked_ || written_since_look_ >= kLookAfterBytes ||
                          now - looked_at_ms_ >= kLookAfterMs || running_out();
  if (look_again) {
    look();
    looked_ = true;
    looked_at_ms_ = now;
    written_since_look_ = kCopies * bytes;
  }
  return free_.load(std::memory_order_relaxed) >= floor + written_since_look_;
}

void DiskRoom::look() {
  const uint64_t free = free_bytes();
  free_.store(free, std::memory_order_relaxed);
  const uint64_t low = limits_.reserve_bytes + limits_.slack_bytes;
  // Who was told to stop is not told to go on for a few bytes.
  const uint64_t enough = running_out() ? low + limits_.slack_bytes / 4 : low;
  running_out_.store(free < enough, std::memory_order_relaxed);
}

// A disk that can't say is taken for roomy: then the writes themselves will tell.
uint64_t DiskRoom::free_bytes() const {
  uint64_t free = 0;
  if (!env_->GetFreeSpace(path_, &free).ok()) return UINT64_MAX / 2;
  return free;
}

}  // namespace raftkv::storage
