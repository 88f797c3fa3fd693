#include "tests/sim/sim_node.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "server/command/member_context.h"
#include "server/replica/start_point.h"
#include "storage/snapshot/snapshot_loader.h"

namespace raftkv::sim {

namespace {

// Simulated wall clocks begin in 2026.
constexpr int64_t kWallEpochUs = 1'767'225'600'000'000;
constexpr uint64_t kLongestSleepUs = 3'600'000'000;
constexpr uint64_t kFullDiskRetryUs = 50'000;

}  // namespace

SimNode::SimNode(World& world, const Trace& trace, uint64_t id, std::vector<server::Member> members,
                 NodeProfile profile, Send send, SendSnapshot send_snapshot)
    : world_(world),
      trace_(trace),
      id_(id),
      members_(std::move(members)),
      profile_(profile),
      send_(std::move(send)),
      send_snapshot_(std::move(send_snapshot)) {}

SimNode::~SimNode() = default;

raft::MonotonicUs SimNode::now_monotonic_us() {
  const auto now = static_cast<int64_t>(world_.now_us());
  return static_cast<uint64_t>(now + now * profile_.clock_drift_ppm / 1'000'000);
}

uint64_t SimNode::now_wall_us() {
  return static_cast<uint64_t>(kWallEpochUs + static_cast<int64_t>(world_.now_us()) +
                               profile_.wall_offset_us);
}

void SimNode::start() {
  auto restored = disk_.recover();
  if (!restored) throw std::runtime_error(restored.error());
  if (std::exchange(discard_, false)) {
    if (auto done = disk_.discard_log(); !done) throw std::runtime_error(done.error());
    *restored = *disk_.recover();
    damaged_ = true;
  }
  const auto start = server::find_start_point(disk_, snapshots_, *restored);
  if (!start) throw std::runtime_error(start.error());
  const bool as_it_was = start->notice.empty() && disk_.damage().empty();
  // Once damaged, a disk may tell of it again until the next snapshot.
  if (!damaged_ && counts_.repairs == 0 && !as_it_was) {
    throw std::runtime_error("nobody damaged this disk, but: " + start->notice + disk_.damage());
  }
  ++life_;
  trace_.say("node {} starts: term {}, log {} to {}, snapshot {}{}", id_, restored->hard_state.term,
             restored->first_index, restored->last_index, restored->snapshot.index,
             restored->lost_up_to == 0
                 ? ""
                 : fmt::format(", lost what it held up to {}", restored->lost_up_to));
  stats_ = {};
  told_ = {};
  server::ReplicaOptions options = profile_.options;
  options.raft.id = id_;
  if (!members_.empty()) options.raft.bootstrap = server::bootstrap_membership(members_);
  options.raft.random_seed = world_.random().next();
  options.hash_seed = profile_.hash_seed;
  options.read_mode = profile_.read_mode;
  options.follower_reads = profile_.follower_reads;
  options.snapshots.cluster_id = cluster_id_;
  options.snapshots.cut.writer.on_progress = [this, life = life_] {
    if (life == life_ && up()) schedule_turn();
  };
  replica_ = std::make_unique<server::Replica>(options, std::move(*restored), disk_, snapshots_,
                                               stats_, *this);
  paused_ = false;
  timer_at_us_ = 0;
  schedule_turn();
  if (start->snapshot.index != 0) load(start->snapshot);
}

void SimNode::crash() {
  trace_.say("node {} ends, {} writes are not synced", id_, disk_.staged());
  // Connections end first, as their owners see it; then what they had in flight goes with the
  // replica.
  if (before_end) before_end(*this);
  ++life_;
  counts_ = counts();
  // The disk's writers of this life reach nothing any more, whoever abandons them.
  snapshots_.crash();
  install_.reset();
  writing_snapshots_ = false;
  replica_.reset();
  inputs_.clear();
  turn_scheduled_ = false;
  writing_.clear();
  syncing_ = false;
  crash_at_write_ = false;
  disk_.crash(world_.random().below(disk_.staged() + 1), world_.random().chance(0.5));
}

void SimNode::resume() {
  paused_ = false;
  if (up()) schedule_turn();
}

void SimNode::deliver(raft::Message message) {
  if (!up()) return;
  enqueue([this, message = std::move(message)]() mutable { replica_->step(std::move(message)); });
}

void SimNode::enqueue(std::function<void()> input) {
  if (!up()) return;
  inputs_.push_back(std::move(input));
  schedule_turn();
}

server::Session* SimNode::connect(server::SessionOwner& owner) {
  return server::Session::open(*replica_, *this, owner, {});
}

void SimNode::send(raft::Message message) {
  send_(std::move(message));
}

void SimNode::persist(raft::Persist persist) {
  if (persist.cut) ++counts_.log_cuts;
  disk_.stage(persist);
  if (after_write) after_write(*this, persist);
  if (std::exchange(crash_at_write_, false)) {
    world_.after(world_.random().below(2 * profile_.disk.sync_us_max), [this, life = life_] {
      if (life == life_ && up() && !faults_ended_) crash();
    });
  }
  writing_.push_back(std::move(persist));
  start_sync();
}

// One sync at a time covers all that was staged when it began.
void SimNode::start_sync() {
  if (syncing_ || writing_.empty()) return;
  syncing_ = true;
  const DiskProfile& disk = profile_.disk;
  uint64_t delay = world_.random().between(disk.sync_us_min, disk.sync_us_max);
  if (world_.random().chance(disk.slow_chance)) delay += world_.random().below(disk.slow_us + 1);
  if (hung_until_us_ > world_.now_us()) delay += hung_until_us_ - world_.now_us();
  const size_t group = writing_.size();
  world_.after(delay, [this, group, life = life_] {
    if (life != life_ || !up()) return;
    sync_group(group);
  });
}

void SimNode::sync_group(size_t group) {
  const auto synced = disk_.sync_through(writing_[group - 1].token.sequence);
  if (!synced && synced.error().disk_full) {
    world_.after(kFullDiskRetryUs, [this, group, life = life_] {
      if (life == life_ && up()) sync_group(group);
    });
    return;
  }
  if (!synced) {
    // What is on the disk now is unknown to the process, so it goes on with nothing.
    ++counts_.failed_syncs;
    trace_.say("node {}: {}", id_, synced.error().text);
    return crash();
  }
  for (size_t i = 0; i < group; ++i) {
    // The completion waits for a turn like any input, and for the end of a pause.
    auto persist = std::make_shared<raft::Persist>(std::move(writing_.front()));
    writing_.pop_front();
    enqueue([this, persist] { replica_->persisted(std::move(*persist)); });
  }
  syncing_ = false;
  start_sync();
}

void SimNode::schedule_turn() {
  if (turn_scheduled_ || paused_) return;
  turn_scheduled_ = true;
  world_.after(world_.random().below(profile_.turn_us_max + 1), [this, life = life_] {
    if (life != life_ || !up()) return;
    if (paused_) {
      turn_scheduled_ = false;
    } else {
      turn();
    }
  });
}

void SimNode::turn() {
  replica_->touch();
  const bool stops = std::exchange(stops_next_, false);
  if (!stops && !world_.random().chance(profile_.stops_in_turn)) return finish_turn();
  world_.after(world_.random().below(profile_.stop_us_max), [this, life = life_] {
    if (life == life_ && up()) finish_turn();
  });
}

// Until here turn_scheduled_ stays set, so that a turn which is stopped is not begun again.
void SimNode::finish_turn() {
  turn_scheduled_ = false;
  std::vector<std::function<void()>> inputs = std::exchange(inputs_, {});
  for (const auto& input : inputs) input();
  if (replica_->end_turn()) schedule_turn();
  notice_repair();
  if (replica_->may_be_discarded()) start_without_data();
  tell_snapshots();
  if (replica_->snapshot_status().in_progress) write_snapshots();
  if (after_turn) after_turn(*this);
  if (!inputs_.empty()) schedule_turn();
  arm_timer();
}

void SimNode::leadership_changed(const raft::Status& status) {
  if (status.role == raft::Role::kLeader) {
    trace_.say("node {} leads in term {}", id_, status.term);
  } else {
    trace_.say("node {} leads no more; term {}, leader {}", id_, status.term, status.leader);
  }
}

void SimNode::membership_changed(const server::MembershipFacts& facts,
                                 const std::vector<server::Member>& members) {
  if (!trace_.on()) return;
  std::string text;
  for (const server::Member& member : members) {
    constexpr const char* kRoles[] = {"", " (learner)", " (leaving)"};
    text += fmt::format(" {}{}", member.id, kRoles[static_cast<size_t>(member.role)]);
  }
  trace_.say("node {} has the members{}, of index {}{}{}", id_, text, facts.index,
             facts.joint ? ", joint" : "", facts.committed ? "" : ", not committed");
}

void SimNode::arm_timer() {
  // The replica's clock may drift against the world's: look a little later, then look again.
  const raft::MonotonicUs now = now_monotonic_us();
  const raft::MonotonicUs deadline = std::min(replica_->next_deadline(), now + kLongestSleepUs);
  const auto own = static_cast<int64_t>(deadline > now ? deadline - now : 0);
  const auto wait = own * 1'000'000 / (1'000'000 + profile_.clock_drift_ppm);
  const uint64_t at = world_.now_us() + static_cast<uint64_t>(wait) + 10;
  if (timer_at_us_ > world_.now_us() && timer_at_us_ <= at) return;
  timer_at_us_ = at;
  world_.after(at - world_.now_us(), [this, at, life = life_] {
    if (life != life_ || !up() || timer_at_us_ != at) return;
    schedule_turn();
  });
}

}  // namespace raftkv::sim
