// Keys that only one client writes: it knows exactly what each command of a pipeline must see, its
// own earlier writes and none of its later ones, and that a refused write had no effect.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "tests/sim/workload.h"

namespace raftkv::sim {

class OwnKeys final : public Workload {
 public:
  explicit OwnKeys(uint64_t client) : key_("own:" + std::to_string(client)) {}
  Pipeline next(Random& random) override;

 private:
  Step set();
  Step get();
  void add_transaction(Pipeline& pipeline);
  std::string saw(const std::string& value);

  const std::string key_;
  uint64_t next_value_ = 0;
  // What it may hold: the last acknowledged value, and those since whose fate nobody knows. Empty
  // text: nothing.
  std::set<std::string> possible_{""};
};

}  // namespace raftkv::sim
