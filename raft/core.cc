#include "raft/core.h"

#include <algorithm>

#include "raft/check.h"

namespace raftkv::raft {

Core::Core(Options options_in, const Restored& restored, const LogReader& reader,
           MonotonicUs now_in)
    : options(std::move(options_in)),
      config(options.voters),
      log(restored, reader),
      disk(restored.hard_state, restored.last_index),
      hard(restored.hard_state),
      now(now_in) {
  RAFT_CHECK(config.is_voter(options.id), "node " + std::to_string(options.id) + " is no voter");
  RAFT_CHECK(options.heartbeat_us > 0 && options.heartbeat_us < options.election_timeout_us,
             "a heartbeat must come before the election timeout");
  RAFT_CHECK(options.clock_drift_percent < 100, "a clock drift of 100 % leaves no lease");
  RAFT_CHECK(options.inflight_messages_max > 0 && options.inflight_bytes_max > 0 &&
                 options.append_bytes_max > 0 && options.apply_bytes_max > 0,
             "a window of size 0 lets nothing through");
  RAFT_CHECK(log.last_term() <= hard.term, "the log has term " + std::to_string(log.last_term()) +
                                               ", the hard state only " +
                                               std::to_string(hard.term));
  hard.commit = std::min(hard.commit, log.last_index());
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

bool Core::needs_persist() const {
  const HardState& handed = disk.handed_state();
  return hard.term != handed.term || hard.vote != handed.vote ||
         log.last_index() != disk.handed_index();
}

Persist Core::take_persist() {
  Persist persist;
  const Index first = disk.handed_index() + 1;
  if (first <= log.last_index()) log.read(first, log.last_index(), SIZE_MAX, persist.entries);
  // The commit index alone is not worth a write, but rides along with any.
  if (hard != disk.handed_state()) persist.hard_state = hard;
  persist.token =
      disk.hand_out(hard, log.last_term(), log.last_index(), !persist.entries.empty(), now);
  persist.sealed = std::exchange(sealed_, {});
  return persist;
}

void Core::persisted(const PersistToken& token) {
  disk.complete(token);
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
