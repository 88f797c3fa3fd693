#include "raft/invariants.h"

namespace raftkv::raft {
namespace {

std::string check_log(const Core& core) {
  const Index last = core.log.last_index();
  if (core.commit() > last) return "committed behind the end of the log";
  if (core.applied > core.commit()) return "applied what is not committed";
  if (core.disk.durable_index() > core.disk.handed_index()) return "durable before it was written";
  if (core.disk.handed_index() > last) return "wrote more than there is";
  // What is not in memory must be readable from the disk.
  if (core.log.first_in_memory() > core.disk.durable_index() + 1) {
    return "forgot entries that are not durable";
  }
  const auto starts = core.log.term_starts();
  if (starts.empty() != (last == 0)) return "a log without terms, or terms without a log";
  for (size_t i = 0; i < starts.size(); i++) {
    if (starts[i].first_index > last) return "a term starts behind the end of the log";
    if (i == 0 && starts[i].first_index != 1) return "the terms do not begin at index 1";
    if (i > 0 && (starts[i].term <= starts[i - 1].term ||
                  starts[i].first_index <= starts[i - 1].first_index)) {
      return "the terms are not in order";
    }
  }
  if (core.log.last_term() > core.term()) return "the log is ahead of the term";
  return "";
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
  if (auto broken = check_state(core, leader); !broken.empty()) return broken;
  return leader == nullptr ? "" : leader->broken_invariant();
}

}  // namespace raftkv::raft
