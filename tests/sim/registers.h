// Registers that all clients write, read, delete and append to. What everybody did and saw is
// written down and judged in the end as one history: is there an order of all operations that
// explains every reply?
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "client/check/operation.h"
#include "tests/sim/workload.h"

namespace raftkv::sim {

class RegisterHistory {
 public:
  using Kind = client::check::ActionKind;

  explicit RegisterHistory(const World& world) : world_(world) {}

  // A key is in use for a while, then another: so that each one's history stays short.
  std::string key(uint64_t number) const;
  std::string new_value() { return std::to_string(++last_value_); }
  // Its number. `value` is what is written, if anything.
  size_t begin(uint64_t client, Kind kind, const std::string& key, const std::string& value);
  void finish(size_t operation, const Reply& reply);
  void lose(size_t operation, bool maybe);
  // Returns what is wrong, empty if nothing is. Once.
  std::string judge();

  uint64_t operations() const { return history_.operations.size(); }
  uint64_t undecided() const { return undecided_; }

 private:
  const World& world_;
  client::check::History history_;
  std::map<std::string, uint32_t> keys_;
  uint64_t last_value_ = 0;
  uint64_t undecided_ = 0;
};

class Registers final : public Workload {
 public:
  Registers(RegisterHistory& history, uint64_t client, size_t keys, bool only_reads)
      : history_(history), client_(client), keys_(keys), only_reads_(only_reads) {}
  Pipeline next(Random& random) override;

 private:
  RegisterHistory& history_;
  uint64_t client_;
  size_t keys_;
  bool only_reads_;
};

}  // namespace raftkv::sim
