#include "server/replica/once_table.h"

#include <algorithm>
#include <iterator>

#include "server/replica/check.h"

namespace raftkv::server {

namespace {

// What the containers cost, about: nodes of maps and lists with what the allocator adds.
constexpr size_t kSessionBytes = 320;
constexpr size_t kReplyBytes = 128;
constexpr size_t kGapBytes = 64;

}  // namespace

// --- sessions
// -------------------------------------------------------------------------------------

std::optional<uint64_t> OnceTable::open(const SessionOpening& opening, uint64_t now_us) {
  // What has expired must not take the place of a new one.
  if (sessions_.size() >= opening.sessions_max) expire(now_us, 1);
  if (sessions_.size() >= opening.sessions_max) return std::nullopt;
  const uint64_t id = last_id_ = std::max(last_id_ + 1, now_us);
  Session& session = sessions_[id];
  session.ttl_us = opening.ttl_s * 1'000'000;
  session.used_us = now_us;
  session.protocol = opening.protocol;
  session.replies_max = opening.replies_max;
  session.reply_bytes_max = opening.reply_bytes_max;
  deadlines_.emplace(session.deadline_us(), id);
  bytes_ += memory_of(session);
  return id;
}

bool OnceTable::close(uint64_t id, uint64_t now_us) {
  const auto at = find_open(id, now_us);
  if (at == sessions_.end()) return false;
  remove(at);
  return true;
}

void OnceTable::expire(uint64_t now_us, size_t limit) {
  for (; limit > 0 && !deadlines_.empty() && deadlines_.begin()->first <= now_us; --limit) {
    remove(sessions_.find(deadlines_.begin()->second));
  }
}

void OnceTable::remove(Sessions::iterator at) {
  deadlines_.erase({at->second.deadline_us(), at->first});
  bytes_ -= memory_of(at->second);
  sessions_.erase(at);
}

// Whether a session that has expired still stands here depends on how much was cleared away; what
// comes of a command must not.
OnceTable::Sessions::iterator OnceTable::find_open(uint64_t id, uint64_t now_us) {
  const auto at = sessions_.find(id);
  return at != sessions_.end() && at->second.deadline_us() <= now_us ? sessions_.end() : at;
}

void OnceTable::use(uint64_t id, Session& session, uint64_t now_us) {
  if (session.used_us == now_us) return;
  auto node = deadlines_.extract({session.deadline_us(), id});
  session.used_us = now_us;
  node.value().first = session.deadline_us();
  deadlines_.insert(std::move(node));
}

size_t OnceTable::memory_of(const Session& session) {
  return kSessionBytes + session.gaps.size() * kGapBytes + session.replies.size() * kReplyBytes +
         session.reply_bytes;
}

// --- commands
// -------------------------------------------------------------------------------------

OnceTable::Answer OnceTable::arrived(uint64_t id, uint64_t sequence, uint64_t lowest_needed,
                                     uint64_t now_us) {
  const auto at = find_open(id, now_us);
  if (at == sessions_.end()) return {};
  Session& session = at->second;
  use(id, session, now_us);
  bytes_ -= memory_of(session);
  acknowledge(session, lowest_needed);
  bytes_ += memory_of(session);
  Answer answer{.protocol = session.protocol, .acked = session.acked};
  if (sequence < session.acked) {
    answer.verdict = Verdict::kAcked;
  } else if (!was_executed(session, sequence)) {
    answer.verdict = has_room_for_gap(session, sequence) ? Verdict::kFresh : Verdict::kTooManyGaps;
  } else if (const auto kept = session.by_sequence.find(sequence);
             kept != session.by_sequence.end()) {
    answer.verdict = Verdict::kKept;
    answer.reply = kept->second->reply;
  } else {
    answer.verdict = Verdict::kReplyGone;
  }
  return answer;
}

void OnceTable::executed(uint64_t id, uint64_t sequence, std::string_view reply) {
  const auto at = sessions_.find(id);
  RAFTKV_CHECK(at != sessions_.end(), "a command was executed in a session that is not there");
  Session& session = at->second;
  RAFTKV_CHECK(sequence >= session.acked && !was_executed(session, sequence),
               "a command of a session was executed twice");
  bytes_ -= memory_of(session);
  mark(session, sequence);
  ++session.executed;
  keep(session, sequence, reply);
  bytes_ += memory_of(session);
}

bool OnceTable::was_executed(const Session& session, uint64_t sequence) {
  if (sequence >= session.next) return false;
  const auto above = session.gaps.upper_bound(sequence);
  return above == session.gaps.begin() || std::prev(above)->second < sequence;
}

// Executing `sequence`, which has not been, may leave one gap more: in front of it, or by splitting
// the one it lies in.
bool OnceTable::has_room_for_gap(const Session& session, uint64_t sequence) {
  if (session.gaps.size() < kGapsMax || sequence == session.next) return true;
  if (sequence > session.next) return false;
  const auto gap = std::prev(session.gaps.upper_bound(sequence));
  return gap->first == sequence || gap->second == sequence;
}

void OnceTable::mark(Session& session, uint64_t sequence) {
  if (sequence >= session.next) {
    if (sequence > session.next) session.gaps.emplace(session.next, sequence - 1);
    session.next = sequence + 1;
    return;
  }
  const auto gap = std::prev(session.gaps.upper_bound(sequence));
  const auto [first, last] = *gap;
  session.gaps.erase(gap);
  if (first < sequence) session.gaps.emplace(first, sequence - 1);
  if (sequence < last) session.gaps.emplace(sequence + 1, last);
}

// Nothing below is asked for any more: neither replies nor what was left out are remembered.
void OnceTable::acknowledge(Session& session, uint64_t lowest_needed) {
  if (lowest_needed <= session.acked) return;
  session.acked = lowest_needed;
  session.next = std::max(session.next, lowest_needed);
  while (!session.by_sequence.empty() && session.by_sequence.begin()->first < lowest_needed) {
    drop(session, session.by_sequence.begin()->second);
  }
  while (!session.gaps.empty() && session.gaps.begin()->first < lowest_needed) {
    const uint64_t last = session.gaps.begin()->second;
    session.gaps.erase(session.gaps.begin());
    if (last >= lowest_needed) session.gaps.emplace(lowest_needed, last);
  }
}

void OnceTable::keep(Session& session, uint64_t sequence, std::string_view reply) {
  // One that can't be kept does not cost the others their place.
  if (session.replies_max == 0 || reply.size() > session.reply_bytes_max) return;
  while (session.replies.size() >= session.replies_max ||
         session.reply_bytes + reply.size() > session.reply_bytes_max) {
    drop(session, session.replies.begin());
  }
  session.replies.push_back({sequence, std::string(reply)});
  session.by_sequence.emplace(sequence, std::prev(session.replies.end()));
  session.reply_bytes += reply.size();
}

void OnceTable::drop(Session& session, std::list<Kept>::iterator reply) {
  session.reply_bytes -= reply->reply.size();
  session.by_sequence.erase(reply->sequence);
  session.replies.erase(reply);
}

std::vector<OnceTable::Facts> OnceTable::list(uint64_t first_id, size_t limit,
                                              uint64_t now_us) const {
  std::vector<Facts> all;
  for (auto at = sessions_.lower_bound(first_id); at != sessions_.end() && all.size() < limit;
       ++at) {
    const Session& session = at->second;
    if (session.deadline_us() <= now_us) continue;
    all.push_back({.id = at->first,
                   .ttl_us = session.ttl_us,
                   .used_us = session.used_us,
                   .executed = session.executed,
                   .acked = session.acked,
                   .next = session.next,
                   .replies = session.replies.size(),
                   .reply_bytes = session.reply_bytes,
                   .protocol = session.protocol});
  }
  return all;
}

}  // namespace raftkv::server
