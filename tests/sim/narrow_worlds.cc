#include "tests/sim/narrow_worlds.h"

#include <algorithm>
#include <iterator>

namespace raftkv::sim {

namespace {

constexpr double kShares[] = {0, 0.02, 0.1, 0.3};
constexpr uint64_t kDelaysUs[] = {2'000, 2'000, 20'000, 100'000};

// No process, disk or membership fails.
void spare_nodes(Random& random, Profile& profile) {
  profile.crashes = profile.crashes_at_write = profile.pauses = profile.slow_nodes = 0;
  profile.node.stops_in_turn = 0;
  profile.disk_full = profile.disk_hangs = profile.failed_syncs = profile.damage = 0;
  profile.changes = profile.wipes = 0;
  profile.node.disk.sync_us_max = random.between(200, 2'000);
  profile.node.disk.slow_chance = 0;
}

// Mostly nothing but what the world is made for goes wrong, and fast enough to be seen often.
void draw_calm(Random& random, Profile& profile) {
  profile.delay_us_max = random.between(100, kDelaysUs[random.below(std::size(kDelaysUs))]);
  profile.node.turn_us_max = random.between(1, 200);
  profile.loss = profile.reorder = profile.slow_links = 0;
  profile.partitions = profile.hunts = profile.transfers = 0;
  if (random.chance(0.7)) spare_nodes(random, profile);
}

// A leader has been replaced and does not know it, while clients go on reading from it.
void draw_stale_leaders(Random& random, Faults& faults, Profile& profile) {
  draw_calm(random, profile);
  profile.readers = 0.6;
  profile.clients = random.between(4, 8);
  profile.hunts = 0.1 + faults.sometimes(0.2);
  profile.forsakings = 0.1 + faults.sometimes(0.3);
  profile.node.stops_in_turn = random.chance(0.4) ? 0.002 : 0;
  // Some are far from the others: what they hear is old, and what is heard of them.
  profile.slow_links = random.chance(0.5) ? 0.5 : 0;
}

// The same, but so seldom asked that the last it heard is from before the other one was elected.
void draw_forsaken_leaders(Random& random, Profile& profile) {
  draw_calm(random, profile);
  profile.readers = 0.5;
  profile.musing_readers = 1;
  profile.musing_us_max = 100'000;
  profile.restless = 0.5;
  profile.clients = random.between(3, 6);
  profile.node.options.raft.heartbeat_us = random.between(50'000, 200'000);
  profile.forsakings = 0.1 + 0.1 * static_cast<double>(random.below(4));
}

// A leader is cut off and its process stopped, and somebody else elected. What clients ask it
// meanwhile it finds when it goes on, in the middle of a turn that began before.
void draw_stopped_leaders(Random& random, Profile& profile) {
  draw_calm(random, profile);
  spare_nodes(random, profile);
  profile.delay_us_max = 2'000;
  profile.stuns = 0.1;
  profile.readers = 0.6;
  profile.musing_readers = 0.8;
  profile.musing_us_max = 500'000;
  profile.clients = random.between(4, 8);
}

// Members come and go all the time, under leaders that do as well.
void draw_changing_members(Random& random, Profile& profile) {
  draw_calm(random, profile);
  spare_nodes(random, profile);
  profile.nodes = std::clamp<size_t>(profile.nodes, 3, 5);
  profile.spares = 3;
  profile.changes = 0.7;
  profile.transfers = 0.05;
  profile.hunts = 0.05;
  profile.partitions = 0.05;
}

// A lease rests on what followers promised without writing it down. All that is asked for is rare:
// else who wants to lead lacks an entry that the others have.
void draw_coups(Random& random, Profile& profile) {
  draw_calm(random, profile);
  profile.musing_readers = profile.musing_writers = 1;
  profile.musing_us_max = 2'000'000;
  profile.clients = random.between(1, 2);
  profile.coups = 0.5;
}

// One node comes back to lead again and again, each time for a short while, so that answers to what
// it asked in one term reach it in the next, and clients that were gone in thought meet it again.
void draw_returning_leader(Random& random, Profile& profile) {
  draw_calm(random, profile);
  profile.readers = 0.4;
  profile.musing_readers = profile.musing_writers = random.chance(0.5) ? 0.6 : 0;
  profile.clients = random.between(2, 8);
  profile.returns = 0.02 + 0.02 * static_cast<double>(random.below(10));
  profile.companions = random.chance(0.5) ? 0.7 : 0;
  profile.late = kShares[random.below(std::size(kShares))];
  if (random.chance(0.5)) {
    // Far away, it needs time until it has committed something.
    profile.home_delay_us = random.between(50'000, 350'000);
    profile.returns = 0.02;
  }
  // The log is cut while it still contradicts somebody's.
  server::SnapshotLimits& limits = profile.node.options.snapshots.limits;
  if (random.chance(0.5)) {
    profile.node.options.entries_inflight_max = random.between(8, 32);
    profile.node.disk.snapshot_us_max = 1'000;
    limits.log_entries = random.between(2, 6);
    limits.tail_entries = 0;
  }
}

// What it made with a minority is acknowledged late, by those who have heard of nothing since: they
// stay cut off when it comes back.
void draw_estranged(Random& random, Profile& profile) {
  spare_nodes(random, profile);
  profile.nodes = std::max<size_t>(profile.nodes, 5);
  profile.delay_us_max = 2'000;
  profile.home_delay_us = 0;
  profile.returns = 0.05;
  profile.companions = 0.9;
  profile.estranged = 0.8;
  profile.goes_willingly = 0.1;
  profile.readers = profile.musing_writers = 0.1;
  profile.late = 0;
  profile.home_late = 0.4;
}

// The next one it hands over to is the last it hears of, but for what was on its way.
void draw_deaf(Random& random, Profile& profile) {
  spare_nodes(random, profile);
  profile.deaf_returns = 0.7;
  profile.late = 0;
  profile.home_late = 0.4;
}

// What the others promise a leader is old when it hears of it.
void draw_distant(Random& random, Profile& profile) {
  spare_nodes(random, profile);
  // Of many, somebody soon wants to lead.
  profile.nodes = std::max<size_t>(profile.nodes, 5);
  profile.delay_us_max = 2'000;
  profile.home_delay_us = 0;
  profile.leader_delay_us = random.between(150'000, 300'000);
  profile.returns = 0.03;
  profile.goes_willingly = 0.1;
  profile.late = 0;
}

// Clients read in one of its terms what somebody else writes before they write it in the next.
void draw_bankers(Random& random, Profile& profile) {
  spare_nodes(random, profile);
  profile.nodes = std::max<size_t>(profile.nodes, 3);
  profile.clients = random.between(5, 8);
  profile.bankers = 0.5;
  profile.readers = profile.musing_writers = 0;
  profile.delay_us_max = 2'000;
  profile.home_delay_us = 0;
  profile.returns = 0.05 + 0.01 * static_cast<double>(random.below(5));
  profile.goes_willingly = 1;
  profile.late = 0;
}

// Little is written, so that the log's time stands still, and a new leader's begins there.
void draw_mortals(Random& random, Profile& profile) {
  draw_bankers(random, profile);
  profile.bankers = 0;
  profile.mortals = 1;
  profile.clients = random.between(2, 4);
}

void draw_kind_of_return(Random& random, Profile& profile) {
  draw_returning_leader(random, profile);
  const bool trusts_clocks = profile.node.read_mode == server::ReadMode::kLease;
  switch (random.below(trusts_clocks ? 10 : 8)) {
    case 0:
    case 1:
      return draw_bankers(random, profile);
    case 2:
    case 3:
    case 4:
      return draw_estranged(random, profile);
    case 5:
      return draw_deaf(random, profile);
    case 6:
      return draw_mortals(random, profile);
    case 8:
    case 9:
      return draw_distant(random, profile);
    default:
      return;
  }
}

}  // namespace

void draw_narrow_world(Random& random, Faults& faults, Profile& profile) {
  const bool trusts_clocks = profile.node.read_mode == server::ReadMode::kLease;
  if (!random.chance(trusts_clocks ? 0.8 : 0.55)) return;
  switch (random.below(trusts_clocks ? 7 : 6)) {
    case 0:
      return draw_stale_leaders(random, faults, profile);
    case 1:
      if (trusts_clocks && profile.nodes > 2) return draw_coups(random, profile);
      return draw_forsaken_leaders(random, profile);
    case 2:
      return draw_changing_members(random, profile);
    case 6:
      return draw_stopped_leaders(random, profile);
    default:
      return draw_kind_of_return(random, profile);
  }
}

}  // namespace raftkv::sim
