#include "raft/follower.h"

#include <algorithm>

#include "raft/check.h"
#include "raft/codec.h"

namespace raftkv::raft {
namespace {

void reject(Core& core, NodeId leader, const Append& append) {
  // Whole terms are skipped on the way back: our entries of a term newer than the leader's at that
  // place can't be in its log, so we name the last entry that might be. What we compacted is
  // committed, so it surely is.
  const Index hint = std::max(core.log.last_with_term_at_most(append.prev_index, append.prev_term),
                              core.log.base_index());
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

void betrayed(const Core& core, NodeId leader, Index index, Term term) {
  RAFT_CHECK(false, "node " + std::to_string(core.self()) + " committed entry " +
                        std::to_string(index) + " with another term than leader " +
                        std::to_string(leader) + " has there: " + std::to_string(term));
}

// What we compacted was committed, so the leader has the same. The Append then begins where our log
// does: entries that we have forgotten must be neither compared nor appended again.
void skip_compacted(const Core& core, NodeId leader, Append& append) {
  const Index base = core.log.base_index();
  if (append.prev_index >= base) return;
  const Index covered = std::min<Index>(base - append.prev_index, append.entries.size());
  const auto end = append.entries.begin() + static_cast<std::ptrdiff_t>(covered);
  if (covered > 0) {
    const Entry& last = *std::prev(end);
    if (last.index == base && last.term != core.log.base_term()) {
      betrayed(core, leader, base, last.term);
    }
  }
  append.entries.erase(append.entries.begin(), end);
  append.prev_index = base;
  append.prev_term = core.log.base_term();
}

}  // namespace

bool is_well_formed(const Append& append, Term term) {
  Index index = append.prev_index;
  Term last_term = append.prev_term;
  uint64_t time_us = 0;
  for (const Entry& entry : append.entries) {
    if (entry.index != index + 1 || entry.term < last_term || entry.term > term) return false;
    if (entry.time_us < time_us) return false;
    if (entry.kind == EntryKind::kMembership &&
        !decode_membership(entry.payload ? std::string_view(*entry.payload) : "")) {
      return false;
    }
    index = entry.index;
    last_term = entry.term;
    time_us = entry.time_us;
  }
  return last_term <= term && (append.prev_index == 0) == (append.prev_term == 0);
}

void on_append(Core& core, const Message& message, Append& append) {
  skip_compacted(core, message.from, append);
  if (!core.log.matches(append.prev_index, append.prev_term)) {
    if (append.prev_index <= core.commit()) {
      betrayed(core, message.from, append.prev_index, append.prev_term);
    }
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
  RAFT_CHECK(heartbeat.commit <= core.log.last_index() || core.repairing(),
             "leader " + std::to_string(message.from) + " knows that we synced entry " +
                 std::to_string(heartbeat.commit) + ", but our log ends at " +
                 std::to_string(core.log.last_index()) + ": the disk lost it");
  // What was lost comes back from this leader, so what there is of it is as committed.
  core.commit_to(std::min(heartbeat.commit, core.log.last_index()));
  core.reply(message.from,
             HeartbeatReply{.round = heartbeat.round, .last_index = core.log.last_index()});
}

}  // namespace raftkv::raft
