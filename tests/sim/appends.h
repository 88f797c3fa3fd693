// Strings that only grow: APPEND tells the place of each piece, so the whole order is known, and a
// read shows a prefix of it. Stale reads on followers must be prefixes too, and never shrink on one
// connection.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tests/sim/workload.h"

namespace raftkv::sim {

class AppendHistory {
 public:
  // A piece that nobody else appends.
  std::string new_piece(const std::string& key);
  size_t known_length(const std::string& key) { return lists_[key].highest; }
  // An APPEND that began when `floor` bytes were known gave this length.
  std::string appended(const std::string& key, const std::string& piece, size_t floor,
                       size_t length);
  std::string read(const std::string& key, const std::string& value, size_t floor);
  void refused(const std::string& piece);
  std::string check_final(const FinalValue& value_of);

 private:
  struct List {
    std::string text;                            // what was seen of it
    size_t highest = 0;                          // the greatest length that anybody knows
    std::map<size_t, std::string> acknowledged;  // where each begins
  };
  enum class Fate : uint8_t { kMaybe, kRefused };

  std::map<std::string, List> lists_;
  std::map<std::string, Fate> pieces_;
  uint64_t next_piece_ = 0;
};

class Appends final : public Workload {
 public:
  Appends(AppendHistory& history, size_t keys) : history_(history), keys_(keys) {}
  Pipeline next(Random& random) override;

 private:
  AppendHistory& history_;
  size_t keys_;
};

// Reads of the same strings on whichever node it is connected to.
class StaleReads final : public Workload {
 public:
  StaleReads(AppendHistory& history, size_t keys) : history_(history), keys_(keys) {}
  Pipeline next(Random& random) override;
  bool reads_stale() const override { return true; }
  void disconnected() override;

 private:
  AppendHistory& history_;
  size_t keys_;
  bool readonly_ = false;
  std::map<std::string, size_t> seen_;
};

}  // namespace raftkv::sim
