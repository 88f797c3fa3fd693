// The cluster as Redis's cluster clients see it: one shard that owns all slots, its leader as the
// master, everybody else as its replicas.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/command/host.h"

namespace raftkv::server {

inline constexpr int kClusterSlots = 16384;

struct ViewedNode {
  uint64_t id = 0;
  std::string name;  // 40 hexadecimal characters
  std::string host;  // where clients reach it; never empty if it is known
  uint16_t port = 0;
  uint16_t peer_port = 0;
  bool leader = false;
  bool self = false;
  bool reachable = true;  // false: the leader has not heard from it for an election timeout
  uint64_t offset = 0;    // last log index it is known to have
  uint64_t heard_ms = 0;  // wall clock of its last answer to the leader, 0 if that is not known
};

struct ClusterView {
  uint64_t term = 0;
  uint64_t commit = 0;
  bool has_leader = false;
  std::vector<ViewedNode> nodes;  // the leader first if it is known, then by id

  const ViewedNode* leader() const { return has_leader ? &nodes.front() : nullptr; }
};

// `client` is who asks: a node that listens on all addresses is shown under the one it was reached
// at.
ClusterView view_cluster(const Host& host, const ClientState& client);

// "127.0.0.1:7001"
std::string client_address(const ViewedNode& node);

// Bodies of CLUSTER SLOTS, SHARDS, NODES and INFO.
void reply_slots(const ClusterView& view, resp::ReplyWriter& reply);
void reply_shards(const ClusterView& view, resp::ReplyWriter& reply);
std::string nodes_text(const ClusterView& view);
std::string cluster_info_text(const ClusterView& view);

}  // namespace raftkv::server
