#include "tests/sim/safety.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "raft/codec.h"

namespace raftkv::sim {

namespace {

// One command may go beyond the limit of a queue, and one of each client may wait in each.
constexpr size_t kQueueSlackBytes = 16'384;
// Beside its batches a leader has its first entry, and the two of a change of members, in flight.
constexpr size_t kOtherEntriesInFlight = 4;

const raft::Node& core_of(const SimNode& node) {
  return const_cast<SimNode&>(node).replica().node();
}

// Whether it is true of more than half of the voters; while the membership changes, of both halves.
bool majority(const raft::Membership& membership, const std::function<bool(raft::NodeId)>& is) {
  const auto of = [&is](const std::vector<raft::NodeId>& voters) {
    return 2 * static_cast<size_t>(std::ranges::count_if(voters, is)) > voters.size();
  };
  return of(membership.voters) &&
         (membership.outgoing_voters.empty() || of(membership.outgoing_voters));
}

}  // namespace

void Safety::after_turn(SimNode& node) {
  ++states_;
  if (std::string broken = node.replica().node().broken_invariant(); !broken.empty()) {
    fail_(fmt::format("node {}: {}", node.id(), broken));
  }
  Seen& seen = seen_[node.id()];
  if (seen.life != node.life()) {
    seen = {};
    seen.life = node.life();
  }
  check_memory(node);
  check_leader(node, seen);
  check_lease(node);
  check_commits(node, seen);
  check_progress(node);
  check_state(node, seen);
  check_queues(node, seen);
  seen.leads = node.replica().node().is_leader();
  const raft::MembershipAt& now = node.replica().node().membership();
  if (now.index != seen.membership.index || now != seen.membership) seen.membership = now;
}

// What a node has promised it knows as long as it lives, and in its next life.
void Safety::check_memory(const SimNode& node) {
  const raft::Node& core = core_of(node);
  if (const auto last = last_vote_.find(node.id()); last != last_vote_.end()) {
    const auto& [term, candidate] = last->second;
    if (core.term() < term || (core.term() == term && core.status().vote != candidate)) {
      fail_(fmt::format("node {} voted for {} in term {}, and has forgotten it in term {}",
                        node.id(), candidate, term, core.term()));
    }
  }
  // It lives by what its log says of the members, also when an entry has been replaced.
  const raft::MembershipAt& lived_by = core.membership();
  const storage::LogState& log = node.log_store().staged_log();
  if (lived_by.index < log.extent().first_index || lived_by.index <= log.snapshot_index()) return;
  if (lived_by.index > log.extent().last_index) return;
  const auto written = memberships_.find({lived_by.index, log.term_at(lived_by.index)});
  if (written == memberships_.end() || written->second != lived_by.membership) {
    fail_(fmt::format("node {} lives by a membership of index {}, where its log has none like it",
                      node.id(), lived_by.index));
  }
}

// --- leaders -----------------------------------------------------------------------------------

void Safety::check_leader(SimNode& node, Seen& seen) {
  const raft::Node& core = node.replica().node();
  if (!core.is_leader() || std::exchange(seen.leads_in, core.term()) == core.term()) return;
  seen.led_from = core.last_index();
  const auto [it, fresh] = leader_of_term_.emplace(core.term(), node.id());
  if (it->second != node.id()) {
    fail_(fmt::format("term {} has two leaders, {} and {}", it->first, it->second, node.id()));
  }
  if (!fresh) return;
  if (on_leader) on_leader(node);
  check_election(node, seen);
  // Leader completeness: what was committed in an earlier term stands in its log.
  const storage::LogState& log = node.log_store().staged_log();
  for (auto at = committed_.rbegin(); at != committed_.rend(); ++at) {
    const auto& [index, entry] = *at;
    if (entry.in_term >= core.term()) continue;
    if (index + 1 < log.extent().first_index) return;
    if (index > log.extent().last_index || log.term_at(index) != entry.term) {
      return fail_(
          fmt::format("node {} leads in term {} without entry {} of term {}, which was "
                      "committed in term {} or before",
                      node.id(), core.term(), index, entry.term, entry.in_term));
    }
  }
}

// A majority voted for it, in its term (Raft paper 5.2): a leader elected otherwise does no harm
// until somebody else is elected by the same luck.
void Safety::check_election(const SimNode& node, const Seen& seen) {
  const raft::Node& core = core_of(node);
  if (majority_chose(core.membership().membership, node.id(), core.term())) return;
  const raft::Membership& before = seen.membership.membership;
  if (!before.voters.empty() && majority_chose(before, node.id(), core.term())) return;
  fail_(
      fmt::format("node {} leads in term {}, for which no majority voted", node.id(), core.term()));
}

bool Safety::majority_chose(const raft::Membership& membership, raft::NodeId leader,
                            raft::Term term) const {
  return majority(membership, [&](raft::NodeId id) {
    const auto vote = votes_.find({term, id});
    return id == leader || (vote != votes_.end() && vote->second == leader);
  });
}

// While a lease lasts, by the clock of who holds it, nobody else leads.
void Safety::check_lease(const SimNode& node) {
  if (!node.up() || !core_of(node).lease_valid()) return;
  for (const auto& other : nodes_) {
    if (other->up() && core_of(*other).is_leader() &&
        core_of(*other).term() > core_of(node).term()) {
      fail_(fmt::format("node {} has a lease of term {}, but node {} leads in term {}", node.id(),
                        core_of(node).term(), other->id(), core_of(*other).term()));
    }
  }
}

// --- the log -----------------------------------------------------------------------------------

void Safety::written(const SimNode& node, const raft::Persist& persist) {
  if (persist.entries.empty()) return;
  raft::Term previous = node.log_store().staged_log().term_at(persist.entries.front().index - 1);
  for (const raft::Entry& entry : persist.entries) {
    check_change(node, entry);
    note_membership(entry);
    const std::string_view payload = entry.payload ? std::string_view(*entry.payload) : "";
    const Written now{previous, entry.time_us, std::hash<std::string_view>()(payload)};
    const auto [it, fresh] = written_.emplace(std::pair(entry.index, entry.term), now);
    const Written& first = it->second;
    if (first.previous_term != now.previous_term) {
      fail_(
          fmt::format("node {} has entry {} of term {} behind one of term {}, another node has it "
                      "behind one of term {}",
                      node.id(), entry.index, entry.term, now.previous_term, first.previous_term));
    } else if (first.content != now.content || first.time_us != now.time_us) {
      fail_(fmt::format("two nodes have different entries {} of term {}", entry.index, entry.term));
    }
    previous = entry.term;
  }
}

void Safety::note_membership(const raft::Entry& entry) {
  if (entry.kind != raft::EntryKind::kMembership) return;
  auto membership = raft::decode_membership(entry.payload ? *entry.payload : std::string());
  if (!membership) return fail_("a membership can't be read: " + membership.error());
  memberships_.emplace(std::pair(entry.index, entry.term), std::move(*membership));
}

// Only who has committed something in its term knows which membership is in force, and whoever
// comes to vote or ceases to does so by way of a joint phase (thesis 4.1 and 4.3).
void Safety::check_change(const SimNode& node, const raft::Entry& entry) {
  const raft::Node& core = core_of(node);
  if (entry.kind != raft::EntryKind::kMembership) return;
  if (!core.is_leader() || entry.term != core.term()) return;
  const storage::LogState& log = node.log_store().staged_log();
  const raft::Index commit = core.commit_index();
  if (commit + 1 < log.extent().first_index || log.term_at(commit) != core.term()) {
    fail_(fmt::format("leader {} changes the members at {} before anything of term {} is committed",
                      node.id(), entry.index, core.term()));
  }
  const auto next = raft::decode_membership(entry.payload ? *entry.payload : std::string());
  const raft::Membership& before = seen_[node.id()].membership.membership;
  if (!next || before.voters.empty() || next->joint() || next->voters == before.voters) return;
  fail_(fmt::format("leader {} changes the voters at {} without a joint phase", node.id(),
                    entry.index));
}

void Safety::check_commits(SimNode& node, Seen& seen) {
  const raft::Node& core = node.replica().node();
  const raft::Index before = std::exchange(seen.commit, core.commit_index());
  if (seen.commit < before) {
    return fail_(fmt::format("the commit index of node {} went back from {} to {}", node.id(),
                             before, seen.commit));
  }
  const storage::LogState& log = node.log_store().staged_log();
  raft::Index newest = 0;
  for (raft::Index index = std::max(before + 1, log.extent().first_index); index <= seen.commit;
       ++index) {
    const auto [it, fresh] = committed_.emplace(index, Committed{log.term_at(index), core.term()});
    if (it->second.term != log.term_at(index)) {
      return fail_(
          fmt::format("node {} commits entry {} of term {}, but that of term {} was "
                      "committed before",
                      node.id(), index, log.term_at(index), it->second.term));
    }
    if (fresh) newest = index;
  }
  if (newest != 0) check_on_majority(node, seen, newest);
}

void Safety::check_on_majority(const SimNode& node, const Seen& seen, raft::Index index) {
  const raft::Node& core = core_of(node);
  const raft::Term term = committed_.at(index).term;
  if (!core.is_leader() && !seen.leads) {
    return fail_(fmt::format("node {} commits entry {} of term {}, which no leader has committed",
                             node.id(), index, term));
  }
  // Raft paper 5.4.2: what a majority holds of an earlier term may still be replaced.
  if (core.is_leader() && term != core.term()) {
    return fail_(fmt::format("leader {} of term {} commits entry {} of term {} by counting alone",
                             node.id(), core.term(), index, term));
  }
  // The membership may have changed within the turn, before or after the commit.
  if (majority_holds(core.membership().membership, index, term)) return;
  if (!seen.membership.membership.voters.empty() &&
      majority_holds(seen.membership.membership, index, term)) {
    return;
  }
  fail_(fmt::format("leader {} commits entry {} of term {}, which no majority has synced",
                    node.id(), index, term));
}

bool Safety::majority_holds(const raft::Membership& membership, raft::Index index,
                            raft::Term term) const {
  return majority(membership, [&](raft::NodeId id) { return holds(id, index, term); });
}

// What a leader takes for replicated, its follower has, and what it takes for answered, that one
// has answered in this term: else it would count it towards a majority.
void Safety::check_progress(const SimNode& node) {
  const raft::Node& core = core_of(node);
  if (!core.is_leader()) return;
  const storage::LogState& log = node.log_store().staged_log();
  for (const raft::PeerStatus& peer : core.status().peers) {
    const auto answered = answered_.find({core.term(), peer.id});
    if (peer.round > (answered == answered_.end() ? 0 : answered->second)) {
      fail_(
          fmt::format("leader {} of term {} believes that node {} answered round {}, which it "
                      "did not in that term",
                      node.id(), core.term(), peer.id, peer.round));
    }
    if (peer.match == 0 || peer.match + 1 < log.extent().first_index) continue;
    // Whoever follows a newer leader may have lost it since.
    if (nodes_[peer.id - 1]->log_store().hard_state().term > core.term()) continue;
    if (holds(peer.id, peer.match, log.term_at(peer.match))) continue;
    fail_(
        fmt::format("leader {} of term {} believes that node {} holds entry {}, which it does not",
                    node.id(), core.term(), peer.id, peer.match));
  }
}

// What a damaged disk held once, nobody can tell: there are never so many of them that it matters.
bool Safety::holds(raft::NodeId id, raft::Index index, raft::Term term) const {
  const SimNode& node = *nodes_[id - 1];
  if (!node.sound() || lost_(node)) return true;
  const storage::LogState& log = node.log_store().synced_log();
  if (index <= log.snapshot_index()) return true;
  return index <= log.extent().last_index && index + 1 >= log.extent().first_index &&
         log.term_at(index) == term;
}

// --- promises ----------------------------------------------------------------------------------

void Safety::sent(const raft::Message& message) {
  const SimNode& from = *nodes_[message.from - 1];
  const storage::MemoryLogStore& disk = from.log_store();
  if (const auto* reply = std::get_if<raft::VoteReply>(&message.body)) {
    if (reply->granted && !reply->pre) check_vote(message);
  } else if (const auto* request = std::get_if<raft::VoteRequest>(&message.body)) {
    const raft::HardState& state = disk.hard_state();
    if (!request->pre &&
        (state.term < message.term || (state.term == message.term && state.vote != message.from))) {
      fail_(fmt::format("node {} asks for votes in term {}, which its disk does not know yet",
                        message.from, message.term));
    }
  } else if (const auto* answer = std::get_if<raft::AppendReply>(&message.body)) {
    if (answer->accepted && disk.hard_state().term == message.term &&
        answer->match >
            std::max(disk.synced_log().extent().last_index, disk.synced_log().snapshot_index())) {
      fail_(fmt::format("node {} acknowledges entry {}, but has synced {}", message.from,
                        answer->match, disk.synced_log().extent().last_index));
    }
  } else if (const auto* beat = std::get_if<raft::HeartbeatReply>(&message.body)) {
    uint64_t& newest = answered_[{message.term, message.from}];
    newest = std::max(newest, beat->round);
  } else if (std::holds_alternative<raft::TimeoutNow>(message.body)) {
    const SimNode& to = *nodes_[message.to - 1];
    if (to.sound() && !lost_(to) &&
        to.log_store().synced_log().extent().last_index < disk.staged_log().extent().last_index) {
      fail_(fmt::format("node {} hands leadership to node {}, which lacks a part of its log",
                        message.from, message.to));
    }
  }
}

void Safety::check_vote(const raft::Message& message) {
  const storage::MemoryLogStore& disk = nodes_[message.from - 1]->log_store();
  const raft::HardState& state = disk.hard_state();
  // A voter's log decides who may lead, so it must be whole.
  if (disk.staged_log().extent().lost_up_to != 0) {
    fail_(fmt::format("node {} votes for {} in term {}, but has lost its log up to {}",
                      message.from, message.to, message.term,
                      disk.staged_log().extent().lost_up_to));
  }
  if (state.term < message.term || (state.term == message.term && state.vote != message.to)) {
    fail_(fmt::format("node {} votes for {} in term {}, but its disk does not know it",
                      message.from, message.to, message.term));
  }
  last_vote_[message.from] = {message.term, message.to};
  const auto [it, fresh] = votes_.emplace(std::pair(message.term, message.from), message.to);
  if (it->second != message.to) {
    fail_(fmt::format("node {} votes for {} and for {} in term {}", message.from, it->second,
                      message.to, message.term));
  }
}

// --- states and queues -------------------------------------------------------------------------

// Two replicas that applied the same entries hold the same data.
void Safety::check_state(SimNode& node, Seen& seen) {
  const server::StateMachine& state = node.replica().state();
  const raft::Index applied = state.applied_index();
  if (applied == 0 || applied == std::exchange(seen.applied, applied)) return;
  const Applied now{state.log_time_us(), state.digest()};
  const auto [it, fresh] = applied_.emplace(applied, now);
  if (!fresh && (it->second.time_us != now.time_us || it->second.digest != now.digest)) {
    fail_(fmt::format("node {} differs from the others at index {}", node.id(), applied));
  }
}

void Safety::check_queues(SimNode& node, const Seen& seen) {
  const server::Replica& replica = node.replica();
  const size_t queued = replica.queued_bytes();
  if (queued > 2 * (replica.options().queue_bytes_max + kQueueSlackBytes)) {
    fail_(fmt::format("node {} has {} bytes in its queues", node.id(), queued));
  }
  const raft::Node& core = replica.node();
  if (!core.is_leader()) return;
  const raft::Index settled = std::max(core.commit_index(), seen.led_from);
  if (core.last_index() > settled &&
      core.last_index() - settled >
          replica.options().entries_inflight_max + kOtherEntriesInFlight) {
    fail_(
        fmt::format("leader {} has {} entries in flight", node.id(), core.last_index() - settled));
  }
}

}  // namespace raftkv::sim
