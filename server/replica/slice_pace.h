// How long a turn may spend on work that can wait (a snapshot's walk, a digest's), so that those
// who wait for an answer hardly notice: a tenth of the loop's time while others need it, and what
// they leave over. A client's write passes the loop several times before it is answered, and each
// time waits for one such slice.
#pragma once

#include <algorithm>
#include <cstdint>

namespace raftkv::server {

class SlicePace {
 public:
  // No turn spends more than `most_us`.
  explicit SlicePace(uint64_t most_us) : most_us_(most_us) {}

  // Microseconds, at `now` of the clock that ended() is told: a ninth of what all else has taken
  // since the last slice, and so much at least that an idle loop gets on.
  uint64_t slice_us(uint64_t now) const {
    return std::min(most_us_,
                    std::max((now - std::min(now, ended_us_)) / kOthersPerSlice, kLeastUs));
  }
  void ended(uint64_t now) { ended_us_ = now; }

 private:
  static constexpr uint64_t kOthersPerSlice = 9;
  static constexpr uint64_t kLeastUs = 20;

  const uint64_t most_us_;
  uint64_t ended_us_ = 0;
};

}  // namespace raftkv::server
