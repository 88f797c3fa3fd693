#include "tests/sim/once_counters.h"

#include <fmt/format.h>

#include <algorithm>

namespace raftkv::sim {

namespace {

constexpr size_t kOpenMax = 8;
constexpr size_t kAnsweredMax = 4;

}  // namespace

std::string OnceHistory::finish(const std::string& key, int64_t result, int64_t floor) {
  Counter& counter = counters_[key];
  ++counter.finished;
  if (!counter.answers.insert(result).second) {
    return fmt::format("two increments of {} in sessions were answered with {}", key, result);
  }
  if (result <= floor || result > counter.begun) {
    return fmt::format("{} was incremented in a session to {}; {} was known before, {} were begun",
                       key, result, floor, counter.begun);
  }
  counter.highest = std::max(counter.highest, result);
  return {};
}

std::string OnceHistory::check_final(const FinalValue& value_of) const {
  for (const auto& [key, counter] : counters_) {
    if (counter.finished != counter.begun) {
      return fmt::format("{} of {} increments of {} never got an answer",
                         counter.begun - counter.finished, counter.begun, key);
    }
    if (const int64_t value = value_of(key).integer; value != counter.begun) {
      return fmt::format("{} ends as {} after {} increments in sessions", key, value,
                         counter.begun);
    }
  }
  return {};
}

Pipeline OnceCounters::next(Random& random) {
  Pipeline pipeline;
  if (session_ == 0) {
    pipeline.push_back(open_session(random));
    return pipeline;
  }
  // First what has no answer, in order or not; then something new, and what has been answered.
  for (const auto& [sequence, one] : open_) pipeline.push_back(increment(sequence, random));
  if (pipeline.size() > 1 && random.chance(0.3)) std::swap(pipeline.front(), pipeline.back());
  if (stopping_) return pipeline;
  if (open_.size() < kOpenMax && !random.chance(0.2)) {
    for (size_t count = random.between(1, 4); count > 0; --count) {
      const std::string key = fmt::format("once:{}", random.below(keys_));
      history_.begin(key);
      open_[++last_sequence_] = {key, history_.highest(key), false};
      pipeline.push_back(increment(last_sequence_, random));
    }
  }
  for (const auto& [sequence, one] : answered_) {
    if (random.chance(0.1)) pipeline.push_back(repeated(sequence, one.first, one.second));
  }
  if (pipeline.empty()) pipeline.push_back(plain({"DEL", "nothing"}));
  return pipeline;
}

Step OnceCounters::open_session(Random& random) {
  // Some are left to expire: every replica must forget them at the same place.
  if (random.chance(0.3)) return plain({"RAFT.SESSION", "OPEN", "TTL", "1"});
  // The others must not, though wall clocks jump by hours and a node that starts believes its own.
  return {.args = {"RAFT.SESSION", "OPEN", "TTL", "315360000"},
          .replied = [this](const Reply& reply) -> std::string {
            session_ = reply.integer;
            return session_ > 0 ? "" : "a session without a number";
          }};
}

std::vector<std::string> OnceCounters::call(uint64_t sequence, const std::string& key,
                                            bool tell_lowest) const {
  std::vector<std::string> args = {"RAFT.ONCE", std::to_string(session_), std::to_string(sequence)};
  if (tell_lowest) {
    uint64_t lowest = sequence;
    if (!open_.empty()) lowest = std::min(lowest, open_.begin()->first);
    if (!answered_.empty()) lowest = std::min(lowest, answered_.begin()->first);
    args.insert(args.end(), {"ACK", std::to_string(lowest)});
  }
  args.insert(args.end(), {"INCR", key});
  return args;
}

Step OnceCounters::increment(uint64_t sequence, Random& random) {
  Increment& one = open_.at(sequence);
  if (one.sent) ++history_.retries;
  one.sent = true;
  // Whether refused or lost, it stays open and is sent again.
  return {.args = call(sequence, one.key, random.chance(0.5)),
          .replied = [this, sequence](const Reply& reply) {
            const Increment done = std::move(open_.extract(sequence).mapped());
            answered_[sequence] = {done.key, reply.integer};
            if (answered_.size() > kAnsweredMax) answered_.erase(answered_.begin());
            return history_.finish(done.key, reply.integer, done.floor);
          }};
}

Step OnceCounters::repeated(uint64_t sequence, const std::string& key, int64_t answer) {
  return {.args = call(sequence, key, false), .replied = [key, answer](const Reply& reply) {
            return reply.integer == answer
                       ? std::string()
                       : fmt::format(
                             "an increment of {} was answered with {}, and when it was sent "
                             "again with {}",
                             key, answer, reply.integer);
          }};
}

}  // namespace raftkv::sim
