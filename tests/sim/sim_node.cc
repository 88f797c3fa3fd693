#include "tests/sim/sim_node.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace raftkv::sim {

namespace {

// Simulated wall clocks begin in 2026.
constexpr int64_t kWallEpochUs = 1'767'225'600'000'000;
constexpr uint64_t kLongestSleepUs = 3'600'000'000;

}  // namespace

SimNode::SimNode(World& world, uint64_t id, std::vector<server::Member> members,
                 NodeProfile profile, Send send)
    : world_(world),
      id_(id),
      members_(std::move(members)),
      profile_(profile),
      send_(std::move(send)) {}

SimNode::~SimNode() = default;

raft::MonotonicUs SimNode::now_monotonic_us() {
  const auto now = static_cast<int64_t>(world_.now_us());
  return static_cast<uint64_t>(now + now / 1'000'000 * profile_.clock_drift_ppm);
}

uint64_t SimNode::now_wall_us() {
  return static_cast<uint64_t>(kWallEpochUs + static_cast<int64_t>(world_.now_us()) +
                               profile_.wall_offset_us);
}

void SimNode::start() {
  auto restored = disk_.recover();
  if (!restored) throw std::runtime_error(restored.error());
  ++life_;
  stats_ = {};
  server::ReplicaOptions options = profile_.options;
  options.raft.id = id_;
  for (const server::Member& member : members_) options.raft.voters.push_back(member.id);
  options.raft.random_seed = world_.random().next();
  options.hash_seed = profile_.hash_seed;
  options.read_mode = profile_.read_mode;
  replica_ = std::make_unique<server::Replica>(options, std::move(*restored), disk_, members_,
                                               stats_, *this);
  paused_ = false;
  timer_at_us_ = 0;
  schedule_turn();
}

void SimNode::crash() {
  ++crashes;
  ++life_;
  // Connections end first, as their owners see it; then what they had in flight goes with the
  // replica.
  replica_.reset();
  inputs_.clear();
  turn_scheduled_ = false;
  writing_.clear();
  syncing_ = false;
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
  disk_.stage(persist);
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
  const size_t group = writing_.size();
  world_.after(delay, [this, group, life = life_] {
    if (life != life_ || !up()) return;
    const auto synced = disk_.sync_through(writing_[group - 1].token.sequence);
    if (!synced) throw std::runtime_error(synced.error());
    for (size_t i = 0; i < group; ++i) {
      // The completion waits for a turn like any input, and for the end of a pause.
      auto persist = std::make_shared<raft::Persist>(std::move(writing_.front()));
      writing_.pop_front();
      enqueue([this, persist] { replica_->persisted(std::move(*persist)); });
    }
    syncing_ = false;
    start_sync();
  });
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
  if (!world_.random().chance(profile_.stops_in_turn)) return finish_turn();
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
  if (after_turn) after_turn(*this);
  if (!inputs_.empty()) schedule_turn();
  arm_timer();
}

void SimNode::arm_timer() {
  // The replica's clock may drift against the world's: look a little later, then look again.
  const raft::MonotonicUs now = now_monotonic_us();
  const raft::MonotonicUs deadline = std::min(replica_->next_deadline(), now + kLongestSleepUs);
  const uint64_t at = world_.now_us() + (deadline > now ? deadline - now : 0) + 10;
  if (timer_at_us_ > world_.now_us() && timer_at_us_ <= at) return;
  timer_at_us_ = at;
  world_.after(at - world_.now_us(), [this, at, life = life_] {
    if (life != life_ || !up() || timer_at_us_ != at) return;
    schedule_turn();
  });
}

}  // namespace raftkv::sim
