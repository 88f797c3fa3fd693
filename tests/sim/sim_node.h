// One simulated process: the production replica on a simulated disk. Its disk outlives it; crash()
// ends it, start() begins it anew from what the disk kept.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "raft/types.h"
#include "server/command/host.h"
#include "server/replica/replica.h"
#include "server/replica/session.h"
#include "storage/log/memory_log_store.h"
#include "storage/snapshot/snapshot_memory.h"
#include "tests/sim/trace.h"
#include "tests/sim/world.h"

namespace raftkv::sim {

struct DiskProfile {
  uint64_t sync_us_min = 100;
  uint64_t sync_us_max = 400;
  // Now and then a sync takes as long as this.
  double slow_chance = 0;
  uint64_t slow_us = 0;
  // How long a snapshot's file takes to be written, and to be loaded.
  uint64_t snapshot_us_max = 20'000;
};

// A snapshot's file on its way to another node.
struct SnapshotTransfer {
  raft::NodeId from = 0;
  raft::NodeId to = 0;
  raft::SnapshotMeta meta;
  std::string bytes;
  uint64_t checksum = 0;  // of the bytes as they left
  // How it ended, at the sender: the index that was installed, 0 if it failed. Called once.
  std::function<void(raft::Index)> done;
};

// What happened in all lives of a node.
struct NodeCounts {
  uint64_t snapshots = 0;
  uint64_t installs = 0;
  uint64_t log_cuts = 0;
  uint64_t repairs = 0;
  uint64_t damaged_files = 0;
  uint64_t digest_checks = 0;
  uint64_t failed_syncs = 0;
};

struct NodeProfile {
  DiskProfile disk;
  uint64_t turn_us_max = 150;   // how long input waits for its turn
  int64_t wall_offset_us = 0;   // of its wall clock
  int32_t clock_drift_ppm = 0;  // of its monotonic clock
  server::ReadMode read_mode = server::ReadMode::kReadIndex;
  server::FollowerReads follower_reads = server::FollowerReads::kStale;
  // Chance that the process is stopped within a turn, after it looked at the clock and before it
  // reads what came in, and how long at most.
  double stops_in_turn = 0;
  uint64_t stop_us_max = 1'500'000;
  server::ReplicaOptions options;  // the limits; the rest is set by the node
  uint64_t hash_seed = 0;
};

class SimNode final : public server::ReplicaPorts, public server::Host {
 public:
  using Send = std::function<void(raft::Message)>;
  using SendSnapshot = std::function<void(SnapshotTransfer)>;

  // No `members`: it waits to be added to a running group.
  SimNode(World& world, const Trace& trace, uint64_t id, std::vector<server::Member> members,
          NodeProfile profile, Send send, SendSnapshot send_snapshot);
  ~SimNode() override;

