#include "tests/sim/profile.h"

#include <iterator>

#include "tests/sim/narrow_worlds.h"

namespace raftkv::sim {

namespace {

// Leases trust two clocks to run within a tenth of each other (raft::Options::clock_drift_percent).
constexpr int32_t kTrustedDriftPpm = 45'000;
static_assert((1'000'000.0 + kTrustedDriftPpm) / (1'000'000 - kTrustedDriftPpm) < 1.1);
// Whoever asks a majority before each read trusts no clock at all.
constexpr int32_t kWildDriftPpm = 600'000;

void draw_snapshots(Random& random, NodeProfile& node) {
  server::SnapshotKeeperOptions& snapshots = node.options.snapshots;
  node.disk.snapshot_us_max = random.between(200, 50'000);
  if (random.chance(0.1)) node.disk.snapshot_us_max = 1'000'000;
  snapshots.limits.retry_us = random.between(50'000, 1'000'000);
  snapshots.slice_us = random.chance(0.5) ? 0 : 500;
  snapshots.cut.block_bytes = random.between(16, 2000);
  snapshots.cut.slice_bytes = random.between(1, 1000);
  snapshots.cut.backlog_bytes_max = random.between(100, 20'000);
  snapshots.cut.writer.queue_bytes = random.between(16, 5000);
  if (random.chance(0.15)) return;  // only when asked for, and nobody asks
  snapshots.limits.log_bytes = random.chance(0.3) ? random.between(1000, 100'000) : 0;
  snapshots.limits.log_entries = random.between(5, random.chance(0.5) ? 20 : 200);
  snapshots.limits.tail_entries = random.below(random.chance(0.5) ? 5 : 51);
}

// Limits so narrow that what is rare elsewhere, full windows and work left over, happens all the
// time.
void draw_limits(Random& random, NodeProfile& node) {
  const auto narrow = [&random](auto& limit, size_t least) {
    if (random.chance(0.3)) limit = least;
  };
  server::ReplicaOptions& options = node.options;
  options.entries_inflight_max = random.between(1, 8);
  options.gathering_us_max = random.chance(0.5) ? 0 : random.between(100, 50'000);
  narrow(options.batch_bytes, random.between(1, 200));
  narrow(options.queue_bytes_max, random.between(100, 1000));
  narrow(options.session_reply_bytes_max, random.between(100, 1000));
  narrow(options.apply_slice_us, 0);
  narrow(options.raft.inflight_messages_max, random.between(1, 4));
  narrow(options.raft.append_bytes_max, random.between(1, 500));
  narrow(options.raft.apply_bytes_max, random.between(1, 500));
  narrow(options.raft.cache_bytes_max, random.between(1, 500));
}

void draw_network(Random& random, Faults& faults, Profile& profile) {
  profile.loss = faults.sometimes(0.2);
  profile.duplicate = faults.sometimes(0.2);
  profile.reorder = faults.sometimes(0.2);
  profile.delay_us_max = random.between(100, 20'000);
  if (random.chance(0.2)) profile.delay_us_max = 150'000;
  profile.slow_links = faults.sometimes(0.5);
  profile.partitions = faults.sometimes(0.15);
  profile.hunts = faults.sometimes(0.05);
}

void draw_disk(Random& random, Faults& faults, Profile& profile) {
  profile.node.disk.sync_us_max = random.between(200, 20'000);
  profile.node.disk.slow_chance = faults.sometimes(0.02);
  profile.node.disk.slow_us = random.between(100'000, 3'000'000);
  profile.disk_full = faults.sometimes(0.05);
  profile.disk_hangs = faults.sometimes(0.02);
  profile.failed_syncs = faults.sometimes(0.03);
  if (profile.nodes >= 3) profile.damage = faults.sometimes(0.5);
  profile.lost_files = faults.sometimes(0.4);
  profile.flipped_files = faults.sometimes(0.3);
}

void draw_members(Faults& faults, Profile& profile) {
  profile.transfers = faults.sometimes(0.1);
  if (profile.nodes < 3) return;
  profile.changes = faults.sometimes(0.3);
  if (profile.changes == 0) return;
  profile.spares = 3;
  profile.wipes = faults.sometimes(0.05);
}

}  // namespace

bool Profile::disturbs_clocks() const {
  return partitions > 0 || hunts > 0 || forsakings > 0 || crashes > 0 || crashes_at_write > 0 ||
         coups > 0 || returns > 0 || late > 0 || home_late > 0 || leader_delay_us > 0 ||
         pauses > 0 || clock_jumps > 0 || loss > 0 || reorder > 0 || slow_links > 0 ||
         slow_nodes > 0 || node.stops_in_turn > 0 || stuns > 0 || node.disk.slow_chance > 0 ||
         changes > 0 || disk_full > 0 || disk_hangs > 0 || failed_syncs > 0 || damage > 0 ||
         clock_drift_ppm_max > 20'000;
}

Profile Profile::draw(Random& random) {
  Profile profile;
  Faults faults(random);
  constexpr size_t kSizes[] = {1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7};
  profile.nodes = kSizes[random.below(std::size(kSizes))];
  profile.clients = random.between(1, 8);
  profile.keys = random.between(1, 4);
  draw_network(random, faults, profile);
  draw_disk(random, faults, profile);
  profile.crashes = faults.sometimes(0.15);
  profile.crashes_at_write = faults.sometimes(0.1);
  profile.pauses = faults.sometimes(0.1);
  profile.slow_nodes = faults.sometimes(0.3);
  profile.clock_jumps = faults.sometimes(0.1);
  profile.node.turn_us_max = random.between(1, 2000);
  profile.node.stops_in_turn = faults.sometimes(0.005);
  draw_members(faults, profile);
  draw_limits(random, profile.node);
  draw_snapshots(random, profile.node);
  if (random.chance(0.5)) profile.node.follower_reads = server::FollowerReads::kLinearizable;
  const bool trusts_clocks = random.chance(0.35);
  if (trusts_clocks) profile.node.read_mode = server::ReadMode::kLease;
  constexpr uint64_t kHeartbeatsUs[] = {20'000, 50'000, 50'000, 150'000};
  profile.node.options.raft.heartbeat_us = kHeartbeatsUs[random.below(std::size(kHeartbeatsUs))];
  if (profile.nodes > 1) draw_narrow_world(random, faults, profile);
  if (random.chance(0.5)) {
    profile.clock_drift_ppm_max = trusts_clocks ? kTrustedDriftPpm : kWildDriftPpm;
  }
  if (random.chance(0.7)) {
    profile.node.options.digest_interval_us = random.between(20'000, 1'000'000);
    profile.node.options.digest_slice_us = random.chance(0.5) ? 0 : 500;
  }
  return profile;
}

}  // namespace raftkv::sim
