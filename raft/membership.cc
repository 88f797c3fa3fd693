#include "raft/membership.h"

#include <algorithm>

#include "raft/check.h"

namespace raftkv::raft {

Configuration::Configuration(std::vector<NodeId> voters) : voters_(std::move(voters)) {
  std::sort(voters_.begin(), voters_.end());
  RAFT_CHECK(!voters_.empty(), "a group has at least one voter");
  RAFT_CHECK(voters_.size() <= kVotersMax, std::to_string(voters_.size()) + " voters");
  RAFT_CHECK(voters_.front() != 0, "0 is not a node");
  RAFT_CHECK(std::adjacent_find(voters_.begin(), voters_.end()) == voters_.end(),
             "a voter is named twice");
}

bool Configuration::is_voter(NodeId id) const {
  return std::binary_search(voters_.begin(), voters_.end(), id);
}

}  // namespace raftkv::raft
