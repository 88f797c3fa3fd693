#include "raft/membership.h"

#include <algorithm>
#include <iterator>

#include "raft/check.h"

namespace raftkv::raft {
namespace {

bool contains(std::span<const NodeId> ids, NodeId id) {
  return std::binary_search(ids.begin(), ids.end(), id);
}

void insert(std::vector<NodeId>& ids, NodeId id) {
  ids.insert(std::lower_bound(ids.begin(), ids.end(), id), id);
}

void erase(std::vector<NodeId>& ids, NodeId id) {
  std::erase(ids, id);
}

std::vector<NodeId> united(const std::vector<NodeId>& a, const std::vector<NodeId>& b) {
  std::vector<NodeId> all;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all));
  return all;
}

bool is_set(const std::vector<NodeId>& ids) {
  return std::adjacent_find(ids.begin(), ids.end(), std::greater_equal<>()) == ids.end() &&
         (ids.empty() || ids.front() != 0);
}

// One change on the sets as the changes before it left them; `now` is what they all began with.
std::optional<ChangeError> apply(const MemberChange& change, const Membership& now,
                                 Membership& next) {
  const bool voter = contains(next.voters, change.id);
  const bool learner = contains(next.learners, change.id);
  switch (change.kind) {
    case MemberChange::Kind::kAddLearner:
      if (change.id == 0) return ChangeError::kNotMember;
      // A voter that is removed by the same request has a vote until the joint phase ends.
      if (voter || learner || contains(now.voters, change.id)) return ChangeError::kAlreadyMember;
      insert(next.learners, change.id);
      next.contexts[change.id] = change.context;
      return std::nullopt;
    case MemberChange::Kind::kPromote:
      if (voter) return ChangeError::kAlreadyMember;
      if (!learner) return ChangeError::kNotMember;
      erase(next.learners, change.id);
      insert(next.voters, change.id);
      return std::nullopt;
    case MemberChange::Kind::kRemove:
      if (!voter && !learner) return ChangeError::kNotMember;
      erase(next.voters, change.id);
      erase(next.learners, change.id);
      if (!contains(now.voters, change.id)) next.contexts.erase(change.id);
      return std::nullopt;
    case MemberChange::Kind::kUpdateContext:
      if (!voter && !learner) return ChangeError::kNotMember;
      next.contexts[change.id] = change.context;
      return std::nullopt;
  }
  return ChangeError::kNotMember;
}

}  // namespace

std::string membership_fault(const Membership& membership) {
  const auto& [voters, outgoing, learners, contexts] = membership;
  if (voters.empty()) return "a membership without voters";
  if (!is_set(voters) || !is_set(outgoing) || !is_set(learners)) {
    return "a membership's ids are not ascending, or one is 0";
  }
  if (voters.size() > Configuration::kVotersMax || outgoing.size() > Configuration::kVotersMax ||
      learners.size() > Configuration::kLearnersMax) {
    return "a membership of too many";
  }
  const auto all_voters = united(voters, outgoing);
  for (NodeId learner : learners) {
    if (contains(all_voters, learner)) return std::to_string(learner) + " is voter and learner";
  }
  const auto members = united(all_voters, learners);
  const bool same = std::equal(members.begin(), members.end(), contexts.begin(), contexts.end(),
                               [](NodeId id, const auto& context) { return id == context.first; });
  if (!same) return "a membership's contexts are not those of its members";
  return "";
}

Membership normalized(Membership membership) {
  for (auto* ids : {&membership.voters, &membership.outgoing_voters, &membership.learners}) {
    std::sort(ids->begin(), ids->end());
    for (NodeId id : *ids) membership.contexts.try_emplace(id);
  }
  return membership;
}

std::expected<Membership, ChangeError> changed(const Membership& now,
                                               const std::vector<MemberChange>& changes) {
  Membership next = now;
  for (const MemberChange& change : changes) {
    if (const auto error = apply(change, now, next)) return std::unexpected(*error);
  }
  if (next.voters.empty()) return std::unexpected(ChangeError::kLastVoter);
  if (next.voters.size() > Configuration::kVotersMax ||
      next.learners.size() > Configuration::kLearnersMax) {
    return std::unexpected(ChangeError::kTooMany);
  }
  if (next.voters != now.voters) next.outgoing_voters = now.voters;
  return next;
}

Membership without_outgoing(const Membership& joint) {
  Membership next = joint;
  next.outgoing_voters.clear();
  for (NodeId id : joint.outgoing_voters) {
    if (!contains(joint.voters, id)) next.contexts.erase(id);
  }
  return next;
}

Configuration::Configuration(const Membership& membership)
    : voters_(membership.voters),
      outgoing_voters_(membership.outgoing_voters),
      all_voters_(united(voters_, outgoing_voters_)),
      members_(united(all_voters_, membership.learners)) {
  const std::string fault = membership_fault(membership);
  RAFT_CHECK(fault.empty(), fault);
}

bool Configuration::is_member(NodeId id) const {
  return contains(members_, id);
}

bool Configuration::is_voter(NodeId id) const {
  return contains(all_voters_, id);
}

bool Configuration::stays_voter(NodeId id) const {
  return contains(voters_, id);
}

bool Configuration::is_sole_voter(NodeId id) const {
  return all_voters_.size() == 1 && all_voters_.front() == id;
}

}  // namespace raftkv::raft
