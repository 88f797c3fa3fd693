// Accounts whose sum is always zero: transfers in MULTI, some of them decided by WATCH and GET, and
// reads of all accounts at one place of the log.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tests/sim/workload.h"

namespace raftkv::sim {

class Accounts final : public Workload {
 public:
  static constexpr size_t kAccounts = 4;
  // `watches`: chance that it begins a watched transfer, not one that needs no reading.
  explicit Accounts(double watches = 0.4) : watches_(watches) {}
  static std::string key(uint64_t account);
  static std::string check_sum(const Reply& values);
  static std::string check_final(const FinalValue& value_of);

  Pipeline next(Random& random) override;
  bool in_conversation() const override { return phase_ != Phase::kIdle; }
  void disconnected() override { phase_ = Phase::kIdle; }

 private:
  // A watched transfer takes two pipelines: what was read in the first decides the second.
  enum class Phase : uint8_t { kIdle, kReading, kDeciding };

  void add_read(Pipeline& pipeline);
  void add_transfer(Pipeline& pipeline, Random& random);
  Pipeline watch_and_read(Random& random);
  Pipeline decide(Random& random);

  const double watches_;
  Phase phase_ = Phase::kIdle;
  std::map<std::string, int64_t> seen_;
};

}  // namespace raftkv::sim