  void start();
  // Ends the process. Of the writes that were not synced a random number of the first survives.
  void crash();
  bool up() const { return replica_ != nullptr; }
  // A paused process does nothing; what is sent to it waits.
  void pause() { paused_ = true; }
  void resume();
  bool paused() const { return paused_; }
  // Its next turn is interrupted, whatever the chance of that.
  void stop_in_next_turn() { stops_next_ = true; }
  // From now on its turns are not interrupted.
  void stop_faults() {
    faults_ended_ = true;
    profile_.stops_in_turn = 0;
    set_disk_full(false);
    hung_until_us_ = 0;
    // Where each snapshot is as slow as the slowest and due after a handful of entries, nothing
    // would catch up in time.
    profile_.disk.snapshot_us_max = std::min<uint64_t>(profile_.disk.snapshot_us_max, 50'000);
    crash_at_write_ = stops_next_ = false;
    disk_.fail_next_sync(false);
  }
  // While its disk is full nothing becomes durable, and snapshots fail.
  void set_disk_full(bool full) { disk_.set_disk_full(full); }
  bool disk_full() const { return disk_.disk_full(); }
  // Syncs that begin in this time end behind it.
  void hang_disk(uint64_t us) { hung_until_us_ = world_.now_us() + us; }
  // The next sync fails, which ends the process.
  void fail_next_sync() { disk_.fail_next_sync(true); }
  // The process ends before its next write is synced, or a little later.
  void crash_at_write() { crash_at_write_ = true; }
  // Flips a bit of what a crashed node's disk holds, in its log or its newest snapshot. False if
  // there is nothing to damage.
  bool damage_disk();
  // It has all that it ever held: nothing was damaged, or it is repaired.
  bool sound() const { return !damaged_; }
  // Somebody changes its dataset behind its back: from now on digests may differ.
  void expect_differences() { differences_expected_ = true; }
  std::vector<server::DigestDifference> differences;
  std::vector<raft::Index> undecided;
  // Moves its wall clock.
  void shift_wall_clock(int64_t us) { profile_.wall_offset_us += us; }

  // Input for the next turn.
  void deliver(raft::Message message);
  // A snapshot has arrived. `respond` gets the index that was installed, 0 if none was; never, if
  // the node dies.
  void receive_snapshot(const SnapshotTransfer& transfer, std::function<void(raft::Index)> respond);
  // Runs `input` in the next turn, if the process still lives then.
  void enqueue(std::function<void()> input);
  server::Session* connect(server::SessionOwner& owner);

  server::Replica& replica() { return *replica_; }
  uint64_t id() const { return id_; }
  // How often the process was started: whoever holds something of it checks this first.
  uint64_t life() const { return life_; }
  // Called after each turn, for the checks.
  std::function<void(SimNode&)> after_turn;
  // Called when a write was handed to its disk.
  std::function<void(SimNode&, const raft::Persist&)> after_write;
  // Called before its process ends, for whoever holds something of it.
  std::function<void(SimNode&)> before_end;
  NodeCounts counts() const;
  const storage::MemoryLogStore& log_store() const { return disk_; }

  // --- ReplicaPorts
  void send(raft::Message message) override;
  void persist(raft::Persist persist) override;
  raft::MonotonicUs now_monotonic_us() override;
  uint64_t now_wall_us() override;
  void leadership_changed(const raft::Status& status) override;
  void membership_changed(const server::MembershipFacts& facts,
                          const std::vector<server::Member>& members) override;
  void send_snapshot(raft::NodeId to, const raft::SnapshotMeta& meta) override;
  void dataset_differs(const server::DigestDifference& difference) override;
  void digests_undecided(raft::Index index) override;

  // --- Host
  raft::Status raft_status() const override { return replica_->raft_status(); }
  uint64_t self_id() const override { return id_; }
  const std::vector<server::Member>& members() const override { return replica_->members(); }
  server::MembershipFacts membership() const override { return replica_->membership(); }
  const std::string& cluster_id() const override { return cluster_id_; }
  const std::string& run_id() const override { return cluster_id_; }
  const data::Keyspace& keyspace() const override { return replica_->state().keyspace(); }
  uint64_t applied_index() const override { return replica_->state().applied_index(); }
  uint64_t log_time_us() const override { return replica_->state().log_time_us(); }
  uint64_t snapshot_index() const override { return replica_->snapshot_status().index; }
  bool loading() const override { return replica_->loading(); }
  server::Stats& stats() override { return stats_; }
  server::DiskFacts disk() const override { return {}; }
  uint64_t wall_us() const override { return world_.now_us(); }
  uint64_t monotonic_us() const override { return world_.now_us(); }
  uint64_t started_monotonic_us() const override { return 0; }
  void for_each_client(const std::function<void(const server::ClientState&)>&) const override {}
  size_t client_count() const override { return 0; }
  size_t blocked_client_count() const override { return 0; }
  bool kill_client(uint64_t) override { return false; }
  std::vector<server::Setting> settings() const override { return {}; }
  std::expected<void, std::string> change_setting(std::string_view, std::string_view) override {
    return std::unexpected("no settings here");
  }
  bool transfer_leadership(uint64_t target) override { return replica_->transfer(target); }
  void request_shutdown() override {}

 private:
  void schedule_turn();
  void turn();
  void finish_turn();
  void arm_timer();
  void start_sync();
  void sync_group(size_t group);
  void load(storage::SnapshotId id);
  void install();
  void fail_install();
  void write_snapshots();
  void notice_repair();
  void start_without_data();
  void tell_snapshots();
  uint64_t snapshot_delay() { return world_.random().between(100, profile_.disk.snapshot_us_max); }

  // A snapshot that has arrived, on its way into the dataset.
  struct Install {
    raft::SnapshotMeta meta;
    std::unique_ptr<storage::SnapshotWriter> writer;
    std::function<void(raft::Index)> respond;
  };

  World& world_;
  const Trace& trace_;
  const uint64_t id_;
  std::vector<server::Member> members_;
  NodeProfile profile_;
  Send send_;
  SendSnapshot send_snapshot_;
  std::string cluster_id_ = std::string(40, 'c');
  server::Stats stats_;

  storage::MemoryLogStore disk_;
  storage::SnapshotMemory snapshots_{storage::SnapshotMemory::Finish::kWhenTold};
  std::unique_ptr<Install> install_;
  bool writing_snapshots_ = false;  // the disk is told to go on
  bool damaged_ = false;
  bool differences_expected_ = false;
  bool discard_ = false;               // in the next start
  NodeCounts counts_;                  // without those of the present life that the replica counts
  std::deque<raft::Persist> writing_;  // staged, in order
  bool syncing_ = false;
  uint64_t hung_until_us_ = 0;
  bool crash_at_write_ = false;
  bool faults_ended_ = false;
  NodeCounts told_;  // of this life, to the trace
  std::unique_ptr<server::Replica> replica_;
  uint64_t life_ = 0;
  bool paused_ = false;
  bool turn_scheduled_ = false;
  bool stops_next_ = false;
  uint64_t timer_at_us_ = 0;
  std::vector<std::function<void()>> inputs_;
};

}  // namespace raftkv::sim
