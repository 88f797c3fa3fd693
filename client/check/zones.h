// Registers that are only set and read, each value written at most once: linearizability is then
// decided without a search (Gibbons & Korach, Testing Shared Memories, 1997).
#pragma once

#include <optional>

#include "client/check/problem.h"

namespace raftkv::client::check {

// True or false: the exact answer. Nothing: the problem is of another kind. n log n steps.
//
// Each write with the reads of its value is a cluster. A cluster A must be ordered before B if some
// operation of A returned before one of B was called: if the first return of A is before the last
// call of B. The problem has a valid order exactly if no read returned before its write was called
// and no two clusters must each come before the other; longer cycles contain such a pair.
std::optional<bool> zones_linearizable(const Problem& problem);

}  // namespace raftkv::client::check
