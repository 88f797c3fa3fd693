// What happens in a simulation, one line an event with its simulated time. Silent unless it is
// turned on, and then costs nothing.
#pragma once

#include <fmt/format.h>

#include <utility>

#include "tests/sim/world.h"

namespace raftkv::sim {

class Trace {
 public:
  explicit Trace(const World& world) : world_(world) {}

  void turn_on() { on_ = true; }
  bool on() const { return on_; }

  template <typename... Args>
  void say(fmt::format_string<Args...> text, Args&&... args) const {
    if (!on_) return;
    fmt::print("{:>10.6f} s  {}\n", static_cast<double>(world_.now_us()) / 1e6,
               fmt::format(text, std::forward<Args>(args)...));
  }

 private:
  const World& world_;
  bool on_ = false;
};

}  // namespace raftkv::sim
