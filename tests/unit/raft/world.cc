#include "tests/unit/raft/world.h"

#include <algorithm>

#include "raft/codec.h"
#include "raft/membership.h"

namespace raftkv::raft::test {

World::World(Profile profile, uint64_t seed) : profile_(profile), random_(seed) {
  std::vector<NodeId> voters;
  for (NodeId id = 1; id <= profile_.nodes; id++) voters.push_back(id);
  const size_t all = profile_.nodes + profile_.joiners;
  members_.resize(all);
  cut_.assign(all + 1, std::vector<bool>(all + 1));
  for (NodeId id = 1; id <= all; id++) {
    Member& member = members_[id - 1];
    member.options = options_for(id, id <= profile_.nodes ? voters : std::vector<NodeId>{});
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
  member.applied = member.commit_checked = member.disk.snapshot().index;
  member.repairing = member.node->status().repairing;
  member.reads.clear();
  member.remote_reads.clear();
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
  for (const SnapshotRequest& request : ready.snapshots) {
    // Sometimes one that is too old.
    const SnapshotMeta& meta = !calm_ && chance(1, 4) ? member.disk.snapshot() : member.file;
    transfers_.push_back({member.options.id, request.to, meta, now_ + random_.below(100) * kMs});
  }
}

void World::deliver_snapshots() {
  for (size_t i = 0; i < transfers_.size(); i++) {
    if (transfers_[i].due > now_ || members_[transfers_[i].to - 1].paused) continue;
    const Transfer transfer = transfers_[i];
    transfers_.erase(transfers_.begin() + static_cast<std::ptrdiff_t>(i--));
    Member& from = members_[transfer.from - 1];
    Member& to = members_[transfer.to - 1];
    bool installed = false;
    if (!cut_[transfer.from][transfer.to] && transfer.meta.index != 0) {
      turn(to);
      installed = to.node->restore(transfer.meta);
      if (installed) {
        to.applied = transfer.meta.index;
        to.file = transfer.meta;
        snapshots_installed_++;
        check_snapshot(to, transfer.meta);
      }
      check(to);
    }
    const bool told = calm_ || !chance(1, 4);
    from.node->snapshot_sent(transfer.to, installed && told ? transfer.meta.index : 0);
    check(from);
  }
}

void World::compact(Member& member) {
  const Index oldest = member.node->snapshot_index();
  if (member.paused || member.applied == 0) return;
  const Index index = oldest + random_.below(member.applied - oldest + 1);
  if (index == 0) return;
  member.file = member.node->snapshot_meta(index);
  check_snapshot(member, member.file);
  member.node->compact(index, index + 1 - random_.below(std::min<Index>(index + 1, 20)));
  check(member);
}

void World::check_snapshot(const Member& member, const SnapshotMeta& meta) {
  const std::string what = "node " + std::to_string(member.options.id) + " has a snapshot at " +
                           std::to_string(meta.index) + " ";
  if (meta.index > committed_.size()) return fail(what + "of what is not committed");
  const Entry& entry = committed_[meta.index - 1];
  if (entry.term != meta.term || entry.time_us != meta.time_us) fail(what + "of another entry");
  // A joiner may not know whom the group began with.
  const bool known = meta.membership != Membership{};
  if (known && meta.membership != membership_at(meta.index)) fail(what + "of another membership");
}

Membership World::membership_at(Index index) const {
  for (; index > 0; index--) {
    const Entry& entry = committed_[index - 1];
    if (entry.kind == EntryKind::kMembership) return *decode_membership(*entry.payload);
  }
  return normalized(members_.front().options.bootstrap);
}

size_t World::changes_finished() const {
  return static_cast<size_t>(std::count_if(committed_.begin(), committed_.end(), [](const auto& e) {
    return e.kind == EntryKind::kMembership && !decode_membership(*e.payload)->joint();
  }));
}

// At least three voters, so that one that lost its log can be repaired by the others.
void World::change_members() {
  Member& member = any();
  if (member.paused || !member.node->is_leader()) return;
  turn(member);
  const Membership& now = member.node->membership().membership;
  std::vector<MemberChange> wishes;
  for (uint64_t i = 0; i <= random_.below(3); i++) {
    const auto kind = static_cast<MemberChange::Kind>(random_.below(4));
    wishes.push_back({kind, any().options.id, "c" + std::to_string(random_.below(9))});
  }
  const auto next = changed(now, wishes);
  if (!next || next->voters.size() < 3 || next->voters.size() > 5) return;
  (void)member.node->change_members(wishes);
  check(member);
  if (chance(2, 3)) carry_out(member);
}

void World::lose_a_log() {
  for (const Member& member : members_) {
    if (member.disk.lost_up_to() != 0) return;
  }
  Member& member = any();
  member.disk.lose_pending();
  member.disk.lose_log();
  crash(member);
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
  } else {
    ask_for_read(member);
  }
  if (!calm_ && chance(1, 300)) (void)member.node->transfer(0);
  check(member);
  if (calm_ || chance(2, 3)) carry_out(member);
}

void World::ask_for_read(Member& member) {
  const bool remote = !member.node->is_leader();
  const uint64_t number = remote ? member.node->read_from_leader() : member.node->read();
  if (number == 0) return;
  member.reads[number] = committed_.size();
  if (remote) member.remote_reads.insert(number);
}

void World::harm_something() {
  if (chance(profile_.crashes, 1000)) crash(any());
  if (chance(profile_.log_losses, 1000)) lose_a_log();
  if (chance(profile_.compactions, 1000)) compact(any());
  if (chance(profile_.changes, 1000)) change_members();
  if (chance(profile_.pauses, 1000)) any().paused = true;
  if (chance(profile_.pauses * 2, 1000)) any().paused = false;
  if (chance(profile_.partitions, 1000)) {
    const NodeId from = any().options.id;
    for (NodeId to = 1; to <= members_.size(); to++) {
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
  deliver_snapshots();
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
    if (caught_up(before)) return check_logs_match();
  }
  fail("no progress after the faults ended, " + std::to_string(committed_.size() - before) +
       " committed: " + stragglers());
}

std::string World::stragglers() const {
  std::string text;
  for (const Member& member : members_) {
    const Status status = member.node->status();
    text += "\n  node " + std::to_string(status.id) + " is " + role_name(status.role) +
            " in term " + std::to_string(status.term) + ", applied " +
            std::to_string(member.applied) + " of log " + std::to_string(status.first) + " to " +
            std::to_string(status.last) + ", snapshot " + std::to_string(status.snapshot_index) +
            (status.repairing ? ", repairing" : "");
    for (const PeerStatus& peer : status.peers) {
      text += "\n    follower " + std::to_string(peer.id) + " match " + std::to_string(peer.match) +
              " next " + std::to_string(peer.next) + (peer.snapshotting ? " snapshotting" : "") +
              (peer.active ? "" : " silent");
    }
  }
  return text;
}

// All who belong to the group in the end have what was committed.
bool World::caught_up(size_t before) const {
  const Membership members = membership_at(committed_.size());
  return !members.joint() &&
         std::all_of(members.contexts.begin(), members.contexts.end(), [&](const auto& context) {
           const Member& m = members_[context.first - 1];
           return m.applied > before + 10 && m.applied + 10 > committed_.size() && !m.repairing;
         });
}

// --- what is promised --------------------------------------------------------------------------

Term World::Image::term_at(Index index) const {
  if (index == base) return base_term;
  return index > base && index <= base + entries.size() ? entries[index - base - 1].term : 0;
}

World::Image World::log_of(const Member& member) const {
  const FakeDisk& disk = member.disk;
  Image log{disk.first_index() - 1, disk.term_at(disk.first_index() - 1), disk.entries()};
  for (const Persist& persist : disk.pending()) {
    if (persist.cut) {
      const Index base = persist.cut->first_index - 1;
      if (persist.cut->replaces_log) {
        log = {base, persist.cut->snapshot.term, {}};
      } else {
        const Term term = log.term_at(base);
        const auto dropped = static_cast<std::ptrdiff_t>(base - log.base);
        log.entries.erase(log.entries.begin(), log.entries.begin() + dropped);
        log.base = base;
        log.base_term = term;
      }
    }
    if (persist.entries.empty()) continue;
    log.entries.resize(persist.entries.front().index - 1 - log.base);
    log.entries.insert(log.entries.end(), persist.entries.begin(), persist.entries.end());
  }
  return log;
}

void World::check(Member& member) {
  if (auto broken = member.node->broken_invariant(); !broken.empty()) {
    fail("node " + std::to_string(member.options.id) + ": " + broken);
  }
  check_leader(member);
  check_commit(member);
  if (member.repairing && !member.node->status().repairing) {
    member.repairing = false;
    logs_repaired_++;
  }
}

// What is acknowledged and then lost with the log still counts: it comes back before the node takes
// part in a decision.
bool World::holds(const Member& member, Index index, Term term) const {
  return member.disk.snapshot().index >= index || member.disk.lost_up_to() >= index ||
         member.disk.term_at(index) == term;
}

bool World::majority_holds(const std::vector<NodeId>& voters, Index index, Term term) const {
  const auto holders = std::count_if(voters.begin(), voters.end(), [&](NodeId id) {
    return holds(members_[id - 1], index, term);
  });
  return voters.empty() || static_cast<size_t>(holders) * 2 > voters.size();
}

// A leader commits what both majorities hold, of the membership in force or, if that has just been
// appended in answer to the commit, of the one before.
void World::check_commit(Member& member) {
  const Index commit = member.node->commit_index();
  if (!member.node->is_leader() || commit == member.commit_checked) return;
  member.commit_checked = commit;
  const Image log = log_of(member);
  std::vector<Membership> newest = {membership_at(std::min<Index>(log.base, committed_.size()))};
  for (const Entry& entry : log.entries) {
    if (entry.kind == EntryKind::kMembership) newest.push_back(*decode_membership(*entry.payload));
  }
  newest.push_back(member.node->membership().membership);
  const Term term = log.term_at(commit);
  for (size_t i = newest.size(); i-- > 0 && i + 3 >= newest.size();) {
    if (majority_holds(newest[i].voters, commit, term) &&
        majority_holds(newest[i].outgoing_voters, commit, term)) {
      return;
    }
  }
  fail("node " + std::to_string(member.options.id) + " committed entry " + std::to_string(commit) +
       " without a majority");
}

void World::check_leader(Member& member) {
  if (!member.node->is_leader()) return;
  const auto [known, is_new] = leaders_.try_emplace(member.node->term(), member.options.id);
  if (known->second != member.options.id) {
    fail("two leaders in term " + std::to_string(member.node->term()));
  }
  if (!is_new) return;
  const Image log = log_of(member);
  for (Index index = std::max<Index>(log.base, 1); index <= committed_.size(); index++) {
    if (log.term_at(index) != committed_[index - 1].term) {
      return fail("the leader of term " + std::to_string(member.node->term()) +
                  " lacks committed entry " + std::to_string(index));
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
    remote_reads_granted_ += member.remote_reads.erase(number);
    reads_granted_++;
  }
}

void World::check_logs_match() {
  for (size_t a = 0; a < members_.size(); a++) {
    for (size_t b = a + 1; b < members_.size(); b++) {
      const FakeDisk& first = members_[a].disk;
      const FakeDisk& second = members_[b].disk;
      bool agree = false;  // at some later index
      const Index begin = std::max(first.first_index(), second.first_index());
      for (Index i = std::min(first.last_index(), second.last_index()); i >= begin; i--) {
        const Entry& left = first.entries()[i - first.first_index()];
        const Entry& right = second.entries()[i - second.first_index()];
        const bool same = left.term == right.term;
        if (agree && !same) return fail("logs that agree later differ at " + std::to_string(i));
        agree |= same;
        if (same && (left.payload ? *left.payload : "") != (right.payload ? *right.payload : "")) {
          return fail("one term and index, two entries: " + std::to_string(i));
        }
      }
    }
  }
}

}  // namespace raftkv::raft::test
