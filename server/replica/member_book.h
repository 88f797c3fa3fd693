// Who belongs to the group by this node's log, and which learner may become a voter.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "raft/node.h"
#include "server/command/host.h"

namespace raftkv::server {

class MemberBook {
 public:
  // Reads the membership in force. `restored` and `bootstrap` are what `node` began with: whether
  // this node was a member before it was started.
  MemberBook(raft::NodeId self, const raft::Node& node, const raft::Restored& restored,
             const raft::Membership& bootstrap);

  // True if it is another one than at the last look. Cheap if it is not.
  bool follow(const raft::Node& node);

  const std::vector<Member>& all() const { return members_; }  // sorted by id
  const Member* find(uint64_t id) const;
  Belonging self() const;
  bool belongs() const { return self() != Belonging::kWaiting && self() != Belonging::kRemoved; }
  const raft::MembershipAt& in_force() const { return in_force_; }

  // For the leader, once a turn: the learner that is to be promoted now, 0 if none. A learner
  // catches up in rounds: each one ends when it has what was committed when the round began. The
  // first round that lasts no longer than `round_us_max` (an election timeout) shows that as a
  // voter it would not hold up the others for longer than that (thesis 4.2.1).
  raft::NodeId promotable(const raft::Node& node, raft::MonotonicUs now, uint64_t round_us_max);
  // Not the leader any more: who leads next begins with rounds of its own.
  void forget_rounds() { rounds_.clear(); }

 private:
  struct Round {
    raft::Index goal = 0;
    raft::MonotonicUs began = 0;
  };

  void take(const raft::Node& node);

  const raft::NodeId self_;
  raft::MembershipAt in_force_;
  raft::Term seen_in_ = 0;
  // This node was a member once. Before that, the memberships it passes through while it catches up
  // with the log are those of the time before it came.
  bool belonged_ = false;
  std::vector<Member> members_;
  bool promotes_ = false;  // any learner that is to become a voter by itself
  std::map<raft::NodeId, Round> rounds_;
};

}  // namespace raftkv::server
