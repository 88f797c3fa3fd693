// Who belongs to the group, and who leads it next.
#include <fmt/format.h>

#include "server/command/member_context.h"
#include "server/replica/replica.h"

namespace raftkv::server {

// Before anything is sent: a message may be for a member that has come just now.
void Replica::notice_membership() {
  const bool changed = book_.follow(node_);
  const bool committed = book_.in_force().index <= node_.commit_index();
  if (!changed && membership_told_ && committed == told_committed_) return;
  membership_told_ = true;
  told_committed_ = committed;
  ports_.membership_changed(membership(), book_.all());
}

MembershipFacts Replica::membership() const {
  const raft::MembershipAt& at = book_.in_force();
  return {.index = at.index,
          .joint = at.membership.joint(),
          .committed = at.index <= node_.commit_index(),
          .self = book_.self()};
}

std::expected<raft::Index, raft::ChangeError> Replica::change_members(
    const raft::MemberChange& change) {
  touch();
  if (handover_.active()) return std::unexpected(raft::ChangeError::kTransferring);
  const auto index = node_.change_members({change});
  // Commands that follow in this turn see the new members.
  notice_membership();
  return index;
}

bool Replica::transfer(raft::NodeId target) {
  touch();
  return leads() &&
         handover_.begin(node_, target, monotonic_us_, options_.raft.election_timeout_us);
}

// What a leader does for its members in each turn.
void Replica::lead_members() {
  handover_.advance(node_, proposed_.empty(), monotonic_us_);
  flee_full_disk();
  if (handover_.active()) return;
  const raft::NodeId learner =
      book_.promotable(node_, monotonic_us_, options_.raft.election_timeout_us);
  if (learner == 0) return;
  // If another change is under way by now, the next turn tries again.
  if (node_.change_members({{.kind = raft::MemberChange::Kind::kPromote, .id = learner}})) {
    notice_membership();
  }
}

// A leader without room refuses every write, while another member may have room for them. Whoever
// has caught up most is the best guess: a follower without room falls behind.
void Replica::flee_full_disk() {
  if (monotonic_us_ < may_flee_us_ || !ports_.disk_full()) return;
  may_flee_us_ = monotonic_us_ + options_.full_disk_handover_us;
  transfer(0);
}

std::string Replica::redirect(uint16_t slot) {
  switch (book_.self()) {
    case Belonging::kWaiting:
      return fmt::format(
          "CLUSTERDOWN node {} waits to be added to a cluster: raftkv-cli members add --id {} ...",
          options_.raft.id, options_.raft.id);
    case Belonging::kRemoved:
      return fmt::format("CLUSTERDOWN node {} is not a member of the cluster any more",
                         options_.raft.id);
    default:
      break;
  }
  raft::NodeId id = node_.leader();
  if (id == 0) id = handover_.successor(monotonic_us_);
  const Member* leader = id == options_.raft.id ? nullptr : member(id);
  if (leader == nullptr) return "CLUSTERDOWN no leader is known at the moment; try again";
  ++stats_.moved_replies;
  return fmt::format("MOVED {} {}:{}", slot, leader->client_host, leader->client_port);
}

}  // namespace raftkv::server
