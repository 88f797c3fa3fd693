// The memberships that the log names behind the newest snapshot, above the one that was in force at
// it. A membership counts from the append of its entry (thesis 4.1), so the newest one is in force,
// and when its entry is truncated the one before is again.
#pragma once

#include <span>
#include <vector>

#include "raft/membership.h"
#include "raft/node.h"
#include "raft/types.h"

namespace raftkv::raft {

class MembershipHistory {
 public:
  // `base`: of the snapshot or the bootstrap, without voters if nobody is known yet. `in_log`:
  // those behind it, ascending.
  MembershipHistory(MembershipAt base, std::vector<MembershipAt> in_log);
  // What a disk held: those of the log that the snapshot does not cover, above the snapshot's.
  static MembershipHistory restored(const Restored& restored, const Membership& bootstrap);

  const MembershipAt& current() const { return in_log_.empty() ? base_ : in_log_.back(); }
  const Configuration& config() const { return config_; }
  // In force at `index`, which is at least that of the newest snapshot.
  const MembershipAt& at(Index index) const;
  std::span<const MembershipAt> in_log() const { return in_log_; }
  // Whether this node votes in the membership in force at `index` or in a later one.
  bool votes_since(Index index, NodeId id) const;
  // The members of the one in force at `index` and of all later ones; may name one twice.
  std::vector<NodeId> members_since(Index index) const;

  void append(Index index, Membership membership);
  void truncate_from(Index index);
  // A snapshot was taken or installed at `index`, with this membership in force there. What the log
  // names behind it stays.
  void rebase(Index index, const Membership& membership);
  // The log begins anew behind a snapshot.
  void reset(Index index, const Membership& membership);

 private:
  void reconfigure();

  MembershipAt base_;
  std::vector<MembershipAt> in_log_;
  Configuration config_;  // of current()
};

}  // namespace raftkv::raft
