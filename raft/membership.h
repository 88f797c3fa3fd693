// Who belongs to the group. The rest of the core asks only the questions below and the sums in
// quorum.h, so joint consensus (thesis 4.3) and members without a vote (4.2.1) fit in here.
#pragma once

#include <expected>
#include <span>
#include <string>
#include <vector>

#include "raft/node.h"
#include "raft/types.h"

namespace raftkv::raft {

// What is wrong with a membership, in words; empty if it is a sound one, which has a voter.
std::string membership_fault(const Membership& membership);
// Sorts the sets and gives every member without a context an empty one: what a host says.
Membership normalized(Membership membership);

// The membership that `changes` make of `now`, one after the other. If they change who votes, it is
// the one to enter: joint, with the voters of `now` outgoing.
std::expected<Membership, ChangeError> changed(const Membership& now,
                                               const std::vector<MemberChange>& changes);
// The membership that ends the joint phase.
Membership without_outgoing(const Membership& joint);

class Configuration {
 public:
  // More voters make every commit slower and are surely a mistake.
  static constexpr size_t kVotersMax = 31;  // in each of the two sets
  static constexpr size_t kLearnersMax = 64;

  // Nobody is known yet: there is no majority to ask for.
  Configuration() = default;
  // A sound membership.
  explicit Configuration(const Membership& membership);

  bool known() const { return !voters_.empty(); }
  bool joint() const { return !outgoing_voters_.empty(); }
  bool is_member(NodeId id) const;
  // Whether this node's vote counts, in either set.
  bool is_voter(NodeId id) const;
  // Whether it still does when the joint phase has ended.
  bool stays_voter(NodeId id) const;
  // Whether it is the only one whose vote counts: it has nobody to ask.
  bool is_sole_voter(NodeId id) const;

  // All are ascending.
  std::span<const NodeId> voters() const { return voters_; }
  std::span<const NodeId> outgoing_voters() const { return outgoing_voters_; }
  std::span<const NodeId> all_voters() const { return all_voters_; }  // of both sets, each once
  std::span<const NodeId> members() const { return members_; }        // all voters and learners

 private:
  std::vector<NodeId> voters_;
  std::vector<NodeId> outgoing_voters_;
  std::vector<NodeId> all_voters_;
  std::vector<NodeId> members_;
};

}  // namespace raftkv::raft
