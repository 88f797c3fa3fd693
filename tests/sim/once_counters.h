// Counters that are incremented in sessions, each increment as often as it takes until it has an
// answer: in the end each counter is exactly the number of its increments, and no two got the same
// answer.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>

#include "tests/sim/workload.h"

namespace raftkv::sim {

// What all clients learned.
class OnceHistory {
 public:
  void begin(const std::string& key) { ++counters_[key].begun; }
  // Returns what is wrong with the answer, empty if nothing is. `floor` was known when it began.
  std::string finish(const std::string& key, int64_t result, int64_t floor);
  int64_t highest(const std::string& key) { return counters_[key].highest; }
  // Only once no increment is open any more.
  std::string check_final(const FinalValue& value_of) const;
  uint64_t retries = 0;

 private:
  struct Counter {
    int64_t begun = 0;
    int64_t finished = 0;
    int64_t highest = 0;
    std::set<int64_t> answers;
  };
  std::map<std::string, Counter> counters_;
};

class OnceCounters final : public Workload {
 public:
  OnceCounters(OnceHistory& history, size_t keys) : history_(history), keys_(keys) {}
  Pipeline next(Random& random) override;
  // Whoever stops now would leave increments of which nobody knows whether they happened.
  void stop() override { stopping_ = true; }
  bool unfinished() const override { return !open_.empty(); }

 private:
  struct Increment {
    std::string key;
    int64_t floor = 0;
    bool sent = false;
  };

  Step open_session(Random& random);
  Step increment(uint64_t sequence, Random& random);
  Step repeated(uint64_t sequence, const std::string& key, int64_t answer);
  std::vector<std::string> call(uint64_t sequence, const std::string& key, bool tell_lowest) const;

  OnceHistory& history_;
  size_t keys_;
  bool stopping_ = false;
  int64_t session_ = 0;  // 0: none yet
  uint64_t last_sequence_ = 0;
  std::map<uint64_t, Increment> open_;  // by sequence number, those without an answer
  // Some that have theirs: asking again must give it again, until ACK has passed them.
  std::map<uint64_t, std::pair<std::string, int64_t>> answered_;
};

}  // namespace raftkv::sim
