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
#include "tests/sim/profile.h"
#include "tests/sim/registers.h"
#include "tests/sim/safety.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_node.h"
#include "tests/sim/trace.h"
#include "tests/sim/world.h"

namespace raftkv::sim {

class SimCluster {
 public:
  SimCluster(uint64_t seed, Profile profile);
  ~SimCluster();

  // Faults and clients for the profile's duration; then a majority heals and must make progress.
  // Returns what went wrong, empty if nothing did.
  std::string run();

  struct Totals {
    uint64_t simulated_us = 0;
    uint64_t states = 0;  // looked at: one after each turn of a node
    // What clients did and got.
    uint64_t acknowledged = 0;
    uint64_t unknown = 0;
    uint64_t refused = 0;
    uint64_t once_retries = 0;     // commands in sessions that were sent again
    uint64_t once_duplicates = 0;  // of these, such as had been executed already
    uint64_t judged = 0;           // operations on registers, judged as one history
    uint64_t undecided = 0;        // histories too large to be judged
    // What the cluster did.
    uint64_t leaders = 0;
    uint64_t snapshots = 0;
    uint64_t installs = 0;
    uint64_t log_cuts = 0;
    uint64_t changes = 0;        // of the membership, that were committed
    uint64_t repairs = 0;        // of nodes whose disk was damaged
    uint64_t digest_checks = 0;  // digests that were compared with a majority's
    // The faults.
    uint64_t messages = 0;  // all that were sent
    uint64_t lost = 0;      // at random; of the messages
    uint64_t duplicated = 0;
    uint64_t reordered = 0;
    uint64_t late = 0;     // by several election timeouts, at most
    uint64_t cut_off = 0;  // by a partition
    uint64_t partitions = 0;
    uint64_t one_way = 0;  // of these
    uint64_t hunts = 0;
    uint64_t forsakings = 0;
    uint64_t coups = 0;
    uint64_t stuns = 0;
    uint64_t returns = 0;
    uint64_t crashes = 0;
    uint64_t crashes_at_write = 0;
    uint64_t pauses = 0;
    uint64_t clock_jumps = 0;
    uint64_t full_disks = 0;
    uint64_t disk_hangs = 0;
    uint64_t failed_syncs = 0;
    uint64_t flipped_bits = 0;   // on disks
    uint64_t damaged_files = 0;  // snapshots that a start met
    uint64_t lost_files = 0;     // transfers of snapshots that broke off
    uint64_t flipped_files = 0;  // or were damaged on the way
    uint64_t transfers = 0;
    uint64_t wipes = 0;
  };
  const Totals& totals() const { return totals_; }
  // Each event is printed.
  void set_verbose() { trace_.turn_on(); }

 private:
  void add_node(const std::vector<server::Member>& members, const server::Member& member,
                bool joins);
  void play();
  void route(raft::Message message);
  void carry(SnapshotTransfer transfer);
  void carry_part(std::shared_ptr<SnapshotTransfer> transfer, uint64_t parts, uint64_t life);
  void change_members();
  bool choose_change(const raft::Membership& membership, raft::NodeId leader,
                     raft::MemberChange& change);
  void follow_membership();
  bool may_damage() const;
  bool is_lost(const SimNode& node) const { return lost_.contains(node.id()); }
  bool all_sound() const;
  std::string states() const;
  std::string unbounded_log() const;

  // --- sim_cluster_faults.cc
  void fault_tick();
  void fault_of(SimNode& node);
  void crash(SimNode& node);
  void pause(SimNode& node);
  void wipe(SimNode& node);
  void disk_faults(SimNode& node);
  bool is_leader(uint64_t id);
  SimNode* leader();
  void partition();
  void isolate(const SimNode& node);
  void hunt_leader();
  void hunt_tick();
  void forsake_leader();
  void stun_leader();
  void deafen(uint64_t id);
  void coup();
  void forget_promises(uint64_t leader, uint64_t pretender);
  void return_tick();
  void estrange();
  void mend();
  void tell_cuts(const char* why) const;

  std::vector<std::unique_ptr<Workload>> draw_workloads(uint64_t client,
                                                        const SimClient::Character& character);
  void fail(std::string what);
  void heal();
  void check_progress();
  bool agreed() const;
  bool counts(const SimNode& node) const;  // it is up, and a member
  bool finished() const;
  void check_agreement();
  std::string check_values(SimNode& node);

  World world_;
  Trace trace_{world_};
  Profile profile_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  CounterHistory counters_;
  OnceHistory once_;
  AppendHistory appends_;
  DeadlineHistory deadlines_;
  RegisterHistory registers_{world_};
  Safety safety_;
  std::set<std::pair<uint64_t, uint64_t>> cut_;  // from -> to
  bool cuts_in_flight_ = true;                   // what was on its way is lost, too
  uint64_t hunt_ends_us_ = 0;                    // until then the leader is cut off, whoever it is
  uint64_t hunted_ = 0;
  uint64_t forsaken_ = 0;      // hears nothing from when it tells somebody to lead
  uint64_t coup_ends_us_ = 0;  // until then one is under way
  uint64_t home_ = 0;          // the node to which leadership returns
  std::set<uint64_t> side_;    // who was last cut off along with a leader
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> link_delay_us_;
  bool faults_on_ = true;
  raft::MembershipAt members_;     // the newest that is committed, as far as any node knows
  std::set<uint64_t> were_added_;  // nodes that were members once
  std::set<uint64_t> retired_;     // were removed and have been stopped
  std::set<uint64_t> lost_;        // their disks are gone
  std::string failure_;
  Totals totals_;
};

}  // namespace raftkv::sim
