#include "raft/core.h"

#include <algorithm>

#include "raft/check.h"
#include "raft/codec.h"

namespace raftkv::raft {

Core::Core(Options options_in, const Restored& restored, const LogReader& reader,
           MonotonicUs now_in)
    : options(std::move(options_in)),
      log(restored, reader),
      members(MembershipHistory::restored(restored, options.bootstrap)),
      disk(restored.hard_state, restored.last_index),
      hard(restored.hard_state),
      applied(restored.snapshot.index),
      now(now_in),
      snapshot_(restored.snapshot),
      lost_up_to_(restored.lost_up_to) {
  RAFT_CHECK(options.id != 0, "0 is not a node");
  RAFT_CHECK(options.heartbeat_us > 0 && options.heartbeat_us < options.election_timeout_us,
             "a heartbeat must come before the election timeout");
  RAFT_CHECK(options.clock_drift_percent < 100, "a clock drift of 100 % leaves no lease");
  RAFT_CHECK(options.inflight_messages_max > 0 && options.inflight_bytes_max > 0 &&
                 options.append_bytes_max > 0 && options.apply_bytes_max > 0,
             "a window of size 0 lets nothing through");
  RAFT_CHECK(log.last_term() <= hard.term, "the log has term " + std::to_string(log.last_term()) +
                                               ", the hard state only " +
                                               std::to_string(hard.term));
  RAFT_CHECK(log.base_index() <= snapshot_.index && snapshot_.index <= log.last_index(),
             "the newest snapshot is at " + std::to_string(snapshot_.index) +
                 ", the log goes from " + std::to_string(log.first_index()) + " to " +
                 std::to_string(log.last_index()));
  RAFT_CHECK(log.term_at(snapshot_.index) == snapshot_.term,
             "the snapshot at " + std::to_string(snapshot_.index) + " has term " +
                 std::to_string(snapshot_.term) + ", the log has " +
                 std::to_string(log.term_at(snapshot_.index)));
  // A snapshot holds what is committed.
  hard.commit = std::max(std::min(hard.commit, log.last_index()), snapshot_.index);
  end_repair_when_done();
}

void Core::end_repair_when_done() {
  if (disk.durable_index() >= lost_up_to_) lost_up_to_ = 0;
}

void Core::send(NodeId to, Term term, Body body) {
  outgoing.push_back({.from = self(), .to = to, .term = term, .body = std::move(body)});
}

void Core::seal(NodeId to, Term term, Body body) {
  if (needs_persist()) {
    // Several appends that came in one turn are answered once: the last answer says it all.
    if (const auto* answer = std::get_if<AppendReply>(&body);
        answer != nullptr && answer->accepted && !sealed_.empty() && sealed_.back().to == to &&
        sealed_.back().term == term) {
      auto* before = std::get_if<AppendReply>(&sealed_.back().body);
      if (before != nullptr && before->accepted) {
        before->match = std::max(before->match, answer->match);
        return;
      }
    }
    sealed_.push_back({.from = self(), .to = to, .term = term, .body = std::move(body)});
  } else if (!disk.idle()) {
    held_.emplace_back(disk.handed_sequence(),
                       Message{.from = self(), .to = to, .term = term, .body = std::move(body)});
  } else {
    send(to, term, std::move(body));
  }
}

void Core::reply(NodeId to, Body body) {
  if (term_is_durable()) {
    send(to, term(), std::move(body));
  } else {
    seal(to, term(), std::move(body));
  }
}

void Core::append(std::span<Entry> entries) {
  if (entries.empty()) return;
  const Index first = entries.front().index;
  if (first <= log.last_index()) {
    RAFT_CHECK(first > commit(), "node " + std::to_string(self()) + " was told to replace entry " +
                                     std::to_string(first) + ", but " + std::to_string(commit()) +
                                     " is committed");
    disk.truncated_from(first);
    members.truncate_from(first);
  }
  for (const Entry& entry : entries) {
    if (entry.kind != EntryKind::kMembership) continue;
    auto membership = decode_membership(entry.payload ? std::string_view(*entry.payload) : "");
    RAFT_CHECK(membership.has_value(), "the membership at " + std::to_string(entry.index) +
                                           " can't be read: " + membership.error());
    members.append(entry.index, std::move(*membership));
  }
  log.append(entries);
}

void Core::commit_to(Index index) {
  RAFT_CHECK(index <= log.last_index(), "committing " + std::to_string(index) +
                                            ", but the log ends at " +
                                            std::to_string(log.last_index()));
  hard.commit = std::max(hard.commit, index);
}

std::vector<Entry> Core::take_apply() {
  std::vector<Entry> entries;
  log.read(applied + 1, commit(), options.apply_bytes_max, entries);
  applied = entries.back().index;
  return entries;
}

void Core::trim_log() {
  log.trim(std::min(applied, disk.durable_index()), options.cache_bytes_max);
}

// --- snapshots ---------------------------------------------------------------------------------

SnapshotMeta Core::snapshot_meta(Index index) const {
  RAFT_CHECK(index >= snapshot_.index && index <= applied,
             "a snapshot at " + std::to_string(index) + ", but the newest one is at " +
                 std::to_string(snapshot_.index) + " and what is applied ends at " +
                 std::to_string(applied));
  if (index == snapshot_.index) return snapshot_;
  std::vector<Entry> entry;
  log.read(index, index, SIZE_MAX, entry);
  return {.index = index,
          .term = entry.front().term,
          .time_us = entry.front().time_us,
          .membership = members.at(index).membership};
}

void Core::compact(Index index, Index first_index) {
  RAFT_CHECK(first_index <= index + 1, "cutting the log before " + std::to_string(first_index) +
                                           " for a snapshot at " + std::to_string(index));
  SnapshotMeta meta = snapshot_meta(index);
  // What is not durable is still to be written, in its place in the log.
  const Index first = std::min(first_index, disk.durable_index() + 1);
  const bool changes = index > snapshot_.index || first > log.first_index();
  // A log that begins anew with the next write begins behind its snapshot, whatever is wished.
  if (!changes || (cut_ && cut_->replaces_log)) return;
  log.compact(first);
  members.rebase(index, meta.membership);
  snapshot_ = std::move(meta);
  cut_ = {.snapshot = snapshot_, .first_index = log.first_index(), .replaces_log = false};
}

bool Core::wants_snapshot(const SnapshotMeta& meta) const {
  return meta.index > commit() && meta.term != 0 && membership_fault(meta.membership).empty();
}

void Core::restore(const SnapshotMeta& meta) {
  RAFT_CHECK(wants_snapshot(meta), "a snapshot at " + std::to_string(meta.index) +
                                       " is restored, but " + std::to_string(commit()) +
                                       " is committed");
  RAFT_CHECK(meta.term <= term(), "a snapshot of term " + std::to_string(meta.term) + " in term " +
                                      std::to_string(term()));
  bool replaces_log = !log.matches(meta.index, meta.term);
  if (replaces_log) {
    disk.replaced(commit(), meta.index);
    log.reset(meta.index, meta.term, meta.time_us);
    members.reset(meta.index, meta.membership);
  } else {
    members.rebase(meta.index, meta.membership);
    if (cut_ && cut_->replaces_log) {
      // Two snapshots in one turn: the log of the next write begins behind the newer one.
      replaces_log = true;
      log.compact(meta.index + 1);
      disk.covered_up_to(meta.index);
    }
  }
  snapshot_ = meta;
  hard.commit = applied = meta.index;
  cut_ = {.snapshot = snapshot_, .first_index = log.first_index(), .replaces_log = replaces_log};
}

// --- the disk ----------------------------------------------------------------------------------

bool Core::needs_persist() const {
  const HardState& handed = disk.handed_state();
  return hard.term != handed.term || hard.vote != handed.vote || cut_ ||
         log.last_index() != disk.handed_index();
}

Persist Core::take_persist() {
  Persist persist;
  const Index first = disk.handed_index() + 1;
  if (first <= log.last_index()) log.read(first, log.last_index(), SIZE_MAX, persist.entries);
  // The commit index alone is not worth a write, but rides along with any.
  if (hard != disk.handed_state()) persist.hard_state = hard;
  persist.cut = std::exchange(cut_, std::nullopt);
  persist.token =
      disk.hand_out(hard, log.last_term(), log.last_index(), !persist.entries.empty(), now);
  persist.sealed = std::exchange(sealed_, {});
  return persist;
}

void Core::persisted(const PersistToken& token) {
  disk.complete(token);
  end_repair_when_done();
  while (!held_.empty() && held_.front().first <= disk.completed_sequence()) {
    outgoing.push_back(std::move(held_.front().second));
    held_.pop_front();
  }
}

MonotonicUs Core::disk_stall_deadline() const {
  const auto oldest = disk.oldest_pending();
  return oldest ? *oldest + options.disk_stall_us : kNever;
}

}  // namespace raftkv::raft
