#include "tests/unit/raft/world.h"

#include <algorithm>

namespace raftkv::raft::test {

World::World(Profile profile, uint64_t seed) : profile_(profile), random_(seed) {
  std::vector<NodeId> voters;
  for (NodeId id = 1; id <= profile_.nodes; id++) voters.push_back(id);
  members_.resize(profile_.nodes);
  cut_.assign(profile_.nodes + 1, std::vector<bool>(profile_.nodes + 1));
  for (NodeId id : voters) {
    Member& member = members_[id - 1];
    member.options = options_for(id, voters);
    member.options.lease_reads = profile_.lease_reads;
    member.options.random_seed = seed;
    member.options.cache_bytes_max = 1000;
    if (profile_.small_windows) {
      member.options.inflight_messages_max = 3;
      member.options.inflight_bytes_max = 600;
      member.options.append_bytes_max = 200;
      member.options.apply_bytes_max = 200;
    }
    // At most 9 % between the fastest and the slowest: the lease allows for 10.
    member.clock_rate = 960 + random_.below(86);
    start(member);
  }
}

void World::fail(const std::string& what) {
  if (broken_.empty()) broken_ = "step " + std::to_string(steps_) + ": " + what;
}

MonotonicUs World::clock(const Member& member) const {
  return kStart + (now_ - kStart) * member.clock_rate / 1000;
}

void World::start(Member& member) {
  member.node =
      std::make_unique<Node>(member.options, member.disk.restored(), member.disk, clock(member));
  member.applied = 0;
  member.reads.clear();
  member.synced.clear();
  carry_out(member);
}

void World::crash(Member& member) {
  member.disk.lose_pending();
  member.paused = false;
  start(member);
}

void World::turn(Member& member) {
  member.node->tick(clock(member));
}

void World::launch(const Message& message) {
  if (!calm_ && chance(profile_.loss, 100)) return;
  const uint64_t copies = !calm_ && chance(profile_.duplication, 100) ? 2 : 1;
  for (uint64_t i = 0; i < copies; i++) {
    const uint64_t delay = profile_.reorder && !calm_ ? random_.below(30 * kMs) : kMs;
    network_.push_back({message, now_ + delay});
  }
}

void World::carry_out(Member& member) {
  // One Ready a turn, as a host would: the rest waits.
  if (!member.node->has_ready()) return;
  Ready ready = member.node->take_ready();
  for (const Message& message : ready.send_now) launch(message);
  if (ready.persist) member.disk.queue(std::move(*ready.persist));
  for (const Entry& entry : ready.apply) check_applied(member, entry);
  for (const ReadGrant& grant : ready.reads) check_grant(member, grant);
}

void World::deliver_some() {
  for (size_t i = 0; i < network_.size(); i++) {
    if (network_[i].due > now_) continue;
    Member& to = members_[network_[i].message.to - 1];
    if (to.paused) continue;
    Message message = std::move(network_[i].message);
    network_.erase(network_.begin() + static_cast<std::ptrdiff_t>(i--));
    if (cut_[message.from][message.to]) continue;
    turn(to);
    to.node->step(std::move(message));
    check(to);
    if (calm_ || chance(2, 3)) carry_out(to);
  }
}

void World::sync_some() {
  for (Member& member : members_) {
    if (member.paused) continue;
    while (calm_ || chance(profile_.disk_speed, 100)) {
      auto persist = member.disk.sync_one();
      if (!persist) break;
      member.synced.push_back(std::move(*persist));
    }
    if (member.synced.empty() || !(calm_ || chance(1, 2))) continue;
    turn(member);
    // Some hosts report each write, some only the newest of a group.
    const bool each = chance(1, 2);
    while (!member.synced.empty()) {
      Persist done = std::move(member.synced.front());
      member.synced.pop_front();
      for (const Message& message : done.sealed) launch(message);
      if (each || member.synced.empty()) member.node->persisted(done.token);
    }
    check(member);
    carry_out(member);
  }
}

void World::ask_something() {
  Member& member = any();
  if (member.paused) return;
  turn(member);
  if (chance(1, 2)) {
    (void)member.node->propose(text("p" + std::to_string(proposals_++)), now_);
  } else if (const uint64_t number = member.node->read(); number != 0) {
    member.reads[number] = committed_.size();
  }
  if (!calm_ && chance(1, 300)) (void)member.node->transfer(0);
  check(member);
  if (calm_ || chance(2, 3)) carry_out(member);
}

void World::harm_something() {
  if (chance(profile_.crashes, 1000)) crash(any());
  if (chance(profile_.pauses, 1000)) any().paused = true;
  if (chance(profile_.pauses * 2, 1000)) any().paused = false;
  if (chance(profile_.partitions, 1000)) {
    const NodeId from = any().options.id;
    for (NodeId to = 1; to <= profile_.nodes; to++) {
      if (to == from) continue;
      cut_[from][to] = chance(1, 2);
      cut_[to][from] = chance(1, 2);
    }
  }
  if (chance(profile_.partitions, 1000)) {
    for (auto& row : cut_) row.assign(row.size(), false);
  }
}

void World::step() {
  steps_++;
  now_ += random_.below(4 * kMs);
  for (Member& member : members_) {
    if (member.paused) continue;
    if (calm_ || chance(1, 2)) turn(member);
    carry_out(member);
    check(member);
  }
  deliver_some();
  sync_some();
  ask_something();
  if (!calm_) harm_something();
  if (steps_ % 64 == 0) check_logs_match();
}

void World::rage(size_t steps) {
  for (size_t i = 0; i < steps && broken_.empty(); i++) step();
}

void World::demand_progress() {
  calm_ = true;
  for (Member& member : members_) member.paused = false;
  for (auto& row : cut_) row.assign(row.size(), false);
  const size_t before = committed_.size();
  for (int i = 0; i < 5000 && broken_.empty(); i++) {
    step();
    const bool all_caught_up = std::all_of(members_.begin(), members_.end(), [&](const Member& m) {
      return m.applied > before + 10 && m.applied + 10 > committed_.size();
    });
    if (all_caught_up) return check_logs_match();
  }
  fail("no progress after the faults ended, " + std::to_string(committed_.size() - before) +
       " committed");
}

// --- what is promised --------------------------------------------------------------------------

std::vector<Entry> World::log_of(const Member& member) const {
  std::vector<Entry> log = member.disk.entries();
  for (const Persist& persist : member.disk.pending()) {
    if (persist.entries.empty()) continue;
    log.resize(persist.entries.front().index - 1);
    log.insert(log.end(), persist.entries.begin(), persist.entries.end());
  }
  return log;
}

void World::check(Member& member) {
  if (auto broken = member.node->broken_invariant(); !broken.empty()) {
    fail("node " + std::to_string(member.options.id) + ": " + broken);
  }
  check_leader(member);
}

void World::check_leader(Member& member) {
  if (!member.node->is_leader()) return;
  const auto [known, is_new] = leaders_.try_emplace(member.node->term(), member.options.id);
  if (known->second != member.options.id) {
    fail("two leaders in term " + std::to_string(member.node->term()));
  }
  if (!is_new) return;
  const std::vector<Entry> log = log_of(member);
  for (const Entry& entry : committed_) {
    if (entry.index > log.size() || log[entry.index - 1].term != entry.term) {
      return fail("the leader of term " + std::to_string(member.node->term()) +
                  " lacks committed entry " + std::to_string(entry.index));
    }
  }
}

void World::check_applied(Member& member, const Entry& entry) {
  if (entry.index != ++member.applied) fail("applied out of order");
  if (entry.index <= committed_.size()) {
    const Entry& before = committed_[entry.index - 1];
    const bool same = before.term == entry.term && before.time_us == entry.time_us &&
                      before.payload_size() == entry.payload_size() &&
                      (!entry.payload || *before.payload == *entry.payload);
    if (!same) fail("committed entry " + std::to_string(entry.index) + " changed");
    return;
  }
  const auto holders = std::count_if(members_.begin(), members_.end(), [&](const Member& m) {
    return m.disk.entries().size() >= entry.index &&
           m.disk.entries()[entry.index - 1].term == entry.term;
  });
  if (static_cast<size_t>(holders) * 2 <= members_.size()) {
    fail("entry " + std::to_string(entry.index) + " was committed with " + std::to_string(holders) +
         " disks holding it");
  }
  if (!committed_.empty() && entry.time_us < committed_.back().time_us) {
    fail("the log's time went back at " + std::to_string(entry.index));
  }
  committed_.push_back(entry);
}

void World::check_grant(Member& member, const ReadGrant& grant) {
  for (uint64_t number = grant.first; number <= grant.last; number++) {
    const auto read = member.reads.find(number);
    if (read == member.reads.end()) {
      fail("read " + std::to_string(number) + " was granted twice, or never asked for");
      return;
    }
    if (grant.index < read->second) {
      fail("a stale read: granted at " + std::to_string(grant.index) + ", but " +
           std::to_string(read->second) + " was committed before it came");
    }
    member.reads.erase(read);
    reads_granted_++;
  }
}

void World::check_logs_match() {
  for (size_t a = 0; a < members_.size(); a++) {
    for (size_t b = a + 1; b < members_.size(); b++) {
      const auto& first = members_[a].disk.entries();
      const auto& second = members_[b].disk.entries();
      bool agree = false;  // at some later index
      for (size_t i = std::min(first.size(), second.size()); i-- > 0;) {
        const bool same = first[i].term == second[i].term;
        if (agree && !same) return fail("logs that agree later differ at " + std::to_string(i + 1));
        agree |= same;
        if (!same) continue;
        const std::string left = first[i].payload ? *first[i].payload : "";
        const std::string right = second[i].payload ? *second[i].payload : "";
        if (left != right) return fail("one term and index, two entries: " + std::to_string(i + 1));
      }
    }
  }
}

}  // namespace raftkv::raft::test
