#include "raft/leader.h"

#include <algorithm>
#include <utility>

#include "raft/check.h"
#include "raft/quorum.h"

namespace raftkv::raft {

Leader::Leader(Core& core)
    : core_(core),
      opening_(core.log.last_index() + 1),
      reads_(opening_),
      next_heartbeat_(core.now + core.options.heartbeat_us) {
  append(EntryKind::kNoop, nullptr, core_.log.last_time_us());
  // Those whose removal is not known to be committed may not know of it either.
  for (NodeId id : core_.members.members_since(core_.commit())) {
    if (id != core_.self() && !knows(id)) {
      peers_.emplace_back(id, opening_, core_.options, core_.now);
    }
  }
  follow_membership();
  start_round();
}

const Progress* Leader::find(NodeId id) const {
  const auto found = std::find_if(peers_.begin(), peers_.end(),
                                  [id](const Progress& peer) { return peer.id() == id; });
  return found == peers_.end() ? nullptr : &*found;
}

Progress* Leader::find(NodeId id) {
  return const_cast<Progress*>(std::as_const(*this).find(id));
}

const Progress& Leader::peer(NodeId id) const {
  const Progress* found = find(id);
  RAFT_CHECK(found != nullptr, std::to_string(id) + " is no follower of ours");
  return *found;
}

Progress& Leader::peer(NodeId id) {
  return const_cast<Progress&>(std::as_const(*this).peer(id));
}

// --- time --------------------------------------------------------------------------------------

bool Leader::tick() {
  if (core_.now >= quorum_deadline() || core_.disk_stalled()) return false;
  if (core_.now >= transfer_deadline_) {
    if (removed_) return false;
    transfer_target_ = 0;
    transfer_deadline_ = kNever;
  }
  if (core_.now >= next_heartbeat_) {
    next_heartbeat_ = core_.now + core_.options.heartbeat_us;
    send_heartbeats();
  }
  return true;
}

MonotonicUs Leader::quorum_deadline() const {
  if (core_.config().is_sole_voter(core_.self())) return kNever;
  const MonotonicUs heard = majority_reached(core_.config(), [&](NodeId voter) {
    return voter == core_.self() ? core_.now : peer(voter).last_heard();
  });
  return heard + core_.options.election_timeout_us;
}

MonotonicUs Leader::next_deadline() const {
  return std::min(
      {next_heartbeat_, quorum_deadline(), core_.disk_stall_deadline(), transfer_deadline_});
}

bool Leader::active(const Progress& peer) const {
  return core_.now < peer.last_heard() + core_.options.election_timeout_us;
}

// --- replication -------------------------------------------------------------------------------

std::expected<Index, ProposeError> Leader::propose(Payload payload, uint64_t time_us,
                                                   EntryKind kind) {
  if (transfer_target_ != 0 || removed_) return std::unexpected(ProposeError::kTransferring);
  // What a majority committed but our own disk has not taken yet weighs on our memory all the same.
  const Index settled = std::min(core_.commit(), core_.disk.durable_index());
  if (core_.log.bytes_after(settled) >= core_.options.uncommitted_bytes_max) {
    return std::unexpected(ProposeError::kBusy);
  }
  append(kind, std::move(payload), time_us);
  return core_.log.last_index();
}

void Leader::append(EntryKind kind, Payload payload, uint64_t time_us) {
  Entry entry{.term = core_.term(),
              .index = core_.log.last_index() + 1,
              .time_us = std::max(time_us, core_.log.last_time_us()),
              .kind = kind,
              .payload = std::move(payload)};
  core_.append({&entry, 1});
}

void Leader::send_pending() {
  if (reads_.wants_round() && !lease_valid()) start_round();
  for (Progress& peer : peers_) send_appends(peer);
}

// What it needs next is no longer in the log.
bool Leader::behind_log(const Progress& peer) const {
  return peer.next() < core_.log.first_index();
}

// Whoever is silent is not sent one, nor whoever leaves.
bool Leader::wants_snapshot(const Progress& peer) const {
  return behind_log(peer) && peer.mode() != Progress::Mode::kSnapshot && active(peer) &&
         !departing(peer.id());
}

void Leader::take_snapshot_requests(std::vector<SnapshotRequest>& requests) {
  requests = std::exchange(snapshot_requests_, {});
}

void Leader::snapshot_sent(NodeId to, Index index) {
  Progress* peer = find(to);
  if (peer == nullptr) return;
  if (index == 0) {
    peer->snapshot_failed();
  } else {
    // What it installed is committed, but whether we know of that already is another matter.
    peer->snapshot_installed(std::min(index, core_.log.last_index()));
  }
}

void Leader::send_appends(Progress& peer) {
  if (wants_snapshot(peer)) {
    peer.snapshot_asked();
    snapshot_requests_.push_back({peer.id()});
  }
  if (behind_log(peer)) return;
  const Index last = core_.log.last_index();
  bool read_from_disk = false;
  while (peer.wants_append(last)) {
    // A follower far behind costs disk reads: one batch a turn, so that the others need not wait.
    const bool on_disk = peer.next() <= last && !core_.log.in_memory(peer.next());
    if (on_disk && read_from_disk) return;
    read_from_disk |= on_disk;
    send_append(peer, last);
  }
}

// Entries from peer.next() to at most `last`; last = peer.next() - 1 for an empty Append.
void Leader::send_append(Progress& peer, Index last) {
  Append append{.prev_index = peer.next() - 1,
                .prev_term = core_.log.term_at(peer.next() - 1),
                .commit = core_.commit(),
                .entries = {}};
  if (peer.next() <= last) {
    core_.log.read(peer.next(), last, core_.options.append_bytes_max, append.entries);
  }
  size_t bytes = 0;
  for (const Entry& entry : append.entries) bytes += entry.bytes();
  peer.append_sent(append.prev_index + append.entries.size(), bytes);
  core_.send(peer.id(), core_.term(), std::move(append));
}

void Leader::on_append_reply(const Message& message, const AppendReply& reply) {
  Progress* const found = find(message.from);
  if (found == nullptr) return;
  Progress& peer = *found;
  const Index claimed = reply.accepted ? reply.match : reply.rejected_prev;
  if (claimed > core_.log.last_index()) {
    core_.messages_ignored++;
    return;
  }
  peer.heard(core_.now);
  if (!reply.accepted) {
    peer.rejected(reply.rejected_prev,
                  core_.log.last_with_term_at_most(reply.hint_index, reply.hint_term));
    return;
  }
  const bool news = peer.accepted(reply.match);
  if (peer.mode() == Progress::Mode::kSnapshot && !behind_log(peer)) peer.snapshot_needless();
  if (!news) return;
  advance_commit();
  advance_transfer();
  see_off();
}

void Leader::advance_commit() {
  const Index reached = majority_reached(core_.config(), [&](NodeId voter) {
    return voter == core_.self() ? core_.disk.durable_index() : peer(voter).match();
  });
  // Entries of older terms are committed only along with one of ours (Raft paper 5.4.2): a majority
  // that holds them can still lose them to a leader that never saw them.
  if (reached > core_.commit() && core_.log.term_at(reached) == core_.term()) {
    core_.commit_to(reached);
  }
  advance_membership();
}

// --- rounds, reads and the lease ---------------------------------------------------------------

void Leader::send_heartbeats() {
  start_round();
  for (Progress& peer : peers_) {
    if (peer.wants_check() && !behind_log(peer)) send_append(peer, peer.next() - 1);
    peer.retry_snapshot(core_.log.first_index());
  }
  see_off();
}

void Leader::start_round() {
  const uint64_t round = reads_.start_round(core_.now, core_.commit());
  for (Progress& peer : peers_) {
    peer.heartbeat_sent(round);
    core_.send(peer.id(), core_.term(),
               Heartbeat{.commit = std::min(core_.commit(), peer.match()), .round = round});
  }
  update_rounds();
}

void Leader::on_heartbeat_reply(const Message& message, const HeartbeatReply& reply) {
  if (reply.round > reads_.round_last()) {
    core_.messages_ignored++;
    return;
  }
  Progress* const peer = find(message.from);
  if (peer == nullptr) return;
  peer->heard(core_.now);
  peer->heartbeat_answered(reply.round, reply.last_index);
  update_rounds();
  see_off();
}

void Leader::update_rounds() {
  reads_.round_answered(majority_reached(core_.config(), [&](NodeId voter) {
    return voter == core_.self() ? reads_.round_last() : peer(voter).answered_round();
  }));
}

void Leader::add_remote_read(NodeId from, uint64_t number) {
  reads_.add_remote({from, number}, core_.log.last_index());
}

bool Leader::lease_valid() const {
  if (!core_.options.lease_reads || lease_revoked_ || core_.commit() < opening_) return false;
  const uint64_t length =
      core_.options.election_timeout_us * (100 - core_.options.clock_drift_percent) / 100;
  return reads_.confirmed_at() != 0 && core_.now < reads_.confirmed_at() + length;
}

void Leader::take_grants(std::vector<ReadGrant>& grants) {
  while (auto granted = reads_.take_granted(core_.commit(), lease_valid())) {
    if (granted->own) grants.push_back(*granted->own);
    for (const RemoteRead& read : granted->remote) {
      core_.send(read.from, core_.term(),
                 ReadReply{.number = read.number, .index = granted->index});
    }
  }
}

bool Leader::has_ready() const {
  if (reads_.wants_round() || reads_.has_grants(core_.commit(), lease_valid())) return true;
  return std::any_of(peers_.begin(), peers_.end(), [&](const Progress& peer) {
    return behind_log(peer) ? wants_snapshot(peer) : peer.wants_append(core_.log.last_index());
  });
}

// --- transfer ----------------------------------------------------------------------------------

bool Leader::transfer(NodeId target) {
  if (transfer_target_ != 0) return target == 0 || target == transfer_target_;
  const Progress* chosen = nullptr;
  for (const Progress& peer : peers_) {
    if (!active(peer) || (target != 0 && peer.id() != target)) continue;
    if (!core_.config().stays_voter(peer.id())) continue;
    if (chosen == nullptr || peer.match() > chosen->match()) chosen = &peer;
  }
  if (chosen == nullptr) return false;
  transfer_target_ = chosen->id();
  transfer_deadline_ = core_.now + core_.options.election_timeout_us;
  transfer_ordered_ = false;
  advance_transfer();
  return true;
}

void Leader::advance_transfer() {
  if (transfer_target_ == 0 || transfer_ordered_) return;
  if (peer(transfer_target_).match() < core_.log.last_index()) return;
  transfer_ordered_ = true;
  lease_revoked_ = true;
  core_.send(transfer_target_, core_.term(), TimeoutNow{});
}

// --- questions ---------------------------------------------------------------------------------

std::vector<PeerStatus> Leader::peer_status() const {
  std::vector<PeerStatus> status;
  for (const Progress& peer : peers_) {
    if (departing(peer.id())) continue;
    status.push_back({.id = peer.id(),
                      .match = peer.match(),
                      .next = peer.next(),
                      .learner = !core_.config().is_voter(peer.id()),
                      .snapshotting = peer.mode() == Progress::Mode::kSnapshot,
                      .active = active(peer),
                      .silent_us = core_.now - peer.last_heard(),
                      .round = peer.answered_round(),
                      .inflight_messages = peer.inflight_messages()});
  }
  return status;
}

std::string Leader::broken_invariant() const {
  for (const Progress& peer : peers_) {
    if (auto broken = peer.broken_invariant(core_.log.last_index()); !broken.empty()) return broken;
  }
  const bool compacted = opening_ < core_.log.base_index();
  if (!compacted && !core_.log.matches(opening_, core_.term())) {
    return "the leader's log lacks the entry that opened its term";
  }
  if (core_.log.last_term() != core_.term()) return "the leader's log ends in another term";
  if (auto broken = broken_membership(); !broken.empty()) return broken;
  return reads_.broken_invariant();
}

}  // namespace raftkv::raft
