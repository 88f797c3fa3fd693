// What each node says about itself and the cluster, asked of all at the same time.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/address.h"
#include "client/info_text.h"

namespace raftkv::client {

struct NodeStatus {
  explicit NodeStatus(Address at) : address(std::move(at)) {}

  Address address;
  std::string trouble;  // why it gave no answer; empty: it is up

  // Of a node that is up:
  uint64_t id = 0;
  std::string role;  // leader, follower, candidate, precandidate
  uint64_t term = 0;
  uint64_t leader_id = 0;  // 0: it knows none
  uint64_t commit_index = 0;
  uint64_t applied_index = 0;
  uint64_t last_index = 0;
  uint64_t snapshot_index = 0;
  uint64_t keys = 0;
  InfoText info;  // all its fields

  bool up() const { return trouble.empty(); }
};

struct ClusterStatus {
  std::vector<NodeStatus> nodes;  // as asked for, then members that only the leader named

  // Of the highest term that any node that is up knows; 0: none known.
  uint64_t leader_id = 0;
  uint64_t members = 0;  // who vote, in the whole cluster: as the nodes say, else as many as asked
  uint64_t up = 0;       // of these

  bool healthy() const { return leader_id != 0 && up > members / 2; }
  const NodeStatus* leader() const;  // null if it is not up, or was not asked
  // "n1", by what the node or the leader says; "?" where nobody knows.
  std::string name_of(const NodeStatus& node) const;
  // Entries of the leader's log the node surely lacks, by the leader's word, else by what both say
  // of themselves. Nothing if it can't be told.
  std::optional<uint64_t> lag_of(const NodeStatus& node) const;
};

// Costs at most `timeout` for the nodes given, and once more if the leader names others.
ClusterStatus query_status(const std::vector<Address>& nodes, std::chrono::milliseconds timeout);

// From INFO's fields; sets `trouble` if they are not those of a RaftKV node.
void read_info(NodeStatus& node);
// Fills in what follows from the nodes.
void summarize(ClusterStatus& status);

}  // namespace raftkv::client
