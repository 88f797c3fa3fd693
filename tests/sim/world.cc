#include "tests/sim/world.h"

namespace raftkv::sim {

namespace {

uint64_t rotate_left(uint64_t value, int bits) {
  return (value << bits) | (value >> (64 - bits));
}

}  // namespace

Random::Random(uint64_t seed) {
  for (uint64_t& word : state_) {
    seed += 0x9e3779b97f4a7c15;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    word = z ^ (z >> 31);
  }
}

uint64_t Random::next() {
  const uint64_t result = rotate_left(state_[1] * 5, 7) * 9;
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = rotate_left(state_[3], 45);
  return result;
}

bool World::step(uint64_t end_us) {
  if (events_.empty() || events_.top().time_us > end_us) return false;
  // The queue gives its top as const; the event is moved out just before it is removed.
  Event event = std::move(const_cast<Event&>(events_.top()));
  events_.pop();
  now_us_ = event.time_us;
  event.run();
  return true;
}

}  // namespace raftkv::sim
