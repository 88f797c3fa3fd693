#include "tests/sim/accounts.h"

#include <fmt/format.h>

namespace raftkv::sim {

std::string Accounts::key(uint64_t account) {
  return fmt::format("account:{}", account);
}

std::string Accounts::check_sum(const Reply& values) {
  // A WATCH from before leadership moved aborts it.
  if (values.is_nil()) return {};
  if (values.items.size() != kAccounts) return "a transaction of reads has the wrong size";
  int64_t sum = 0;
  for (const Reply& value : values.items) sum += value.integer;
  return sum == 0 ? "" : fmt::format("the accounts, read at one place, sum up to {}", sum);
}

std::string Accounts::check_final(const FinalValue& value_of) {
  Reply all;
  all.kind = Reply::Kind::kArray;
  for (uint64_t i = 0; i < kAccounts; ++i) all.items.push_back(value_of(key(i)));
  return check_sum(all);
}

void Accounts::add_read(Pipeline& pipeline) {
  pipeline.push_back(plain({"MULTI"}));
  for (uint64_t i = 0; i < kAccounts; ++i) pipeline.push_back(plain({"GET", key(i)}));
  pipeline.push_back({.args = {"EXEC"}, .replied = check_sum});
}

void Accounts::add_transfer(Pipeline& pipeline, Random& random) {
  const uint64_t from = random.below(kAccounts);
  const std::string amount = std::to_string(random.between(1, 9));
  pipeline.push_back(plain({"MULTI"}));
  pipeline.push_back(plain({"DECRBY", key(from), amount}));
  pipeline.push_back(
      plain({"INCRBY", key((from + 1 + random.below(kAccounts - 1)) % kAccounts), amount}));
  pipeline.push_back(plain({"EXEC"}));
}

Pipeline Accounts::next(Random& random) {
  if (phase_ == Phase::kDeciding) return decide(random);
  // The reads of a watched transfer failed: begin anew.
  phase_ = Phase::kIdle;
  if (random.chance(watches_)) return watch_and_read(random);
  Pipeline pipeline;
  for (size_t count = random.between(1, 3); count > 0; --count) {
    random.chance(0.5) ? add_read(pipeline) : add_transfer(pipeline, random);
  }
  return pipeline;
}

Pipeline Accounts::watch_and_read(Random& random) {
  phase_ = Phase::kReading;
  seen_.clear();
  const uint64_t from = random.below(kAccounts);
  const uint64_t to = (from + 1 + random.below(kAccounts - 1)) % kAccounts;
  Pipeline pipeline;
  pipeline.push_back(
      {.args = {"WATCH", key(from), key(to)}, .lost = [this](bool) { phase_ = Phase::kIdle; }});
  for (uint64_t account : {from, to}) {
    pipeline.push_back({.args = {"GET", key(account)},
                        .replied =
                            [this, account](const Reply& reply) {
                              seen_[key(account)] = reply.integer;
                              if (seen_.size() == 2 && phase_ == Phase::kReading) {
                                phase_ = Phase::kDeciding;
                              }
                              return std::string();
                            },
                        .lost = [this](bool) { phase_ = Phase::kIdle; }});
  }
  return pipeline;
}

// EXEC goes through only if nobody has changed what was read, so writing what was read plus or
// minus the amount keeps the sum.
Pipeline Accounts::decide(Random& random) {
  phase_ = Phase::kIdle;
  Pipeline pipeline;
  pipeline.push_back(plain({"MULTI"}));
  if (random.chance(0.3)) {
    for (const auto& [name, value] : seen_) pipeline.push_back(plain({"GET", name}));
    pipeline.push_back({.args = {"EXEC"}, .replied = [seen = seen_](const Reply& reply) {
                          if (reply.is_nil()) return std::string();
                          size_t i = 0;
                          for (const auto& [name, value] : seen) {
                            if (reply.items.at(i++).integer != value) {
                              return fmt::format("{} changed while it was watched", name);
                            }
                          }
                          return std::string();
                        }});
    add_read(pipeline);
    return pipeline;
  }
  auto amount = static_cast<int64_t>(random.between(1, 9));
  for (const auto& [name, value] : seen_) {
    pipeline.push_back(plain({"SET", name, std::to_string(value + amount)}));
    amount = -amount;
  }
  pipeline.push_back(plain({"EXEC"}));
  if (random.chance(0.5)) add_read(pipeline);
  return pipeline;
}

}  // namespace raftkv::sim
