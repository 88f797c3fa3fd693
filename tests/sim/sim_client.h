// Clients of a simulated cluster and what they saw. Each works on counters: INCR tells the order in
// which its effects took place, so lost writes, double writes and stale reads all show.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "server/replica/session.h"
#include "tests/sim/sim_node.h"
#include "tests/sim/world.h"

namespace raftkv::sim {

// What all clients learned about each counter. Every check is one of real time: what was
// acknowledged before an operation began must be seen by it.
class History {
 public:
  struct Operation {
    std::string key;
    bool write = false;
    int64_t floor = 0;  // the highest value known to anybody when it was called
  };

  Operation begin(const std::string& key, bool write);
  // Returns what is wrong with the result, empty if nothing is.
  std::string finish(const Operation& operation, int64_t result);
  void unknown(const Operation& operation);
  void refused(const Operation& operation);
  // The counter's value in the end.
  std::string check_final(const std::string& key, int64_t value) const;

 private:
  struct Counter {
    int64_t called = 0;  // INCRs that may have taken effect
    int64_t acknowledged = 0;
    int64_t highest = 0;  // the highest value anybody saw
    std::map<int64_t, int> results;
  };
  std::map<std::string, Counter> counters_;
};

class SimClient final : public server::SessionOwner {
 public:
  struct Totals {
    uint64_t acknowledged = 0;
    uint64_t unknown = 0;
    uint64_t refused = 0;
  };

  SimClient(World& world, std::vector<SimNode*> nodes, History& history, size_t keys,
            std::function<void(std::string)> fail);
  ~SimClient() override;

  void start() { think(); }
  void stop() { stopped_ = true; }
  // The node this client talks to has crashed.
  void connection_lost(SimNode& node);
  const Totals& totals() const { return totals_; }

  void output_ready() override { output_ready_ = true; }
  void may_resume() override { resume_ = true; }
  // After each turn of the node it is connected to.
  void node_turned();

 private:
  void think();
  void act();
  void issue_pipeline();
  void execute_waiting();
  void read_replies();
  void on_reply(std::string_view reply);
  void disconnect();

  struct Pending {
    History::Operation operation;
    std::vector<std::string> args;
    bool sent = false;
  };

  World& world_;
  std::vector<SimNode*> nodes_;
  History& history_;
  size_t keys_;
  std::function<void(std::string)> fail_;
  Totals totals_;
  bool stopped_ = false;

  SimNode* node_ = nullptr;
  server::Session* session_ = nullptr;
  uint64_t life_ = 0;
  size_t preferred_ = 0;
  bool output_ready_ = false;
  bool resume_ = false;
  uint64_t patience_ = 0;  // numbers the pipelines, for the timeout of each
  std::deque<Pending> pending_;
};

}  // namespace raftkv::sim
