// Most worlds are hostile in many ways at once. These hunt one kind of mistake: little else goes
// wrong in them, and what the mistake needs happens often enough to be seen.
#pragma once

#include "tests/sim/profile.h"
#include "tests/sim/world.h"

namespace raftkv::sim {

// Some worlds have nearly every fault, others only a few, which many at once would hide.
class Faults {
 public:
  explicit Faults(Random& random) : random_(random), hostility_(kHostility[random.below(3)]) {}

  double sometimes(double most) {
    return random_.chance(hostility_) ? most * static_cast<double>(random_.below(1000)) / 1000 : 0;
  }

 private:
  static constexpr double kHostility[] = {0.15, 0.3, 0.5};

  Random& random_;
  const double hostility_;
};

// Makes of some worlds, of several nodes, narrow ones; leaves the others as they are.
void draw_narrow_world(Random& random, Faults& faults, Profile& profile);

}  // namespace raftkv::sim
