// What a simulated client does, one pipeline after the other, and what it may observe doing it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/sim/reply.h"
#include "tests/sim/world.h"

namespace raftkv::sim {

// One command. Exactly one of its two functions is called, once; either may be empty.
struct Step {
  std::vector<std::string> args;
  // Its reply, which is no error. Returns what is wrong with it, empty if nothing is.
  std::function<std::string(const Reply&)> replied{};
  // It was refused (MOVED and the like: it surely has no effect), or, with `maybe`, nobody knows.
  std::function<void(bool maybe)> lost{};
};

using Pipeline = std::vector<Step>;
// The value of a key on some replica in the end, nil if there is none.
using FinalValue = std::function<Reply(const std::string& key)>;

// The part of a workload that one client plays. All clients share what they learned: a history.
class Workload {
 public:
  virtual ~Workload() = default;
  // What to send next. All steps of the pipeline before are over.
  virtual Pipeline next(Random& random) = 0;
  // The next pipeline belongs to the one before: no other workload comes between.
  virtual bool in_conversation() const { return false; }
  // From now on it begins nothing new, and is asked for more only while it has something to end.
  virtual void stop() {}
  virtual bool unfinished() const { return false; }
  // What it reads may be older than what was committed when it asked.
  virtual bool reads_stale() const { return false; }
  // The connection ended, and with it what it held.
  virtual void disconnected() {}
};

inline Step plain(std::vector<std::string> args) {
  return {.args = std::move(args)};
}

}  // namespace raftkv::sim
