// The clock by which a node stamps the entries it proposes: wall time, but never backwards, never
// standing still and never jumping.
//
// Why not the wall clock itself? It may be set back (then every TTL would freeze until it caught
// up) or forward (then locks would expire early). And a leader before us may have stamped entries
// with a clock ahead of ours. So the log clock advances with the monotonic clock, and is steered
// towards the wall clock by at most a tenth of the time that passed.
#pragma once

#include <algorithm>
#include <cstdint>

namespace raftkv::server {

class LogClock {
 public:
  // Moves on to the monotonic time `monotonic_us`; `floor_us` is the time of the last entry of the
  // log. Returns the log time, microseconds since 1970.
  uint64_t advance(uint64_t monotonic_us, uint64_t wall_us, uint64_t floor_us) {
    if (!started_) {
      started_ = true;
      now_us_ = wall_us;
    } else if (monotonic_us > monotonic_us_) {
      const auto elapsed = static_cast<int64_t>(monotonic_us - monotonic_us_);
      const int64_t most = elapsed / kSteerDivisor;
      const auto behind = static_cast<int64_t>(wall_us) - static_cast<int64_t>(now_us_) - elapsed;
      now_us_ += static_cast<uint64_t>(elapsed + std::clamp(behind, -most, most));
    }
    monotonic_us_ = std::max(monotonic_us_, monotonic_us);
    now_us_ = std::max(now_us_, floor_us);
    return now_us_;
  }

  uint64_t now_us() const { return now_us_; }

 private:
  static constexpr int64_t kSteerDivisor = 10;

  bool started_ = false;
  uint64_t monotonic_us_ = 0;
  uint64_t now_us_ = 0;
};

}  // namespace raftkv::server
