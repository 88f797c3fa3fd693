#include "tests/sim/counters.h"

#include <fmt/format.h>

#include <algorithm>

namespace raftkv::sim {

CounterHistory::Operation CounterHistory::begin(const std::string& key, bool write) {
  Counter& counter = counters_[key];
  if (write) ++counter.called;
  return {key, write, counter.highest};
}

std::string CounterHistory::finish(const Operation& operation, int64_t result) {
  Counter& counter = counters_[operation.key];
  if (result > counter.called) {
    return fmt::format("{} has the value {} after at most {} increments", operation.key, result,
                       counter.called);
  }
  if (operation.write) {
    ++counter.acknowledged;
    if (result <= operation.floor) {
      return fmt::format("INCR {} replied {}, but {} was known before it began", operation.key,
                         result, operation.floor);
    }
    if (++counter.results[result] > 1) {
      return fmt::format("two INCRs of {} replied {}", operation.key, result);
    }
  } else if (result < operation.floor) {
    return fmt::format("stale read: GET {} replied {}, but {} was known before it began",
                       operation.key, result, operation.floor);
  }
  counter.highest = std::max(counter.highest, result);
  return {};
}

void CounterHistory::refused(const Operation& operation) {
  if (operation.write) --counters_[operation.key].called;
}

std::string CounterHistory::check_final(const FinalValue& value_of) const {
  for (const auto& [key, counter] : counters_) {
    const int64_t value = value_of(key).integer;
    if (value < counter.acknowledged || value < counter.highest || value > counter.called) {
      return fmt::format("{} ends as {}; {} increments were acknowledged, {} may have happened",
                         key, value, counter.acknowledged, counter.called);
    }
  }
  return {};
}

Pipeline Counters::next(Random& random) {
  Pipeline pipeline;
  if (anywhere_) pipeline.push_back(plain({"READONLY"}));
  for (size_t count = random.between(1, 6); count > 0; --count) {
    const std::string key = fmt::format("counter:{}", random.below(keys_));
    const bool write = !only_reads_ && random.chance(0.5);
    pipeline.push_back(
        {.args = {write ? "INCR" : "GET", key},
         .replied = [this, operation = history_.begin(key, write)](
                        const Reply& reply) { return history_.finish(operation, reply.integer); },
         .lost =
             [this, operation = history_.begin(key, false), write](bool maybe) {
               if (!maybe && write) history_.refused({operation.key, true, 0});
             }});
  }
  return pipeline;
}

}  // namespace raftkv::sim
