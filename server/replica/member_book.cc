#include "server/replica/member_book.h"

#include <algorithm>

#include "server/command/member_context.h"

namespace raftkv::server {

MemberBook::MemberBook(raft::NodeId self, const raft::Node& node, const raft::Restored& restored,
                       const raft::Membership& bootstrap)
    : self_(self) {
  const auto names_self = [self](const raft::Membership& membership) {
    return membership.contexts.contains(self);
  };
  belonged_ = names_self(bootstrap) || names_self(restored.snapshot.membership) ||
              std::ranges::any_of(restored.memberships, [&](const raft::MembershipAt& at) {
                return names_self(at.membership);
              });
  take(node);
}

bool MemberBook::follow(const raft::Node& node) {
  // The index tells nearly always. But a new leader's entry may have replaced another one at the
  // same index since; that needs a new term.
  if (node.membership().index == in_force_.index && node.term() == seen_in_) return false;
  seen_in_ = node.term();
  if (node.membership() == in_force_) return false;
  take(node);
  return true;
}

void MemberBook::take(const raft::Node& node) {
  in_force_ = node.membership();
  seen_in_ = node.term();
  members_ = members_of(in_force_.membership);
  promotes_ = std::ranges::any_of(members_, [](const Member& member) {
    return member.role == MemberRole::kLearner && member.promote;
  });
  belonged_ = belonged_ || find(self_) != nullptr;
  std::erase_if(rounds_, [this](const auto& round) { return find(round.first) == nullptr; });
}

const Member* MemberBook::find(uint64_t id) const {
  const auto found = std::ranges::lower_bound(members_, id, {}, &Member::id);
  return found == members_.end() || found->id != id ? nullptr : &*found;
}

Belonging MemberBook::self() const {
  if (const Member* own = find(self_)) {
    switch (own->role) {
      case MemberRole::kVoter:
        return Belonging::kVoter;
      case MemberRole::kLearner:
        return Belonging::kLearner;
      case MemberRole::kLeaving:
        return Belonging::kLeaving;
    }
  }
  return belonged_ ? Belonging::kRemoved : Belonging::kWaiting;
}

raft::NodeId MemberBook::promotable(const raft::Node& node, raft::MonotonicUs now,
                                    uint64_t round_us_max) {
  if (!promotes_ || !node.membership_settled()) return 0;
  for (const raft::PeerStatus& peer : node.status().peers) {
    const Member* member = find(peer.id);
    if (member == nullptr || member->role != MemberRole::kLearner || !member->promote) continue;
    if (!peer.active || peer.snapshotting) {
      rounds_.erase(peer.id);
      continue;
    }
    Round& round = rounds_.try_emplace(peer.id, Round{node.commit_index(), now}).first->second;
    if (peer.match < round.goal) continue;
    if (now - round.began <= round_us_max) return peer.id;
    round = {node.commit_index(), now};
  }
  return 0;
}

}  // namespace raftkv::server
