// Checks a whole history, part by part, and shows the earliest violation as small as it gets.
#pragma once

#include <string>
#include <vector>

#include "client/check/problem.h"
#include "client/check/search.h"

namespace raftkv::client::check {

// Is there a valid order? By the fastest way that is exact for this problem.
SearchResult decide(const Problem& problem, const SearchLimits& limits);

struct Violation {
  Problem whole;            // all operations on these keys
  int64_t at = 0;           // the history until then, and not before, has no valid order
  std::vector<Entry> core;  // the operations that contradict each other, by call
  // Each one of the core is needed: were it anything else, a valid order would exist. False if
  // the limits ended the shrinking early: the core then holds more than it must.
  bool minimal = false;
};

// `problem` is a violation. `not_before`: a time until which the history is known to have a valid
// order; kAlways if none is known.
Violation shrink(const Problem& problem, int64_t not_before, const SearchLimits& limits);

struct CheckReport {
  Verdict verdict = Verdict::kLinearizable;
  size_t operations = 0;
  size_t keys = 0;
  size_t parts = 0;                      // sets of keys checked on their own
  std::vector<uint32_t> violated_keys;   // the first key of each part
  std::vector<uint32_t> undecided_keys;  // the same
  std::string limit;                     // which limit left the first one undecided
  std::vector<Violation> violations;     // one: the earliest, if any
};

CheckReport check_linearizable(History& history, const SearchLimits& limits);

}  // namespace raftkv::client::check
