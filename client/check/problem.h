// What one search is asked: can these operations, on keys that no other operation touches, be put
// into an order that explains all replies?
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "client/check/operation.h"

namespace raftkv::client::check {

constexpr int64_t kAlways = std::numeric_limits<int64_t>::min();

// An operation as a search sees it, which may ask less of it than the history says.
struct Entry {
  const Operation* operation = nullptr;
  int64_t call = 0;
  int64_t returned = kNever;
  bool optional = false;    // may also have no effect; then `returned` is kNever
  bool check_reply = true;  // else its reply may have been anything
};

struct Problem {
  History* history = nullptr;
  std::vector<uint32_t> keys;  // sorted
  std::vector<Entry> entries;  // sorted by call
};

// Linearizability is local (Herlihy & Wing 1990): a history is linearizable if its part on each
// object is, an object being here a set of keys linked by transactions. Searching the parts one by
// one is what Horn & Faulkner 2015 call P-compositionality. Failed operations, and reads nobody got
// the reply of, are left out. Parts are in the order of their first key.
std::vector<Problem> split(History& history);

Entry entry_of(const Operation& operation);

// All its actions are reads whose replies count: it changes nothing wherever it stands.
bool is_read(const History& history, const Entry& entry);

// Can't matter: it need not have happened, and changes nothing if it has.
bool is_idle(const History& history, const Entry& entry);

// The part of the history until `time`, with time's own events: what returned by then did happen;
// what was called by then may have, with the reply that it got later; the rest is not there.
Problem prefix(const Problem& problem, int64_t time);

// Without optional writes of contents that nothing asks for. Exact: such a write can be taken out
// of any valid order, and what stands between it and the next write could stand without it.
Problem without_unread_writes(const Problem& problem);

}  // namespace raftkv::client::check
