// A small seeded generator (SplitMix64): the only use of chance in the core is to draw timeouts.
#pragma once

#include <cstdint>

namespace raftkv::raft {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  // From [0, bound); bound > 0. Timeouts are far too small for the remainder's bias to matter.
  uint64_t below(uint64_t bound) { return next() % bound; }

 private:
  uint64_t state_;
};

}  // namespace raftkv::raft
