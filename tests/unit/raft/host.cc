#include "tests/unit/raft/host.h"

#include <algorithm>

#include "raft/codec.h"
#include "raft/membership.h"

namespace raftkv::raft::test {

Options options_for(NodeId id, std::vector<NodeId> voters) {
  Options options;
  options.id = id;
  options.bootstrap.voters = std::move(voters);
  options.heartbeat_us = kHeartbeat;
  options.election_timeout_us = kTimeout;
  return options;
}

Payload text(std::string bytes) {
  return std::make_shared<const std::string>(std::move(bytes));
}

std::vector<Entry> entries_of(const std::vector<Term>& terms, Index first) {
  std::vector<Entry> entries;
  for (Term term : terms) {
    const Index index = first + entries.size();
    entries.push_back({.term = term,
                       .index = index,
                       .time_us = index,
                       .kind = EntryKind::kCommands,
                       .payload = text(std::to_string(index) + "@" + std::to_string(term))});
  }
  return entries;
}

Membership members(std::vector<NodeId> voters, std::vector<NodeId> learners,
                   std::vector<NodeId> outgoing_voters) {
  return normalized({.voters = std::move(voters),
                     .outgoing_voters = std::move(outgoing_voters),
                     .learners = std::move(learners),
                     .contexts = {}});
}

SnapshotMeta snapshot_of(Index index, Term term, Membership membership) {
  return {.index = index, .term = term, .time_us = index, .membership = std::move(membership)};
}

Entry membership_entry(Term term, Index index, const Membership& membership) {
  std::string payload;
  encode_membership(membership, payload);
  return {.term = term,
          .index = index,
          .time_us = index,
          .kind = EntryKind::kMembership,
          .payload = text(payload)};
}

// --- FakeDisk ----------------------------------------------------------------------------------

void FakeDisk::read(Index first, Index last, size_t bytes_limit, std::vector<Entry>& out) const {
  reads_++;
  size_t bytes = 0;
  for (Index index = first; index <= last && (bytes < bytes_limit || index == first); index++) {
    ASSERT_TRUE(index >= first_index_ && index <= last_index()) << "read of " << index;
    out.push_back(entries_[index - first_index_]);
    bytes += out.back().bytes();
  }
}

void FakeDisk::hold(const std::vector<Term>& terms, HardState state) {
  hold(SnapshotMeta{}, terms, state);
}

void FakeDisk::hold(const SnapshotMeta& snapshot, const std::vector<Term>& terms, HardState state) {
  snapshot_ = snapshot;
  first_index_ = snapshot.index + 1;
  base_term_ = snapshot.term;
  entries_ = entries_of(terms, first_index_);
  state_ = state;
}

Term FakeDisk::term_at(Index index) const {
  if (index + 1 == first_index_) return base_term_;
  return index >= first_index_ && index <= last_index() ? entries_[index - first_index_].term : 0;
}

std::optional<Persist> FakeDisk::sync_one() {
  if (pending_.empty()) return std::nullopt;
  Persist persist = std::move(pending_.front());
  pending_.pop_front();
  if (persist.hard_state) state_ = *persist.hard_state;
  if (persist.cut) {
    const LogCut& cut = *persist.cut;
    EXPECT_LE(cut.first_index, cut.snapshot.index + 1);
    EXPECT_GT(cut.snapshot.index, 0U);
    if (cut.replaces_log) {
      EXPECT_EQ(cut.first_index, cut.snapshot.index + 1);
      entries_.clear();
      base_term_ = cut.snapshot.term;
    } else {
      EXPECT_GE(cut.first_index, first_index_) << "a cut was undone";
      EXPECT_LE(cut.first_index, last_index() + 1) << "a cut leaves a hole";
      base_term_ = term_at(cut.first_index - 1);
      const auto dropped = static_cast<std::ptrdiff_t>(cut.first_index - first_index_);
      entries_.erase(entries_.begin(), entries_.begin() + dropped);
    }
    first_index_ = cut.first_index;
    snapshot_ = cut.snapshot;
  }
  if (!persist.entries.empty()) {
    const Index first = persist.entries.front().index;
    EXPECT_LE(first, last_index() + 1) << "a hole in the log on the disk";
    EXPECT_GE(first, first_index_) << "a write before the log on the disk";
    entries_.resize(first - first_index_);
    entries_.insert(entries_.end(), persist.entries.begin(), persist.entries.end());
  }
  if (last_index() >= lost_up_to_) lost_up_to_ = 0;
  EXPECT_GE(last_index(), snapshot_.index) << "the log ends before the snapshot";
  return persist;
}

void FakeDisk::lose_log() {
  lost_up_to_ = std::max(lost_up_to_, last_index());
  entries_.clear();
  first_index_ = snapshot_.index + 1;
  base_term_ = snapshot_.term;
  if (lost_up_to_ <= snapshot_.index) lost_up_to_ = 0;
}

Restored FakeDisk::restored() const {
  Restored restored{.hard_state = state_,
                    .snapshot = snapshot_,
                    .first_index = first_index_,
                    .base_term = base_term_,
                    .last_index = last_index(),
                    .last_time_us = snapshot_.time_us,
                    .term_starts = {},
                    .memberships = {},
                    .lost_up_to = lost_up_to_};
  for (const Entry& entry : entries_) {
    restored.last_time_us = entry.time_us;
    if (restored.term_starts.empty() || restored.term_starts.back().term != entry.term) {
      restored.term_starts.push_back({entry.term, entry.index});
    }
    if (entry.kind == EntryKind::kMembership) {
      restored.memberships.push_back({entry.index, *decode_membership(*entry.payload)});
    }
  }
  return restored;
}

// --- Host --------------------------------------------------------------------------------------

Host::Host(Options options, MonotonicUs now) : Host(std::move(options), now, {}, {}) {}

Host::Host(Options options, MonotonicUs now, const std::vector<Term>& terms, HardState state)
    : options_(std::move(options)), now_(now) {
  disk_.hold(terms, state);
  boot();
}

Host::Host(Options options, MonotonicUs now, const SnapshotMeta& snapshot,
           const std::vector<Term>& terms, HardState state)
    : options_(std::move(options)), now_(now) {
  disk_.hold(snapshot, terms, state);
  boot();
}

void Host::boot() {
  node_ = std::make_unique<Node>(options_, disk_.restored(), disk_, now_);
  applied_.clear();
  applied_index_ = disk_.snapshot().index;
}

void Host::restart() {
  disk_.lose_pending();
  boot();
  pump();
}

void Host::release(Persist& persist) {
  for (Message& message : persist.sealed) sent_.push_back(std::move(message));
  node_->persisted(persist.token);
}

void Host::pump() {
  for (int turns = 0; node_->has_ready(); turns++) {
    ASSERT_LT(turns, 100'000) << "the node never comes to rest";
    Ready ready = node_->take_ready();
    for (Message& message : ready.send_now) sent_.push_back(std::move(message));
    if (ready.persist) disk_.queue(std::move(*ready.persist));
    for (Entry& entry : ready.apply) {
      EXPECT_EQ(entry.index, ++applied_index_) << "applied out of order";
      applied_.push_back(std::move(entry));
    }
    for (const ReadGrant& grant : ready.reads) grants_.push_back(grant);
    for (const SnapshotRequest& request : ready.snapshots) snapshots_.push_back(request);
    if (autosync_) {
      while (auto persist = disk_.sync_one()) release(*persist);
    }
    EXPECT_EQ(node_->broken_invariant(), "");
  }
}

void Host::sync(size_t count) {
  for (; count > 0; count--) {
    auto persist = disk_.sync_one();
    if (!persist) break;
    release(*persist);
  }
  pump();
}

void Host::tick_to(MonotonicUs now) {
  now_ = now;
  node_->tick(now);
  EXPECT_EQ(node_->broken_invariant(), "");
  pump();
}

void Host::hears(NodeId from, Term term, decltype(Message::body) body) {
  node_->step({.from = from, .to = id(), .term = term, .body = std::move(body)});
  EXPECT_EQ(node_->broken_invariant(), "");
  pump();
}

std::expected<Index, ProposeError> Host::propose(std::string bytes, uint64_t time_us) {
  auto index = node_->propose(text(std::move(bytes)), time_us);
  pump();
  return index;
}

uint64_t Host::read() {
  const uint64_t number = node_->read();
  pump();
  return number;
}

std::expected<Index, ChangeError> Host::change(const std::vector<MemberChange>& changes) {
  auto index = node_->change_members(changes);
  EXPECT_EQ(node_->broken_invariant(), "");
  pump();
  return index;
}

void Host::compact(Index first) {
  node_->compact(applied_index_, first == 0 ? applied_index_ + 1 : first);
  EXPECT_EQ(node_->broken_invariant(), "");
  pump();
}

bool Host::restore(const SnapshotMeta& meta) {
  const bool restored = node_->restore(meta);
  if (restored) applied_index_ = meta.index;
  EXPECT_EQ(node_->broken_invariant(), "");
  pump();
  return restored;
}

std::vector<std::string> Host::commands() const {
  std::vector<std::string> texts;
  for (const Entry& entry : applied_) {
    if (entry.kind == EntryKind::kCommands && entry.payload) texts.push_back(*entry.payload);
  }
  return texts;
}

bool Host::granted(uint64_t read) const {
  return std::any_of(grants_.begin(), grants_.end(), [&](const ReadGrant& grant) {
    return grant.first <= read && read <= grant.last;
  });
}

void Host::become_leader() {
  advance_to_deadline();
  const Term term = node_->term() + 1;
  hears(2, term, VoteReply{.pre = true, .granted = true});
  hears(2, term, VoteReply{.pre = false, .granted = true});
  ASSERT_EQ(node_->role(), Role::kLeader);
  const Index noop = node_->last_index();
  hears(2, term, AppendReply{.accepted = true, .match = noop});
  hears(3, term, AppendReply{.accepted = true, .match = noop});
  ASSERT_EQ(node_->commit_index(), noop);
  for (NodeId id : {2, 3}) hears(id, term, HeartbeatReply{.round = 1, .last_index = noop});
  take_sent();
}

}  // namespace raftkv::raft::test
