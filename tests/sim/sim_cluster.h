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

#include "tests/sim/accounts.h"
#include "tests/sim/appends.h"
#include "tests/sim/counters.h"
#include "tests/sim/deadlines.h"
#include "tests/sim/once_counters.h"
#include "tests/sim/own_keys.h"
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
  double slow_links = 0;  // chance that a link, in one direction, takes longer than the others
  double reorder = 0;     // chance that a message takes up to 20 times as long
  double partitions = 0;  // each of these: chance in each tenth of a second
  double crashes = 0;
  double pauses = 0;
  double clock_jumps = 0;
  double transfers = 0;
  double changes = 0;     // of the membership
  double disk_full = 0;   // for a while
  double damage = 0;      // chance that a crash damages the disk, if the others can repair it
  double lost_files = 0;  // chance that the transfer of a snapshot fails
  size_t spares = 0;      // nodes that may be added
  NodeProfile node;

  // Whether something in it can make a replica's clock fall behind by more than its rate: it stands
  // still in a process that is stopped, and is told late of what the leader's clock was.
  bool disturbs_clocks() const {
    return partitions > 0 || crashes > 0 || pauses > 0 || clock_jumps > 0 || loss > 0 ||
           reorder > 0 || slow_links > 0 || node.stops_in_turn > 0 || node.disk.slow_chance > 0 ||
           changes > 0 || disk_full > 0 || damage > 0;
  }
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
    uint64_t snapshots = 0;
    uint64_t installs = 0;
    uint64_t log_cuts = 0;
    uint64_t changes = 0;  // of the membership, that were committed
    uint64_t repairs = 0;
    uint64_t damaged_files = 0;
    uint64_t full_disks = 0;
    uint64_t once_retries = 0;     // commands in sessions that were sent again
    uint64_t once_duplicates = 0;  // of these, such as had been executed already
    uint64_t digest_checks = 0;    // digests that were compared with a majority's
  };
  const Totals& totals() const { return totals_; }
  void set_verbose() { verbose_ = true; }

 private:
  void add_node(const std::vector<server::Member>& members, const server::Member& member,
                bool joins);
  void play();
  void route(raft::Message message);
  void carry(SnapshotTransfer transfer);
  void carry_part(std::shared_ptr<SnapshotTransfer> transfer, uint64_t parts, uint64_t life);
  void change_members();
  void follow_membership();
  bool may_damage() const;
  std::string states() const;
  std::string unbounded_log() const;
  void fault_tick();
  void partition();
  void isolate_leader();
  std::vector<std::unique_ptr<Workload>> draw_workloads(uint64_t client,
                                                        const SimClient::Character& character);
  void check(SimNode& node);
  void fail(std::string what);
  void heal();
  void check_progress();
  bool agreed() const;
  bool counts(const SimNode& node) const;  // it is up, and a member
  bool finished() const;
  void check_agreement();
  std::string check_values(SimNode& node);

  World world_;
  Profile profile_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  CounterHistory counters_;
  OnceHistory once_;
  AppendHistory appends_;
  DeadlineHistory deadlines_;
  std::set<std::pair<uint64_t, uint64_t>> cut_;  // from -> to
  bool cuts_in_flight_ = true;                   // what was on its way is lost, too
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> link_delay_us_;
  bool faults_on_ = true;
  bool verbose_ = false;
  raft::MembershipAt members_;     // the newest that is committed, as far as any node knows
  std::set<uint64_t> were_added_;  // nodes that were members once
  std::set<uint64_t> retired_;     // were removed and have been stopped
  std::string failure_;
  Totals totals_;

  std::map<std::pair<uint64_t, uint64_t>, raft::Index> checked_;  // (node, life) -> applied index

  // What was once true and must stay so.
  std::map<raft::Term, uint64_t> leader_of_term_;
  struct Committed {
    uint64_t time_us = 0;
    data::Keyspace::Digest digest;
  };
  std::map<raft::Index, Committed> committed_;  // by applied index
};

}  // namespace raftkv::sim
