#include "tests/unit/raft/host.h"

#include <algorithm>

namespace raftkv::raft::test {

Options options_for(NodeId id, std::vector<NodeId> voters) {
  Options options;
  options.id = id;
  options.voters = std::move(voters);
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

// --- FakeDisk ----------------------------------------------------------------------------------

void FakeDisk::read(Index first, Index last, size_t bytes_limit, std::vector<Entry>& out) const {
  reads_++;
  size_t bytes = 0;
  for (Index index = first; index <= last && (bytes < bytes_limit || index == first); index++) {
    out.push_back(entries_.at(index - 1));
    bytes += out.back().bytes();
  }
}

void FakeDisk::hold(const std::vector<Term>& terms, HardState state) {
  entries_ = entries_of(terms);
  state_ = state;
}

std::optional<Persist> FakeDisk::sync_one() {
  if (pending_.empty()) return std::nullopt;
  Persist persist = std::move(pending_.front());
  pending_.pop_front();
  if (persist.hard_state) state_ = *persist.hard_state;
  if (!persist.entries.empty()) {
    const Index first = persist.entries.front().index;
    EXPECT_LE(first, entries_.size() + 1) << "a hole in the log on the disk";
    entries_.resize(first - 1);
    entries_.insert(entries_.end(), persist.entries.begin(), persist.entries.end());
  }
  return persist;
}

Restored FakeDisk::restored() const {
  Restored restored{.hard_state = state_, .last_index = entries_.size(), .term_starts = {}};
  for (const Entry& entry : entries_) {
    restored.last_time_us = entry.time_us;
    if (restored.term_starts.empty() || restored.term_starts.back().term != entry.term) {
      restored.term_starts.push_back({entry.term, entry.index});
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

void Host::boot() {
  node_ = std::make_unique<Node>(options_, disk_.restored(), disk_, now_);
  applied_.clear();
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
      EXPECT_EQ(entry.index, applied_.size() + 1) << "applied out of order";
      applied_.push_back(std::move(entry));
    }
    for (const ReadGrant& grant : ready.reads) grants_.push_back(grant);
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

std::vector<std::string> Host::commands() const {
  std::vector<std::string> texts;
  for (const Entry& entry : applied_) {
    if (entry.payload) texts.push_back(*entry.payload);
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
