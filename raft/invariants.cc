#include "raft/invariants.h"

#include <algorithm>

namespace raftkv::raft {
namespace {

std::string check_log(const Core& core) {
  const Index last = core.log.last_index();
  if (core.commit() > last) return "committed behind the end of the log";
  if (core.applied > core.commit()) return "applied what is not committed";
  if (core.disk.durable_index() > core.disk.handed_index()) return "durable before it was written";
  if (core.disk.handed_index() > last) return "wrote more than there is";
  const Index first = core.log.first_index();
  // What is not in memory must be readable from the disk.
  if (core.log.first_in_memory() > std::max(core.disk.durable_index() + 1, first)) {
    return "forgot entries that are not durable";
  }
  const auto starts = core.log.term_starts();
  if (starts.empty() != (last + 1 == first)) return "a log without terms, or terms without a log";
  for (size_t i = 0; i < starts.size(); i++) {
    if (starts[i].first_index > last) return "a term starts behind the end of the log";
    if (i == 0 && starts[i].first_index != first) return "the terms do not begin with the log";
    if (starts[i].term < core.log.base_term()) return "a term older than what was compacted";
    if (i > 0 && (starts[i].term <= starts[i - 1].term ||
                  starts[i].first_index <= starts[i - 1].first_index)) {
      return "the terms are not in order";
    }
  }
  if (core.log.last_term() > core.term()) return "the log is ahead of the term";
  return "";
}

std::string check_snapshot(const Core& core) {
  const Index snapshot = core.snapshot().index;
  if (snapshot > core.applied) return "a snapshot of what is not applied";
  if (core.log.base_index() > snapshot) return "compacted what no snapshot holds";
  if (snapshot <= core.log.last_index() && core.log.term_at(snapshot) != core.snapshot().term) {
    return "the snapshot's term is not the log's";
  }
  return "";
}

std::string check_members(const Core& core) {
  Index before = core.snapshot().index;
  for (const MembershipAt& at : core.members.in_log()) {
    if (at.index <= before || at.index > core.log.last_index()) {
      return "a membership that is not in the log, or out of order";
    }
    if (auto fault = membership_fault(at.membership); !fault.empty()) return fault;
    before = at.index;
  }
  if (core.role == Role::kFollower) return "";
  if (core.repairing()) return "a node that lost its log does not wait for it";
  return core.config().known() ? "" : "a candidate that knows nobody";
}

std::string check_state(const Core& core, const Leader* leader) {
  const HardState& durable = core.disk.durable_state();
  const HardState& handed = core.disk.handed_state();
  if (durable.term > handed.term || handed.term > core.term()) return "the term went backwards";
  if (handed.term == core.term() && handed.vote != 0 && handed.vote != core.hard.vote) {
    return "the vote of a term changed";
  }
  if ((core.role == Role::kLeader) != (leader != nullptr)) return "the role has not been settled";
  if ((core.role == Role::kLeader) != (core.leader == core.self())) {
    return "a leader that does not know it, or one that only believes it";
  }
  const bool campaigns = core.role == Role::kPreCandidate || core.role == Role::kCandidate;
  if (campaigns && core.leader != 0) return "a candidate that has a leader";
  if ((core.role == Role::kCandidate || core.role == Role::kLeader) &&
      core.hard.vote != core.self()) {
    return "a candidate that did not vote for itself";
  }
  if (core.role == Role::kLeader && (durable.term != core.term() || durable.vote != core.self())) {
    return "a leader whose own vote is not durable";
  }
  return "";
}

}  // namespace

std::string find_broken_invariant(const Core& core, const Leader* leader) {
  if (auto broken = check_log(core); !broken.empty()) return broken;
  if (auto broken = check_snapshot(core); !broken.empty()) return broken;
  if (auto broken = check_members(core); !broken.empty()) return broken;
  if (auto broken = check_state(core, leader); !broken.empty()) return broken;
  return leader == nullptr ? "" : leader->broken_invariant();
}

}  // namespace raftkv::raft
