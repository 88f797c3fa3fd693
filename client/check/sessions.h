// What must hold even where reads may be stale: a value that was read was really written, before
// the read returned; and a client's session goes forward only (Terry et al., Session Guarantees,
// 1994): it reads its own writes, or newer ones (read your writes), and never an older value than
// it read before (monotonic reads).
//
// Which of two values is the older one must be known for that. It is where each value of a register
// is written once: by the times of the writes and by what each client saw in turn. And where a key
// only grows: a counter, a list that is pushed to, a string that is appended to. Of other keys only
// the first rule is checked.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/check/operation.h"

namespace raftkv::client::check {

struct StaleViolation {
  uint32_t key = 0;
  std::string reason;
  std::vector<const Operation*> operations;  // that show it, by call
};

// The first one found, by the order of keys.
std::optional<StaleViolation> check_sessions(const History& history);

}  // namespace raftkv::client::check
