// Keys with a time to live. Each value is set once, so a value that was seen gone and is seen again
// came back from the dead.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tests/sim/workload.h"

namespace raftkv::sim {

class DeadlineHistory {
 public:
  // With `strict`, nothing in the run lets a replica's clock fall behind by more than its rate, and
  // a value may not be seen long after its time.
  DeadlineHistory(const World& world, bool strict) : world_(world), strict_(strict) {}

  std::string new_value() { return std::to_string(++next_value_); }
  uint64_t tick() { return ++now_; }
  void acknowledged(const std::string& key, const std::string& value, uint64_t lives_ms);
  // A read that began at tick `began` and world time `began_us`.
  std::string read(const std::string& key, const Reply& reply, uint64_t began, uint64_t began_us);
  uint64_t world_us() const { return world_.now_us(); }
  bool strict() const { return strict_; }

 private:
  struct Value {
    uint64_t there_since = 0;  // tick at which it was surely set
    uint64_t gone_since = 0;   // tick at which it surely was no more; 0: perhaps still there
    uint64_t ends_us = UINT64_MAX;
  };

  const World& world_;
  bool strict_;
  uint64_t next_value_ = 0;
  uint64_t now_ = 0;
  std::map<std::string, std::map<std::string, Value>> values_;
};

class Deadlines final : public Workload {
 public:
  Deadlines(DeadlineHistory& history, size_t keys) : history_(history), keys_(keys) {}
  Pipeline next(Random& random) override;

 private:
  DeadlineHistory& history_;
  size_t keys_;
};

}  // namespace raftkv::sim
