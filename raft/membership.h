// Who belongs to the group. The rest of the core asks only the questions below and the sums in
// quorum.h, so a second set of voters (joint consensus) or members without a vote fit in here.
#pragma once

#include <span>
#include <vector>

#include "raft/types.h"

namespace raftkv::raft {

class Configuration {
 public:
  // More voters make every commit slower and are surely a mistake.
  static constexpr size_t kVotersMax = 31;

  // `voters`: distinct, not 0, at least one, at most kVotersMax; in any order.
  explicit Configuration(std::vector<NodeId> voters);

  // Whether messages of this node mean anything to the group.
  bool is_member(NodeId id) const { return is_voter(id); }
  bool is_voter(NodeId id) const;
  std::span<const NodeId> voters() const { return voters_; }  // ascending

 private:
  std::vector<NodeId> voters_;
};

}  // namespace raftkv::raft
