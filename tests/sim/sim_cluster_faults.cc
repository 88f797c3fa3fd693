// What goes wrong in a simulated cluster, and when.
#include <fmt/format.h>

#include <algorithm>

#include "tests/sim/sim_cluster.h"

namespace raftkv::sim {

namespace {

constexpr uint64_t kFaultTickUs = 100'000;
// How often whoever hunts the leader looks where it is.
constexpr uint64_t kHuntTickUs = 10'000;
// A process that dies and is started at once.
constexpr uint64_t kRestartUsMax = 20'000;
constexpr int64_t kClockJumpUsMax = 3'600'000'000;

}  // namespace

void SimCluster::fault_tick() {
  if (!faults_on_) return;
  world_.after(kFaultTickUs, [this] { fault_tick(); });
  Random& random = world_.random();
  if (random.chance(profile_.partitions)) partition();
  if (random.chance(profile_.hunts) && world_.now_us() >= hunt_ends_us_) hunt_leader();
  if (random.chance(profile_.forsakings)) forsake_leader();
  if (random.chance(profile_.coups)) coup();
  if (random.chance(profile_.stuns)) stun_leader();
  if (!cut_.empty() && random.chance(0.1)) mend();
  follow_membership();
  if (random.chance(profile_.changes)) change_members();
  for (auto& node : nodes_) {
    if (!retired_.contains(node->id()) && !is_lost(*node)) fault_of(*node);
  }
}

void SimCluster::fault_of(SimNode& node) {
  Random& random = world_.random();
  if (!node.up()) {
    // A spare begins its first life when it is to be added.
    if (node.life() != 0 && random.chance(0.3)) node.start();
    return;
  }
  if (random.chance(profile_.wipes) && may_damage()) return wipe(node);
  if (random.chance(profile_.crashes)) return crash(node);
  if (random.chance(profile_.pauses) && !node.paused()) pause(node);
  if (random.chance(profile_.crashes_at_write)) {
    ++totals_.crashes_at_write;
    node.crash_at_write();
  }
  if (random.chance(profile_.clock_jumps)) {
    ++totals_.clock_jumps;
    const int64_t us = static_cast<int64_t>(random.below(2 * kClockJumpUsMax)) - kClockJumpUsMax;
    trace_.say("the wall clock of node {} jumps by {} us", node.id(), us);
    node.shift_wall_clock(us);
  }
  if (random.chance(profile_.transfers)) {
    ++totals_.transfers;
    trace_.say("node {} is asked to hand over leadership", node.id());
    node.enqueue([&node] { node.replica().transfer(0); });
  }
  disk_faults(node);
}

// --- processes and disks -----------------------------------------------------------------------

void SimCluster::crash(SimNode& node) {
  ++totals_.crashes;
  node.crash();
  if (!world_.random().chance(profile_.damage) || !may_damage()) return;
  if (!node.damage_disk()) return;
  ++totals_.flipped_bits;
  trace_.say("a bit is flipped on the disk of node {}", node.id());
}

void SimCluster::pause(SimNode& node) {
  ++totals_.pauses;
  const uint64_t us = world_.random().between(1'000, 1'500'000);
  trace_.say("node {} is paused for {} us", node.id(), us);
  node.pause();
  world_.after(us, [&node] { node.resume(); });
}

// The machine is gone, and what was on its disk. Its owner gives another one, under a new id, the
// place (change_members).
void SimCluster::wipe(SimNode& node) {
  ++totals_.wipes;
  trace_.say("node {} loses its disk for good", node.id());
  lost_.insert(node.id());
  node.crash();
}

void SimCluster::disk_faults(SimNode& node) {
  Random& random = world_.random();
  if (random.chance(profile_.disk_full) && !node.disk_full()) {
    ++totals_.full_disks;
    const uint64_t us = random.between(10'000, 3'000'000);
    trace_.say("the disk of node {} is full for {} us", node.id(), us);
    node.set_disk_full(true);
    world_.after(us, [&node] { node.set_disk_full(false); });
  }
  if (random.chance(profile_.disk_hangs)) {
    ++totals_.disk_hangs;
    const uint64_t us = random.between(500'000, 5'000'000);
    trace_.say("the disk of node {} hangs for {} us", node.id(), us);
    node.hang_disk(us);
  }
  if (random.chance(profile_.failed_syncs)) {
    trace_.say("the next sync of node {} will fail", node.id());
    node.fail_next_sync();
  }
}

// --- partitions --------------------------------------------------------------------------------

bool SimCluster::is_leader(uint64_t id) {
  SimNode& node = *nodes_[id - 1];
  return node.up() && node.replica().node().is_leader();
}

// Of those that take themselves for it, the newest.
SimNode* SimCluster::leader() {
  SimNode* newest = nullptr;
  for (auto& node : nodes_) {
    if (!is_leader(node->id())) continue;
    if (newest == nullptr || node->replica().node().term() > newest->replica().node().term()) {
      newest = node.get();
    }
  }
  return newest;
}

void SimCluster::tell_cuts(const char* why) const {
  if (!trace_.on()) return;
  std::string text;
  for (const auto& [from, to] : cut_) text += fmt::format(" {}>{}", from, to);
  trace_.say("{}: cut{}", why, text);
}

void SimCluster::mend() {
  cut_.clear();
  hunt_ends_us_ = 0;
  trace_.say("all links are whole");
}

// Cuts the leader off, or splits the cluster, or cuts single directions or single links.
void SimCluster::partition() {
  Random& random = world_.random();
  ++totals_.partitions;
  cuts_in_flight_ = random.chance(0.5);
  SimNode* const leads = leader();
  if (leads != nullptr && random.chance(0.5)) {
    isolate(*leads);
    return tell_cuts("the leader is cut off");
  }
  cut_.clear();
  const bool one_way = random.chance(0.3);
  if (one_way) ++totals_.one_way;
  // In a partial one only some of the links between the sides are cut.
  const double cut_chance = random.chance(0.3) ? 0.5 : 1;
  std::vector<bool> side(nodes_.size() + 1);
  for (size_t i = 1; i <= nodes_.size(); ++i) side[i] = random.chance(0.5);
  for (uint64_t a = 1; a <= nodes_.size(); ++a) {
    for (uint64_t b = 1; b <= nodes_.size(); ++b) {
      if (side[a] == side[b] || !random.chance(cut_chance)) continue;
      if (!one_way || side[a]) cut_.insert({a, b});
    }
  }
  tell_cuts("the nodes are parted");
}

// The case in which two nodes take themselves for the leader. With companions, less than half of
// all, it goes on making a log that the others do not know.
void SimCluster::isolate(const SimNode& node) {
  Random& random = world_.random();
  side_ = {node.id()};
  while (2 * (side_.size() + 1) < profile_.nodes && random.chance(profile_.companions)) {
    side_.insert(random.between(1, profile_.nodes));
  }
  const bool hears = random.chance(0.3);
  const bool speaks = !hears && random.chance(0.3);
  if (hears || speaks) ++totals_.one_way;
  for (uint64_t inside : side_) {
    for (auto& other : nodes_) {
      if (side_.contains(other->id())) continue;
      if (!speaks) cut_.insert({inside, other->id()});
      if (!hears) cut_.insert({other->id(), inside});
    }
  }
}

void SimCluster::hunt_leader() {
  ++totals_.hunts;
  hunt_ends_us_ = world_.now_us() + world_.random().between(500'000, 3'000'000);
  hunted_ = 0;
  hunt_tick();
}

// Those that led before are released when there is a new leader: then it is its turn.
void SimCluster::hunt_tick() {
  if (!faults_on_ || hunt_ends_us_ == 0) return;
  if (world_.now_us() >= hunt_ends_us_) return mend();
  world_.after(kHuntTickUs, [this] { hunt_tick(); });
  SimNode* const leads = leader();
  if (leads == nullptr || leads->id() == hunted_) return;
  // The new leader has a while to do something that the old one does not know of.
  if (hunted_ != 0 && !world_.random().chance(0.05)) return;
  hunted_ = leads->id();
  cut_.clear();
  isolate(*leads);
  tell_cuts("the leader is hunted");
}

// Leadership is handed over, and the old leader hears nothing of what comes of it. It is the case
// in which a new leader is elected fastest, while the old one has no reason to doubt.
void SimCluster::forsake_leader() {
  SimNode* const leads = leader();
  if (leads == nullptr || leads->paused()) return;
  ++totals_.forsakings;
  trace_.say("node {} is asked to hand over leadership, and will be deaf", leads->id());
  forsaken_ = leads->id();
  leads->enqueue([leads] { leads->replica().transfer(0); });
}

void SimCluster::stun_leader() {
  SimNode* const leads = leader();
  if (leads == nullptr || leads->paused() || !cut_.empty()) return;
  ++totals_.stuns;
  cuts_in_flight_ = true;
  isolate(*leads);
  tell_cuts("the leader is cut off and stopped");
  leads->stop_in_next_turn();
}

void SimCluster::deafen(uint64_t id) {
  for (auto& other : nodes_) cut_.insert({other->id(), id});
  tell_cuts("the leader is deaf");
}

// One that has heard nothing of the leader for long is refused by all others, who do hear of it.
// Then they hear nothing of it either, and are started anew: what they promised it without writing
// it down, they must keep all the same while its lease lasts.
void SimCluster::coup() {
  SimNode* const leads = leader();
  if (leads == nullptr || world_.now_us() < coup_ends_us_) return;
  const uint64_t pretender = world_.random().between(1, profile_.nodes);
  if (pretender == leads->id()) return;
  ++totals_.coups;
  cut_.clear();
  cuts_in_flight_ = false;
  cut_.insert({leads->id(), pretender});
  cut_.insert({pretender, leads->id()});
  tell_cuts("one hears nothing of the leader");
  // Time enough for it to want to lead.
  const uint64_t timeout = profile_.node.options.raft.election_timeout_us;
  const uint64_t patience = timeout + world_.random().below(2 * timeout);
  coup_ends_us_ = world_.now_us() + patience + 2 * timeout;
  world_.after(patience, [this, id = leads->id(), pretender] { forget_promises(id, pretender); });
}

void SimCluster::forget_promises(uint64_t leader, uint64_t pretender) {
  if (!faults_on_) return;
  for (auto& node : nodes_) {
    if (node->id() == leader) continue;
    cut_.insert({leader, node->id()});
    cut_.insert({node->id(), leader});
    if (node->id() == pretender || !node->up()) continue;
    ++totals_.crashes;
    node->crash();
    world_.after(world_.random().below(kRestartUsMax), [this, &node] {
      if (!node->up() && !retired_.contains(node->id()) && !is_lost(*node)) node->start();
    });
  }
  tell_cuts("all but one start anew, without the leader");
}

// Those that were cut off along with the leader stay so, whoever leads now.
void SimCluster::estrange() {
  for (uint64_t id : side_) {
    for (auto& other : nodes_) {
      if (side_.contains(other->id())) continue;
      cut_.insert({id, other->id()});
      cut_.insert({other->id(), id});
    }
  }
  cuts_in_flight_ = false;
  tell_cuts("some stay cut off");
}

// The node that always comes back is sent away when it leads, by asking it or by cutting it off,
// and is brought back when somebody else does.
void SimCluster::return_tick() {
  if (!faults_on_ || profile_.returns == 0) return;
  world_.after(kHuntTickUs, [this] { return_tick(); });
  Random& random = world_.random();
  SimNode* const leads = leader();
  if (!random.chance(profile_.returns) || leads == nullptr || !nodes_[home_ - 1]->up()) return;
  if (leads->id() != home_) {
    ++totals_.returns;
    mend();
    side_.erase(home_);
    if (random.chance(profile_.estranged)) estrange();
    trace_.say("node {} is asked to hand over to node {}", leads->id(), home_);
    return leads->enqueue([leads, home = home_] { leads->replica().transfer(home); });
  }
  if (!cut_.empty()) return;
  if (random.chance(profile_.deaf_returns)) {
    cuts_in_flight_ = false;
    return forsake_leader();
  }
  if (random.chance(profile_.goes_willingly)) {
    return leads->enqueue([leads] { leads->replica().transfer(0); });
  }
  cuts_in_flight_ = random.chance(0.3);
  isolate(*leads);
  tell_cuts("the leader is to come back");
}

}  // namespace raftkv::sim
