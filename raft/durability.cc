#include "raft/durability.h"

#include <algorithm>

#include "raft/check.h"

namespace raftkv::raft {

PersistToken Durability::hand_out(const HardState& state, Term last_term, Index last_index,
                                  bool carries_entries, MonotonicUs now) {
  PersistToken token{.sequence = ++handed_sequence_};
  if (carries_entries) {
    token.last_term = last_term;
    token.last_index = last_index;
  }
  handed_state_ = state;
  handed_index_ = last_index;
  pending_.push_back({token, state, last_index, now});
  return token;
}

void Durability::truncated_from(Index index) {
  const Index kept = index - 1;
  handed_index_ = std::min(handed_index_, kept);
  durable_index_ = std::min(durable_index_, kept);
  for (Pending& write : pending_) write.valid_index = std::min(write.valid_index, kept);
}

void Durability::replaced(Index agreed, Index snapshot) {
  truncated_from(agreed + 1);
  handed_index_ = snapshot;
}

void Durability::complete(const PersistToken& token) {
  RAFT_CHECK(token.sequence <= handed_sequence_,
             "write " + std::to_string(token.sequence) + " was never handed out");
  while (!pending_.empty() && pending_.front().token.sequence <= token.sequence) {
    const Pending& write = pending_.front();
    if (write.token.sequence == token.sequence) {
      RAFT_CHECK(
          write.token.last_term == token.last_term && write.token.last_index == token.last_index,
          "write " + std::to_string(token.sequence) + " ends at index " +
              std::to_string(write.token.last_index) + ", its completion says " +
              std::to_string(token.last_index));
    }
    durable_state_ = write.state;
    durable_index_ = std::max(durable_index_, write.valid_index);
    completed_sequence_ = write.token.sequence;
    pending_.pop_front();
  }
}

}  // namespace raftkv::raft
