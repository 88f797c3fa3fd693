// A whole cluster in one process: nodes, the network between them, clients, faults and checks, all
// from one seed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/sim_client.h"
#include "tests/sim/sim_node.h"
#include "tests/sim/world.h"

namespace raftkv::sim {

struct Profile {
  size_t nodes = 3;
  size_t clients = 4;
  size_t keys = 3;
  uint64_t duration_us = 8'000'000;
  double loss = 0;
  double duplicate = 0;
  uint64_t delay_us_max = 500;
  double reorder = 0;     // chance that a message takes up to 20 times as long
  double partitions = 0;  // each of these: chance in each tenth of a second
  double crashes = 0;
  double pauses = 0;
  double clock_jumps = 0;
  double transfers = 0;
  NodeProfile node;

  static Profile draw(Random& random);
};

class SimCluster {
 public:
  SimCluster(uint64_t seed, Profile profile);
  ~SimCluster();

  // Faults and clients for the profile's duration; then a majority heals and must make progress.
  // Returns what went wrong, empty if nothing did.
  std::string run();

  struct Totals {
    uint64_t acknowledged = 0;
    uint64_t unknown = 0;
    uint64_t refused = 0;
    uint64_t leaders = 0;
    uint64_t crashes = 0;
    uint64_t partitions = 0;
    uint64_t pauses = 0;
    uint64_t messages = 0;
  };
  const Totals& totals() const { return totals_; }

 private:
  void route(raft::Message message);
  void fault_tick();
  void partition();
  void check(SimNode& node);
  void fail(std::string what);
  void heal();
  void check_progress();

  World world_;
  Profile profile_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  History history_;
  std::set<std::pair<uint64_t, uint64_t>> cut_;  // from -> to
  bool faults_on_ = true;
  std::string failure_;
  Totals totals_;

  // What was once true and must stay so.
  std::map<raft::Term, uint64_t> leader_of_term_;
  struct Committed {
    uint64_t time_us = 0;
    data::Keyspace::Digest digest;
  };
  std::map<raft::Index, Committed> committed_;  // by applied index
};

}  // namespace raftkv::sim
