// Simulated time and chance: everything that happens in a simulation is an event of this queue, and
// everything random comes from its one generator, so a seed replays exactly.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

namespace raftkv::sim {

// xoshiro256** by Blackman and Vigna, seeded by splitmix64: the same numbers on every platform.
class Random {
 public:
  explicit Random(uint64_t seed);
  uint64_t next();
  // In [0, bound).
  uint64_t below(uint64_t bound) { return next() % bound; }
  // In [from, to].
  uint64_t between(uint64_t from, uint64_t to) { return from + below(to - from + 1); }
  bool chance(double probability) {
    return static_cast<double>(next() >> 11) * 0x1.0p-53 < probability;
  }

 private:
  uint64_t state_[4];
};

class World {
 public:
  explicit World(uint64_t seed) : random_(seed) {}

  uint64_t now_us() const { return now_us_; }
  Random& random() { return random_; }

  // Events at the same time happen in the order in which they were scheduled.
  void after(uint64_t delay_us, std::function<void()> event) {
    events_.push({now_us_ + delay_us, sequence_++, std::move(event)});
  }
  // False when nothing is left to happen before `end_us`.
  bool step(uint64_t end_us);
  void run_until(uint64_t end_us) {
    while (step(end_us)) {
    }
    now_us_ = end_us;
  }

 private:
  struct Event {
    uint64_t time_us;
    uint64_t sequence;
    std::function<void()> run;
    bool operator<(const Event& other) const {
      return time_us != other.time_us ? time_us > other.time_us : sequence > other.sequence;
    }
  };

  Random random_;
  uint64_t now_us_ = 1'000'000;
  uint64_t sequence_ = 0;
  std::priority_queue<Event> events_;
};

}  // namespace raftkv::sim
