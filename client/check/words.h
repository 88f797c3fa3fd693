// Operations in words, for people.
#pragma once

#include <string>

#include "client/check/checker.h"

namespace raftkv::client::check {

// set 'b' | get | cas 'a' -> 'b' | txn of 3. With the key's name where `with_key`.
std::string command_text(const History& history, const Operation& operation, bool with_key);
// What the client was told: 'a' | 5 | swapped | ok | unknown.
std::string reply_text(const History& history, const Operation& operation);
// "1.250 ms", from `origin`; "never" for kNever.
std::string time_text(int64_t time, int64_t origin);

// Why the violation is one, as a sentence or two. Falls back to naming what was tried in vain.
std::string explain(const Violation& violation);

}  // namespace raftkv::client::check
