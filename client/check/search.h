// The general search: Wing & Gong's algorithm (1993) as improved by Lowe (2017): try every
// operation that may be next, depth first, and never go twice into a configuration, which is the
// set of operations already ordered together with the state they led to.
//
// Four things keep it small; each leaves the answer as it is (the tests compare with trying all
// orders):
// - A read that fits the state now is taken at once: wherever else it may stand, it may stand here.
// - An operation that may or may not have happened is taken as late as possible: only directly
//   before one that would not do the same without it or before it.
// - Of those that do the same, the one called first is taken first.
// - Where all contents have known writers: a state is not left while a read of it is still to come
//   and nothing is left that could write it again.
#pragma once

#include <chrono>
#include <cstdint>

#include "client/check/problem.h"

namespace raftkv::client::check {

enum class Verdict : uint8_t { kLinearizable, kViolation, kUndecided };

struct SearchLimits {
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
  size_t memory_bytes_max = size_t{2} << 30;  // of configurations and states
  uint64_t steps_max = UINT64_MAX;            // operations put into the order, taken back ones too
};

struct SearchResult {
  Verdict verdict = Verdict::kUndecided;
  // Of a violation: the first time at which the history until then has no valid order.
  int64_t violated_at = 0;
  uint64_t steps = 0;
  const char* limit = "";  // of undecided: which limit ended it
};

// What it adds to the history's cells is forgotten again.
SearchResult search(const Problem& problem, const SearchLimits& limits);

}  // namespace raftkv::client::check
