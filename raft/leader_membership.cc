// What a leader does about who belongs to the group (thesis 4): one change at a time, through joint
// consensus (4.3) whenever it is the voters that change.
#include <algorithm>

#include "raft/check.h"
#include "raft/codec.h"
#include "raft/leader.h"

namespace raftkv::raft {

std::expected<Index, ChangeError> Leader::change_members(const std::vector<MemberChange>& changes) {
  if (transfer_target_ != 0 || removed_) return std::unexpected(ChangeError::kTransferring);
  // Without a commit in this term, a change of an earlier leader that we do not know of could still
  // be committed beside ours, and two majorities need not meet (Ongaro 2015).
  const MembershipAt& now = core_.members.current();
  const bool in_progress = core_.commit() < opening_ || core_.commit() < now.index;
  if (in_progress || now.membership.joint()) return std::unexpected(ChangeError::kInProgress);
  const auto next = changed(now.membership, changes);
  if (!next) return std::unexpected(next.error());
  return append_membership(*next);
}

Index Leader::append_membership(const Membership& membership) {
  std::string payload;
  encode_membership(membership, payload);
  append(EntryKind::kMembership, std::make_shared<const std::string>(std::move(payload)),
         core_.log.last_time_us());
  follow_membership();
  return core_.log.last_index();
}

void Leader::follow_membership() {
  const Configuration& config = core_.config();
  const Index index = core_.members.current().index;
  for (NodeId id : config.members()) {
    if (id != core_.self() && !knows(id)) {
      peers_.emplace_back(id, core_.log.last_index() + 1, core_.options, core_.now);
    }
  }
  std::erase_if(departures_, [&](const Departure& d) { return config.is_member(d.id); });
  for (const Progress& peer : peers_) {
    if (!config.is_member(peer.id()) && !departing(peer.id())) {
      departures_.push_back({.id = peer.id(), .index = index});
    }
  }
  next_heartbeat_ =
      peers_.empty() ? kNever : std::min(next_heartbeat_, core_.now + core_.options.heartbeat_us);
}

void Leader::advance_membership() {
  if (removed_ || core_.commit() < opening_) return;
  const MembershipAt& now = core_.members.current();
  if (core_.commit() < now.index) return;
  if (now.membership.joint()) {
    append_membership(without_outgoing(now.membership));
  } else if (!core_.config().is_voter(core_.self())) {
    // Whoever is best placed takes over; if nobody is, they elect one among themselves.
    removed_ = true;
    if (!transfer(0)) transfer_deadline_ = core_.now;
  }
}

bool Leader::departing(NodeId id) const {
  return std::any_of(departures_.begin(), departures_.end(),
                     [id](const Departure& d) { return d.id == id; });
}

void Leader::see_off() {
  const auto is_over = [&](Departure& d) {
    if (core_.commit() < d.index) return false;
    if (d.deadline == kNever) {
      d.deadline = core_.now + kFarewellTimeouts * core_.options.election_timeout_us;
    }
    const Progress& leaver = peer(d.id);
    if (d.round == 0 && leaver.match() >= d.index) d.round = reads_.round_last() + 1;
    return core_.now >= d.deadline || (d.round != 0 && leaver.answered_round() >= d.round);
  };
  for (Departure& d : departures_) {
    if (!is_over(d)) continue;
    std::erase_if(peers_, [&](const Progress& peer) { return peer.id() == d.id; });
    d.id = 0;
  }
  std::erase_if(departures_, [](const Departure& d) { return d.id == 0; });
}

std::string Leader::broken_membership() const {
  for (NodeId id : core_.config().members()) {
    if (id != core_.self() && (!knows(id) || departing(id))) return "a member is no follower";
  }
  for (const Progress& peer : peers_) {
    if (!core_.config().is_member(peer.id()) && !departing(peer.id())) {
      return "follower " + std::to_string(peer.id()) + " is no member";
    }
  }
  if (transfer_target_ != 0 && !core_.config().stays_voter(transfer_target_)) {
    return "leadership is handed to one that is no voter";
  }
  const auto in_log = core_.members.in_log();
  const auto changes = std::count_if(in_log.begin(), in_log.end(), [&](const MembershipAt& at) {
    return at.index > opening_ && at.index > core_.commit();
  });
  if (changes > 1) return "two memberships at once are under way";
  const bool settled = core_.commit() >= std::max(opening_, core_.members.current().index);
  if (settled && core_.config().joint()) return "a joint phase is not ended";
  if (settled && !core_.config().is_voter(core_.self()) && !removed_) {
    return "a leader that is no voter stays";
  }
  return "";
}

}  // namespace raftkv::raft
