#include "tests/sim/sim_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "raft/codec.h"
#include "server/command/member_context.h"

namespace raftkv::sim {

namespace {

// So many times what makes a snapshot due may be held for a follower.
constexpr uint64_t kHoldFactor = 4;
constexpr uint64_t kProgressUs = 15'000'000;
constexpr uint64_t kSlowLinkUsMax = 250'000;
constexpr uint64_t kLateTimeouts = 6;  // a late message takes at most so many election timeouts
constexpr uint64_t kSlowTurnUsMax = 20'000;
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

}  // namespace

SimCluster::SimCluster(uint64_t seed, Profile profile)
    : world_(seed),
      profile_(profile),
      deadlines_(world_, !profile.disturbs_clocks()),
      safety_(
          nodes_, [this](const SimNode& node) { return is_lost(node); },
          [this](std::string what) { fail(std::move(what)); }) {
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
  home_ = world_.random().between(1, profile_.nodes);
  for (const server::Member& from : all) link_delay_us_[{from.id, home_}] += profile_.home_delay_us;
  std::vector<SimNode*> nodes;
  for (auto& node : nodes_) nodes.push_back(node.get());
  for (size_t i = 0; i < profile_.clients; ++i) {
    auto character = SimClient::Character::draw(world_.random(), profile_);
    // Somebody must write, else nothing tells whether the cluster makes progress.
    if (i == 0) {
      character.stays_anywhere = character.only_reads = character.only_watches = false;
    }
    clients_.push_back(std::make_unique<SimClient>(
        world_, trace_, i, nodes, draw_workloads(i, character), character, safety_,
        [this](std::string what) { fail(std::move(what)); }));
  }
}

void SimCluster::add_node(const std::vector<server::Member>& members, const server::Member& member,
                          bool joins) {
  NodeProfile node = profile_.node;
  node.hash_seed = world_.random().next();
  // Two clocks at the two ends of what is allowed show most.
  const int32_t drift = profile_.clock_drift_ppm_max;
  node.clock_drift_ppm =
      static_cast<int32_t>(world_.random().below(2 * static_cast<uint64_t>(drift) + 1)) - drift;
  if (world_.random().chance(0.5)) node.clock_drift_ppm = node.clock_drift_ppm < 0 ? -drift : drift;
  if (world_.random().chance(profile_.slow_nodes)) {
    node.turn_us_max *= world_.random().between(2, 50);
    node.turn_us_max = std::min(node.turn_us_max, kSlowTurnUsMax);
  }
  node.wall_offset_us = static_cast<int64_t>(world_.random().below(10'000'000)) - 5'000'000;
  nodes_.push_back(std::make_unique<SimNode>(
      world_, trace_, member.id, joins ? std::vector<server::Member>() : members, node,
      [this](raft::Message m) { route(std::move(m)); },
      [this](SnapshotTransfer transfer) { carry(std::move(transfer)); }));
  nodes_.back()->after_turn = [this](SimNode& turned) {
    safety_.after_turn(turned);
    for (auto& client : clients_) client->node_turned();
  };
  nodes_.back()->after_write = [this](SimNode& writer, const raft::Persist& persist) {
    safety_.written(writer, persist);
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
  if (character.only_watches) {
    workloads.push_back(std::make_unique<Accounts>(1));
    return workloads;
  }
  if (character.only_deadlines) {
    workloads.push_back(std::make_unique<Deadlines>(deadlines_, profile_.keys));
    return workloads;
  }
  const bool only_reads = character.only_reads;
  workloads.push_back(std::make_unique<Counters>(counters_, profile_.keys, only_reads));
  workloads.push_back(std::make_unique<Registers>(registers_, client, profile_.keys, only_reads));
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
  if (!failure_.empty()) return;
  trace_.say("FAILED: {}", what);
  failure_ = fmt::format("at {} us: {}", world_.now_us(), what);
}

// --- the network
// ----------------------------------------------------------------------------------

// Messages travel as bytes, as they do between real nodes.
void SimCluster::route(raft::Message message) {
  ++totals_.messages;
  safety_.sent(message);
  if (message.from == forsaken_ && std::holds_alternative<raft::TimeoutNow>(message.body)) {
    forsaken_ = 0;
    if (faults_on_) deafen(message.from);
  }
  Random& random = world_.random();
  if (faults_on_ && random.chance(profile_.loss)) {
    ++totals_.lost;
    return;
  }
  if (cut_.contains({message.from, message.to})) {
    ++totals_.cut_off;
    return;
  }
  std::string bytes;
  raft::encode_message(message, bytes);
  const int copies = faults_on_ && random.chance(profile_.duplicate) ? 2 : 1;
  if (copies > 1) ++totals_.duplicated;
  for (int i = 0; i < copies; ++i) {
    uint64_t delay = random.between(20, profile_.delay_us_max);
    if (faults_on_) delay += link_delay_us_[{message.from, message.to}];
    if (faults_on_ && profile_.leader_delay_us != 0 && is_leader(message.to)) {
      delay += profile_.leader_delay_us;
    }
    if (faults_on_ && random.chance(profile_.reorder)) {
      delay *= random.between(1, 20);
      ++totals_.reordered;
    }
    const double late = message.to == home_ ? profile_.late + profile_.home_late : profile_.late;
    if (faults_on_ && random.chance(late)) {
      delay += random.below(kLateTimeouts * profile_.node.options.raft.election_timeout_us);
      ++totals_.late;
    }
    world_.after(delay, [this, bytes, from = message.from, to = message.to] {
      if (cuts_in_flight_ && cut_.contains({from, to})) {
        ++totals_.cut_off;
        return;
      }
      auto decoded = raft::decode_message(bytes);
      if (!decoded) return fail("a message did not survive its encoding: " + decoded.error());
      nodes_[to - 1]->deliver(std::move(*decoded));
    });
  }
}

// --- the end
// ------------------------------------------------------------------------------------------

void SimCluster::heal() {
  faults_on_ = false;
  trace_.say("the faults end");
  cut_.clear();
  for (auto& client : clients_) client->calm_down();
  // The same chance decides which minority stays as it is.
  // Where members come and go, or are being repaired, everybody may be needed.
  const bool spares_some = profile_.changes == 0 && profile_.damage == 0;
  size_t down = spares_some ? (profile_.nodes - 1) / 2 : 0;
  for (auto& node : nodes_) {
    node->stop_faults();
    if (node->life() == 0 || retired_.contains(node->id()) || is_lost(*node)) continue;
    if (!node->up() && down > 0 && world_.random().chance(0.5)) {
      --down;
      continue;
    }
    if (!node->up()) node->start();
    node->resume();
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
  if (std::string wrong = registers_.judge(); !wrong.empty()) fail(wrong);
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
  trace_.say(
      "{} nodes, {} clients, reads by {}; node {} comes back (chance {}), {} us away; late {}; "
      "bankers {}",
      profile_.nodes, profile_.clients,
      profile_.node.read_mode == server::ReadMode::kLease ? "lease" : "rounds", home_,
      profile_.returns, profile_.home_delay_us, profile_.late, profile_.bankers);
  for (uint64_t id : were_added_) nodes_[id - 1]->start();
  for (auto& client : clients_) client->start();
  fault_tick();
  return_tick();
  const uint64_t end = world_.now_us() + profile_.duration_us;
  while (failure_.empty() && world_.step(end)) {
  }
  if (!failure_.empty()) return;
  heal();
  check_progress();
}

std::string SimCluster::run() {
  const uint64_t began_us = world_.now_us();
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
    totals_.failed_syncs += counts.failed_syncs;
  }
  totals_.simulated_us = world_.now_us() - began_us;
  totals_.states = safety_.states();
  totals_.leaders = safety_.leaders();
  totals_.judged = registers_.operations();
  totals_.undecided = registers_.undecided();
  trace_.say("the end:{}", states());
  return failure_;
}

}  // namespace raftkv::sim
