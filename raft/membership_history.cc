#include "raft/membership_history.h"

#include <algorithm>
#include <utility>

#include "raft/check.h"

namespace raftkv::raft {

MembershipHistory::MembershipHistory(MembershipAt base, std::vector<MembershipAt> in_log)
    : base_(std::move(base)), in_log_(std::move(in_log)) {
  Index before = base_.index;
  for (const MembershipAt& at : in_log_) {
    RAFT_CHECK(at.index > before, "the memberships at " + std::to_string(before) + " and " +
                                      std::to_string(at.index) + " are out of order");
    before = at.index;
  }
  reconfigure();
}

MembershipHistory MembershipHistory::restored(const Restored& restored,
                                              const Membership& bootstrap) {
  const SnapshotMeta& snapshot = restored.snapshot;
  if (snapshot.index == 0) return {{0, normalized(bootstrap)}, restored.memberships};
  // The entry that named the snapshot's membership may be gone. Its index is at most the
  // snapshot's.
  MembershipAt base{snapshot.index, snapshot.membership};
  std::vector<MembershipAt> in_log;
  for (const MembershipAt& at : restored.memberships) {
    if (at.index > snapshot.index) {
      in_log.push_back(at);
    } else if (at.membership == snapshot.membership) {
      base.index = at.index;
    }
  }
  return {std::move(base), std::move(in_log)};
}

void MembershipHistory::reconfigure() {
  const Membership& newest = current().membership;
  // Without voters nobody is known, so nobody else is either.
  config_ = newest == Membership{} ? Configuration() : Configuration(newest);
}

const MembershipAt& MembershipHistory::at(Index index) const {
  for (auto at = in_log_.rbegin(); at != in_log_.rend(); ++at) {
    if (at->index <= index) return *at;
  }
  return base_;
}

bool MembershipHistory::votes_since(Index index, NodeId id) const {
  const auto votes = [id](const MembershipAt& at) {
    const Membership& m = at.membership;
    return std::binary_search(m.voters.begin(), m.voters.end(), id) ||
           std::binary_search(m.outgoing_voters.begin(), m.outgoing_voters.end(), id);
  };
  return votes(at(index)) || std::any_of(in_log_.begin(), in_log_.end(), [&](const auto& at) {
           return at.index > index && votes(at);
         });
}

std::vector<NodeId> MembershipHistory::members_since(Index index) const {
  std::vector<NodeId> ids;
  const auto add = [&ids](const MembershipAt& at) {
    for (const auto& [id, context] : at.membership.contexts) ids.push_back(id);
  };
  add(at(index));
  for (const MembershipAt& at : in_log_) {
    if (at.index > index) add(at);
  }
  return ids;
}

void MembershipHistory::append(Index index, Membership membership) {
  RAFT_CHECK(index > current().index, "a membership at " + std::to_string(index) +
                                          " behind that at " + std::to_string(current().index));
  in_log_.push_back({index, std::move(membership)});
  reconfigure();
}

void MembershipHistory::truncate_from(Index index) {
  const size_t before = in_log_.size();
  while (!in_log_.empty() && in_log_.back().index >= index) in_log_.pop_back();
  if (in_log_.size() != before) reconfigure();
}

void MembershipHistory::rebase(Index index, const Membership& membership) {
  const MembershipAt& here = at(index);
  base_ = {here.membership == membership ? here.index : index, membership};
  std::erase_if(in_log_, [index](const MembershipAt& at) { return at.index <= index; });
  reconfigure();
}

void MembershipHistory::reset(Index index, const Membership& membership) {
  base_ = {index, membership};
  in_log_.clear();
  reconfigure();
}

}  // namespace raftkv::raft
