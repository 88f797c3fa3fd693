#include "raft/follower.h"

#include <algorithm>

#include "raft/check.h"

namespace raftkv::raft {
namespace {

void reject(Core& core, NodeId leader, const Append& append) {
  // Whole terms are skipped on the way back: our entries of a term newer than the leader's at that
  // place can't be in its log, so we name the last entry that might be.
  const Index hint = core.log.last_with_term_at_most(append.prev_index, append.prev_term);
  core.reply(leader, AppendReply{.accepted = false,
                                 .match = 0,
                                 .rejected_prev = append.prev_index,
                                 .hint_index = hint,
                                 .hint_term = core.log.term_at(hint)});
}

void accept(Core& core, NodeId leader, Index match) {
  const AppendReply answer{.accepted = true, .match = match};
  // What was durable before needs not wait for what is on its way to the disk.
  if (match <= core.disk.durable_index() && core.term_is_durable()) {
    core.send(leader, core.term(), answer);
  } else {
    core.seal(leader, core.term(), answer);
  }
}

}  // namespace

bool is_well_formed(const Append& append, Term term) {
  Index index = append.prev_index;
  Term last_term = append.prev_term;
  uint64_t time_us = 0;
  for (const Entry& entry : append.entries) {
    if (entry.index != index + 1 || entry.term < last_term || entry.term > term) return false;
    if (entry.time_us < time_us) return false;
    index = entry.index;
    last_term = entry.term;
    time_us = entry.time_us;
  }
  return last_term <= term && (append.prev_index == 0) == (append.prev_term == 0);
}

void on_append(Core& core, const Message& message, Append& append) {
  if (!core.log.matches(append.prev_index, append.prev_term)) {
    RAFT_CHECK(append.prev_index > core.commit(),
               "node " + std::to_string(core.self()) + " committed entry " +
                   std::to_string(append.prev_index) + " with another term than leader " +
                   std::to_string(message.from) +
                   " has there: " + std::to_string(append.prev_term));
    reject(core, message.from, append);
    return;
  }
  const Index match = append.prev_index + append.entries.size();
  // Messages may come twice and late: what we have already must not cut off what came after it.
  const auto fresh =
      std::find_if(append.entries.begin(), append.entries.end(),
                   [&](const Entry& entry) { return !core.log.matches(entry.index, entry.term); });
  core.append({fresh, append.entries.end()});
  core.commit_to(std::min(append.commit, match));
  accept(core, message.from, match);
}

void on_heartbeat(Core& core, const Message& message, const Heartbeat& heartbeat) {
  RAFT_CHECK(heartbeat.commit <= core.log.last_index(),
             "leader " + std::to_string(message.from) + " knows that we synced entry " +
                 std::to_string(heartbeat.commit) + ", but our log ends at " +
                 std::to_string(core.log.last_index()) + ": the disk lost it");
  core.commit_to(heartbeat.commit);
  core.reply(message.from,
             HeartbeatReply{.round = heartbeat.round, .last_index = core.log.last_index()});
}

}  // namespace raftkv::raft
