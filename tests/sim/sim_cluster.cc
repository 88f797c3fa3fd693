#include "tests/sim/sim_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "raft/codec.h"
#include "server/command/member_context.h"

namespace raftkv::sim {

namespace {

constexpr uint64_t kFaultTickUs = 100'000;
// So many times what makes a snapshot due may be held for a follower.
constexpr uint64_t kHoldFactor = 4;
constexpr uint64_t kProgressUs = 15'000'000;
constexpr uint64_t kSlowLinkUsMax = 250'000;
// How long replicas may take to agree when nobody sends anything any more.
constexpr uint64_t kAgreementUs = 30'000'000;

std::vector<server::Member> make_members(size_t count) {
  std::vector<server::Member> members;
  for (size_t i = 1; i <= count; ++i) {
    const auto port = static_cast<uint16_t>(7000 + i);
    members.push_back({i, "node", port, "node", static_cast<uint16_t>(port + 10'000)});
  }
  return members;
}

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
  narrow(options.batch_bytes, random.between(1, 200));
  narrow(options.queue_bytes_max, random.between(100, 1000));
  narrow(options.session_reply_bytes_max, random.between(100, 1000));
  narrow(options.apply_slice_us, 0);
  narrow(options.raft.inflight_messages_max, random.between(1, 4));
  narrow(options.raft.append_bytes_max, random.between(1, 500));
  narrow(options.raft.apply_bytes_max, random.between(1, 500));
  narrow(options.raft.cache_bytes_max, random.between(1, 500));
}

}  // namespace

Profile Profile::draw(Random& random) {
  Profile profile;
  constexpr size_t kSizes[] = {1, 3, 3, 3, 5, 5, 7};
  profile.nodes = kSizes[random.below(std::size(kSizes))];
  profile.clients = random.between(1, 8);
  profile.keys = random.between(1, 4);
  const auto sometimes = [&random](double most) {
    return random.chance(0.5) ? most * static_cast<double>(random.below(1000)) / 1000 : 0;
  };
  profile.loss = sometimes(0.2);
  profile.duplicate = sometimes(0.2);
  profile.reorder = sometimes(0.2);
  profile.delay_us_max = random.between(100, 20'000);
  if (random.chance(0.2)) profile.delay_us_max = 150'000;
  profile.slow_links = sometimes(0.5);
  profile.partitions = sometimes(0.15);
  profile.crashes = sometimes(0.15);
  profile.pauses = sometimes(0.1);
  profile.clock_jumps = sometimes(0.1);
  profile.transfers = sometimes(0.1);
  profile.node.disk.sync_us_max = random.between(200, 20'000);
  profile.node.disk.slow_chance = sometimes(0.02);
  profile.node.disk.slow_us = random.between(100'000, 3'000'000);
  profile.node.turn_us_max = random.between(1, 2000);
  if (random.chance(0.3)) profile.node.read_mode = server::ReadMode::kLease;
  profile.node.stops_in_turn = sometimes(0.005);
  draw_limits(random, profile.node);
  draw_snapshots(random, profile.node);
  if (profile.nodes >= 3) profile.changes = sometimes(0.3);
  if (profile.changes > 0) profile.spares = 3;
  profile.disk_full = sometimes(0.05);
  if (profile.nodes >= 3) profile.damage = sometimes(0.5);
  profile.lost_files = sometimes(0.4);
  if (random.chance(0.5)) profile.node.follower_reads = server::FollowerReads::kLinearizable;
  if (random.chance(0.7)) {
    profile.node.options.digest_interval_us = random.between(20'000, 1'000'000);
    profile.node.options.digest_slice_us = random.chance(0.5) ? 0 : 500;
  }
  return profile;
}

SimCluster::SimCluster(uint64_t seed, Profile profile)
    : world_(seed), profile_(profile), deadlines_(world_, !profile.disturbs_clocks()) {
  const std::vector<server::Member> all = make_members(profile_.nodes + profile_.spares);
  const std::vector<server::Member> first(all.begin(), all.begin() + profile_.nodes);
  for (const server::Member& member : all) add_node(first, member, member.id > first.size());
  members_.membership = server::bootstrap_membership(first);
  for (const server::Member& member : first) were_added_.insert(member.id);
  for (const server::Member& from : all) {
    for (const server::Member& to : all) {
      if (!world_.random().chance(profile_.slow_links)) continue;
      link_delay_us_[{from.id, to.id}] = world_.random().below(kSlowLinkUsMax);
    }
  }
  std::vector<SimNode*> nodes;
  for (auto& node : nodes_) nodes.push_back(node.get());
  for (size_t i = 0; i < profile_.clients; ++i) {
    auto character = SimClient::Character::draw(world_.random());
    // Somebody must write, else nothing tells whether the cluster makes progress.
    if (i == 0) character.stays_anywhere = character.only_reads = false;
    clients_.push_back(std::make_unique<SimClient>(world_, nodes, draw_workloads(i, character),
                                                   character,
                                                   [this](std::string what) { fail(what); }));
  }
}

void SimCluster::add_node(const std::vector<server::Member>& members, const server::Member& member,
                          bool joins) {
  NodeProfile node = profile_.node;
  node.hash_seed = world_.random().next();
  // Leases trust clocks to run within a tenth of each other; wall clocks are trusted by nobody.
  node.clock_drift_ppm = static_cast<int32_t>(world_.random().between(0, 40'000)) - 20'000;
  node.wall_offset_us = static_cast<int64_t>(world_.random().below(10'000'000)) - 5'000'000;
  nodes_.push_back(std::make_unique<SimNode>(
      world_, member.id, joins ? std::vector<server::Member>() : members, node,
      [this](raft::Message m) { route(std::move(m)); },
      [this](SnapshotTransfer transfer) { carry(std::move(transfer)); }));
  nodes_.back()->after_turn = [this](SimNode& turned) {
    check(turned);
    for (auto& client : clients_) client->node_turned();
  };
  nodes_.back()->before_end = [this](SimNode& ending) {
    totals_.once_duplicates += ending.stats().once_duplicates;
    for (auto& client : clients_) client->connection_lost(ending);
  };
}

std::vector<std::unique_ptr<Workload>> SimCluster::draw_workloads(
    uint64_t client, const SimClient::Character& character) {
  std::vector<std::unique_ptr<Workload>> workloads;
  if (character.stays_anywhere &&
      profile_.node.follower_reads == server::FollowerReads::kLinearizable) {
    workloads.push_back(std::make_unique<Counters>(counters_, profile_.keys, true, true));
    return workloads;
  }
  if (character.stays_anywhere) {
    workloads.push_back(std::make_unique<StaleReads>(appends_, profile_.keys));
    return workloads;
  }
  const bool only_reads = character.only_reads;
  workloads.push_back(std::make_unique<Counters>(counters_, profile_.keys, only_reads));
  if (only_reads) return workloads;
  const auto maybe = [&](auto make) {
    if (world_.random().chance(0.6)) workloads.push_back(make());
  };
  maybe([&] { return std::make_unique<Accounts>(); });
  maybe([&] { return std::make_unique<OnceCounters>(once_, profile_.keys); });
  maybe([&] { return std::make_unique<Appends>(appends_, profile_.keys); });
  maybe([&] { return std::make_unique<Deadlines>(deadlines_, profile_.keys); });
  maybe([&] { return std::make_unique<OwnKeys>(client); });
  return workloads;
}

SimCluster::~SimCluster() {
  // Sessions end before the replicas they belong to.
  clients_.clear();
}

void SimCluster::fail(std::string what) {
  if (failure_.empty()) failure_ = fmt::format("at {} us: {}", world_.now_us(), what);
}

// --- the network
// ----------------------------------------------------------------------------------

// Messages travel as bytes, as they do between real nodes.
void SimCluster::route(raft::Message message) {
  ++totals_.messages;
  Random& random = world_.random();
  if (faults_on_ && random.chance(profile_.loss)) return;
  if (cut_.contains({message.from, message.to})) return;
  std::string bytes;
  raft::encode_message(message, bytes);
  const int copies = faults_on_ && random.chance(profile_.duplicate) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    uint64_t delay = random.between(20, profile_.delay_us_max);
    if (faults_on_) delay += link_delay_us_[{message.from, message.to}];
    if (faults_on_ && random.chance(profile_.reorder)) delay *= random.between(1, 20);
    world_.after(delay, [this, bytes, from = message.from, to = message.to] {
      if (cuts_in_flight_ && cut_.contains({from, to})) return;
      auto decoded = raft::decode_message(bytes);
      if (!decoded) return fail("a message did not survive its encoding: " + decoded.error());
      nodes_[to - 1]->deliver(std::move(*decoded));
    });
  }
}

// --- faults
// ---------------------------------------------------------------------------------------

void SimCluster::fault_tick() {
  if (!faults_on_) return;
  Random& random = world_.random();
  if (random.chance(profile_.partitions)) {
    cuts_in_flight_ = random.chance(0.5);
    random.chance(0.5) ? partition() : isolate_leader();
  }
  if (!cut_.empty() && random.chance(0.1)) cut_.clear();
  follow_membership();
  if (random.chance(profile_.changes)) change_members();
  for (auto& node : nodes_) {
    SimNode* victim = node.get();
    if (retired_.contains(victim->id())) continue;
    if (!victim->up()) {
      // A spare begins its first life when it is to be added.
      if (victim->life() != 0 && random.chance(0.2)) victim->start();
    } else if (random.chance(profile_.crashes)) {
      victim->crash();
      ++totals_.crashes;
      if (random.chance(profile_.damage) && may_damage()) victim->damage_disk();
    } else if (random.chance(profile_.pauses) && !victim->paused()) {
      victim->pause();
      ++totals_.pauses;
      world_.after(random.between(1'000, 1'500'000), [victim] { victim->resume(); });
    }
    if (random.chance(profile_.clock_jumps)) {
      victim->shift_wall_clock(static_cast<int64_t>(random.below(7'200'000'000)) - 3'600'000'000);
    }
    if (random.chance(profile_.disk_full) && !victim->disk_full()) {
      ++totals_.full_disks;
      victim->set_disk_full(true);
      world_.after(random.between(10'000, 3'000'000), [victim] { victim->set_disk_full(false); });
    }
    if (victim->up() && random.chance(profile_.transfers)) {
      victim->enqueue([victim] { victim->replica().transfer(0); });
    }
  }
  world_.after(kFaultTickUs, [this] { fault_tick(); });
}

// The case in which two nodes take themselves for the leader.
void SimCluster::isolate_leader() {
  for (auto& node : nodes_) {
    if (!node->up() || !node->replica().node().is_leader()) continue;
    ++totals_.partitions;
    const bool hears = world_.random().chance(0.3);
    const bool speaks = !hears && world_.random().chance(0.3);
    for (auto& other : nodes_) {
      if (!speaks) cut_.insert({node->id(), other->id()});
      if (!hears) cut_.insert({other->id(), node->id()});
    }
    return;
  }
}

// Cuts one node off, or splits the cluster, or cuts single directions.
void SimCluster::partition() {
  ++totals_.partitions;
  Random& random = world_.random();
  cut_.clear();
  const bool one_way = random.chance(0.3);
  std::vector<bool> side(nodes_.size() + 1);
  for (size_t i = 1; i <= nodes_.size(); ++i) side[i] = random.chance(0.5);
  for (uint64_t a = 1; a <= nodes_.size(); ++a) {
    for (uint64_t b = 1; b <= nodes_.size(); ++b) {
      if (side[a] == side[b]) continue;
      if (!one_way || side[a]) cut_.insert({a, b});
    }
  }
}

void SimCluster::heal() {
  faults_on_ = false;
  cut_.clear();
  for (auto& client : clients_) client->calm_down();
  // The same chance decides which minority stays as it is.
  // Where members come and go, or are being repaired, everybody may be needed.
  const bool spares_some = profile_.changes == 0 && profile_.damage == 0;
  size_t down = spares_some ? (profile_.nodes - 1) / 2 : 0;
  for (auto& node : nodes_) {
    node->stop_faults();
    if (node->life() == 0 || retired_.contains(node->id())) continue;
    if (!node->up() && down > 0 && world_.random().chance(0.5)) {
      --down;
      continue;
    }
    if (!node->up()) node->start();
    node->resume();
  }
}

// --- checks
// ---------------------------------------------------------------------------------------

void SimCluster::check(SimNode& node) {
  server::Replica& replica = node.replica();
  if (std::string broken = replica.node().broken_invariant(); !broken.empty()) {
    fail(fmt::format("node {}: {}", node.id(), broken));
  }
  if (replica.node().is_leader()) {
    const auto [it, fresh] = leader_of_term_.emplace(replica.node().term(), node.id());
    if (fresh) ++totals_.leaders;
    if (it->second != node.id()) {
      fail(fmt::format("term {} has two leaders, {} and {}", it->first, it->second, node.id()));
    }
  }
  // Two replicas that applied the same entries hold the same data.
  const raft::Index applied = replica.state().applied_index();
  if (applied == 0 || applied == std::exchange(checked_[{node.id(), node.life()}], applied)) return;
  const Committed now{replica.state().log_time_us(), replica.state().digest()};
  const auto [it, fresh] = committed_.emplace(applied, now);
  if (!fresh && (it->second.time_us != now.time_us || it->second.digest != now.digest)) {
    fail(fmt::format("node {} differs from the others at index {}", node.id(), applied));
  }
}

void SimCluster::check_progress() {
  const uint64_t end = world_.now_us() + kProgressUs;
  const auto acknowledged = [this] {
    uint64_t sum = 0;
    for (auto& client : clients_) sum += client->totals().confirmed;
    return sum;
  };
  const uint64_t before = acknowledged();
  // Ten commands through a healed majority, then everybody stops and the replicas come to agree.
  while (acknowledged() < before + 10 && world_.step(end)) {
  }
  if (acknowledged() < before + 10) {
    return fail("no progress after the faults ended:" + states());
  }
  for (auto& client : clients_) client->stop();
  const uint64_t latest = world_.now_us() + kAgreementUs;
  do {
    world_.run_until(world_.now_us() + 2'000'000);
    follow_membership();
  } while (!(agreed() && finished() && unbounded_log().empty()) && world_.now_us() < latest);
  check_agreement();
}

bool SimCluster::finished() const {
  return std::ranges::all_of(clients_, [](const auto& client) { return client->finished(); });
}

// There is a leader, and every member has applied all that stands in its log.
bool SimCluster::agreed() const {
  raft::Index last = 0;
  for (auto& node : nodes_) {
    if (node->up() && node->replica().node().is_leader()) {
      last = std::max(last, node->replica().node().last_index());
    }
  }
  return last != 0 && std::all_of(nodes_.begin(), nodes_.end(), [this, last](const auto& node) {
           return !counts(*node) || node->applied_index() == last;
         });
}

bool SimCluster::counts(const SimNode& node) const {
  return node.up() && members_.membership.contexts.contains(node.id());
}

// Nobody sends anything any more: all members hold the same, and nothing that was promised is
// missing.
void SimCluster::check_agreement() {
  raft::Index applied = 0;
  for (auto& node : nodes_) {
    if (node->up()) applied = std::max(applied, node->applied_index());
  }
  for (auto& node : nodes_) {
    if (!counts(*node)) continue;
    if (node->applied_index() != applied) {
      fail(fmt::format("node {} stays at index {} of {}:{}", node->id(), node->applied_index(),
                       applied, states()));
    }
    if (std::string wrong = check_values(*node); !wrong.empty()) fail(wrong);
  }
  if (std::string wrong = unbounded_log(); !wrong.empty()) fail(wrong + ":" + states());
}

// Once nothing is going on any more, a log holds no more than what makes the next snapshot due, and
// behind the last one the tail, or what a follower that was being sent a snapshot held.
std::string SimCluster::unbounded_log() const {
  const server::SnapshotLimits& limits = profile_.node.options.snapshots.limits;
  if (limits.log_entries == 0) return "";
  for (auto& node : nodes_) {
    if (!counts(*node)) continue;
    const raft::Status status = node->raft_status();
    const uint64_t behind = std::max(limits.tail_entries, kHoldFactor * limits.log_entries);
    if (status.last + 1 - status.first > limits.log_entries + behind) {
      return fmt::format("the log of node {} is not cut: {} to {}", node->id(), status.first,
                         status.last);
    }
  }
  return "";
}

std::string SimCluster::check_values(SimNode& node) {
  const FinalValue value_of = [&node](const std::string& key) {
    data::Clock clock = data::Clock::at(node.replica().state().log_time_ms());
    Reply reply;
    const data::Entry* entry = node.keyspace().find(key, clock);
    if (entry == nullptr) return reply;
    data::IntBuffer buffer;
    reply.kind = Reply::Kind::kText;
    reply.text = data::Keyspace::string_of(*entry, buffer);
    reply.integer = data::Keyspace::integer_of(*entry).value_or(0);
    return reply;
  };
  std::string wrong = counters_.check_final(value_of);
  if (wrong.empty()) wrong = once_.check_final(value_of);
  if (wrong.empty()) wrong = appends_.check_final(value_of);
  if (wrong.empty()) wrong = Accounts::check_final(value_of);
  return wrong;
}

void SimCluster::play() {
  for (uint64_t id : were_added_) nodes_[id - 1]->start();
  for (auto& client : clients_) client->start();
  world_.after(kFaultTickUs, [this] { fault_tick(); });
  const uint64_t end = world_.now_us() + profile_.duration_us;
  while (failure_.empty() && world_.step(end)) {
  }
  if (!failure_.empty()) return;
  heal();
  check_progress();
}

std::string SimCluster::run() {
  try {
    play();
  } catch (const std::exception& error) {
    fail(error.what());
  }
  for (auto& client : clients_) {
    totals_.acknowledged += client->totals().acknowledged;
    totals_.unknown += client->totals().unknown;
    totals_.refused += client->totals().refused;
  }
  totals_.once_retries = once_.retries;
  for (auto& node : nodes_) {
    if (node->up()) totals_.once_duplicates += node->stats().once_duplicates;
    const NodeCounts counts = node->counts();
    totals_.snapshots += counts.snapshots;
    totals_.installs += counts.installs;
    totals_.log_cuts += counts.log_cuts;
    totals_.repairs += counts.repairs;
    totals_.damaged_files += counts.damaged_files;
    totals_.digest_checks += counts.digest_checks;
  }
  if (verbose_) fmt::print("{}\n", states());
  return failure_;
}

}  // namespace raftkv::sim
