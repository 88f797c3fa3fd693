// Spreads bytes over time: a rate that several transfers share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace raftkv::server {

// Times are nanoseconds of one clock. What was not used in the last kBurstNs may be caught up.
class Pacer {
 public:
  static constexpr uint64_t kBurstNs = 20'000'000;
  // Pieces of a slow transfer are made small, so that they come at least this often.
  static constexpr uint64_t kPiecesPerSecond = 20;
  static constexpr size_t kPieceBytesMin = 4096;

  // 0: no limit.
  explicit Pacer(uint64_t bytes_per_s) : rate_(bytes_per_s) {}

  // How long to wait before the next piece, 0 if it may leave.
  uint64_t delay_ns(uint64_t now_ns) const {
    return rate_ == 0 || next_ns_ <= now_ns ? 0 : next_ns_ - now_ns;
  }
  // A piece leaves.
  void take(size_t bytes, uint64_t now_ns) {
    if (rate_ == 0) return;
    const uint64_t earliest = now_ns > kBurstNs ? now_ns - kBurstNs : 0;
    next_ns_ = std::max(next_ns_, earliest) +
               static_cast<uint64_t>(1e9 * static_cast<double>(bytes) / static_cast<double>(rate_));
  }
  size_t piece_bytes(size_t wanted) const {
    if (rate_ == 0) return wanted;
    return std::min<uint64_t>(wanted, std::max<uint64_t>(kPieceBytesMin, rate_ / kPiecesPerSecond));
  }

 private:
  uint64_t rate_;
  uint64_t next_ns_ = 0;
};

}  // namespace raftkv::server
