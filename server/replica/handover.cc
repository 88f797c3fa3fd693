#include "server/replica/handover.h"

#include <algorithm>

namespace raftkv::server {

bool Handover::begin(const raft::Node& node, raft::NodeId target, raft::MonotonicUs now,
                     uint64_t patience_us) {
  const raft::Status status = node.status();
  if (status.role != raft::Role::kLeader) return false;
  if (active_) return target == 0 || target == target_;
  const bool possible = std::ranges::any_of(status.peers, [target](const raft::PeerStatus& peer) {
    return peer.active && !peer.learner && (target == 0 || peer.id == target);
  });
  if (!possible) return false;
  active_ = true;
  told_ = false;
  target_ = target;
  patience_us_ = patience_us;
  deadline_ = now + patience_us;
  return true;
}

void Handover::advance(raft::Node& node, bool drained, raft::MonotonicUs now) {
  if (!active_) return;
  if (told_) {
    // The core has a deadline of its own.
    active_ = node.status().transfer_target != 0;
    return;
  }
  if (drained) {
    told_ = active_ = node.transfer(target_);
    successor_ = active_ ? node.status().transfer_target : 0;
  } else if (now >= deadline_) {
    active_ = false;
  }
}

void Handover::end(raft::MonotonicUs now) {
  if (active_ && told_) successor_until_ = now + patience_us_;
  active_ = false;
}

}  // namespace raftkv::server
