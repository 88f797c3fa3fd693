// Counters: INCR tells the order in which its effects took place, so lost writes, double writes and
// stale reads all show.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tests/sim/workload.h"

namespace raftkv::sim {

// What all clients learned about each counter. Every check is one of real time: what was
// acknowledged before an operation began must be seen by it.
class CounterHistory {
 public:
  struct Operation {
    std::string key;
    bool write = false;
    int64_t floor = 0;  // the highest value known to anybody when it was called
  };

  Operation begin(const std::string& key, bool write);
  // Returns what is wrong with the result, empty if nothing is.
  std::string finish(const Operation& operation, int64_t result);
  void refused(const Operation& operation);
  std::string check_final(const FinalValue& value_of) const;

 private:
  struct Counter {
    int64_t called = 0;  // INCRs that may have taken effect
    int64_t acknowledged = 0;
    int64_t highest = 0;  // the highest value anybody saw
    std::map<int64_t, int> results;
  };
  std::map<std::string, Counter> counters_;
};

class Counters final : public Workload {
 public:
  // Who only reads is never stuck behind a write of its own: a leader that was cut off goes on
  // answering it for as long as it dares. `anywhere`: it only reads, and asks followers, too.
  Counters(CounterHistory& history, size_t keys, bool only_reads, bool anywhere = false)
      : history_(history), keys_(keys), only_reads_(only_reads || anywhere), anywhere_(anywhere) {}
  Pipeline next(Random& random) override;

 private:
  CounterHistory& history_;
  size_t keys_;
  bool only_reads_;
  bool anywhere_;
};

}  // namespace raftkv::sim
