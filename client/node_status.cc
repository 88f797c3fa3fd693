#include "client/node_status.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <thread>

#include "client/connection.h"

namespace raftkv::client {
namespace {

void query_node(NodeStatus& node, Deadline deadline) {
  auto connection = Connection::connect(node.address, deadline);
  if (!connection) {
    node.trouble = connection.error();
    return;
  }
  const std::array<std::array<std::string, 2>, 3> questions = {
      {{"INFO", "server"}, {"INFO", "keyspace"}, {"INFO", "raft"}}};
  for (const auto& question : questions) connection->append(question);
  for (size_t i = 0; i < questions.size(); ++i) {
    const auto reply = connection->receive(deadline);
    if (!reply) {
      node.trouble = reply.error() == "timed out" ? "no answer in time" : reply.error();
      return;
    }
    if (reply->is_error()) {
      node.trouble = reply->text;
      return;
    }
    node.info.add(reply->text);
  }
  read_info(node);
}

void query_nodes(std::vector<NodeStatus>& nodes, size_t first, Deadline deadline) {
  std::vector<std::jthread> threads;
  for (size_t i = first; i < nodes.size(); ++i) {
    threads.emplace_back([&node = nodes[i], deadline] { query_node(node, deadline); });
  }
}

// Calls `visit` with the value of each raft_peerN field of the leader.
void for_each_peer(const NodeStatus& leader, const std::function<void(std::string_view)>& visit) {
  for (size_t i = 0;; ++i) {
    const std::string_view peer = leader.info.text(fmt::format("raft_peer{}", i));
    if (peer.empty()) return;
    visit(peer);
  }
}

// What the leader says of the node at this address or with this id; empty if nothing.
std::string_view peer_of(const NodeStatus& leader, const NodeStatus& node) {
  std::string_view found;
  for_each_peer(leader, [&](std::string_view peer) {
    const bool same_id = node.id != 0 && info_part(peer, "id") == std::to_string(node.id);
    if (same_id || info_part(peer, "addr") == node.address.to_string()) found = peer;
  });
  return found;
}

void add_unlisted_members(ClusterStatus& status) {
  const NodeStatus* leader = status.leader();
  if (leader == nullptr) return;
  std::vector<NodeStatus> unlisted;
  for_each_peer(*leader, [&](std::string_view peer) {
    const auto address = parse_address(info_part(peer, "addr"));
    const auto id = info_part(peer, "id");
    if (!address) return;
    const bool listed =
        std::any_of(status.nodes.begin(), status.nodes.end(), [&](const NodeStatus& node) {
          return node.address == *address || (node.up() && std::to_string(node.id) == id);
        });
    if (!listed) unlisted.emplace_back(*address);
  });
  for (NodeStatus& node : unlisted) status.nodes.push_back(std::move(node));
}

}  // namespace

void read_info(NodeStatus& node) {
  const InfoText& info = node.info;
  const auto id = info.number("raft_node_id");
  if (!id) {
    node.trouble = "not a RaftKV node: INFO has no raft_node_id";
    return;
  }
  node.id = *id;
  node.role = info.text("raft_role");
  node.term = info.number("raft_term").value_or(0);
  node.leader_id = info.number("raft_leader_id").value_or(0);
  node.commit_index = info.number("raft_commit_index").value_or(0);
  node.applied_index = info.number("raft_applied_index").value_or(0);
  node.last_index = info.number("raft_last_index").value_or(0);
  node.snapshot_index = info.number("raft_snapshot_index").value_or(0);
  node.keys = info_number(info_part(info.text("db0"), "keys")).value_or(0);
}

void summarize(ClusterStatus& status) {
  status.leader_id = 0;
  status.up = 0;
  // A learner counts for nothing, and neither does a node that was removed.
  const auto votes = [](const NodeStatus& node) {
    const std::string_view membership = node.info.text("raft_membership");
    return membership.empty() || membership == "voter" || membership == "leaving";
  };
  status.members = status.nodes.size();
  uint64_t leader_term = 0;
  uint64_t members_term = 0;
  for (const NodeStatus& node : status.nodes) {
    if (!node.up()) continue;
    if (votes(node)) ++status.up;
    if (node.leader_id != 0 && node.term >= leader_term) {
      leader_term = node.term;
      status.leader_id = node.leader_id;
    }
    auto members = node.info.number("raft_voters");
    if (!members) members = node.info.number("raft_members");
    if (members && *members > 0 && node.term >= members_term) {
      members_term = node.term;
      status.members = *members;
    }
  }
}

const NodeStatus* ClusterStatus::leader() const {
  const NodeStatus* found = nullptr;
  for (const NodeStatus& node : nodes) {
    if (node.up() && node.id == leader_id && node.role == "leader") found = &node;
  }
  return found;
}

std::string ClusterStatus::name_of(const NodeStatus& node) const {
  if (node.id != 0) return fmt::format("n{}", node.id);
  const NodeStatus* lead = leader();
  if (lead == nullptr) return "?";
  const std::string_view id = info_part(peer_of(*lead, node), "id");
  return id.empty() ? "?" : fmt::format("n{}", id);
}

std::optional<uint64_t> ClusterStatus::lag_of(const NodeStatus& node) const {
  const NodeStatus* lead = leader();
  if (lead == nullptr) return std::nullopt;
  if (lead == &node) return 0;
  const std::string_view peer = peer_of(*lead, node);
  if (const auto lag = info_number(info_part(peer, "lag"))) return lag;
  if (!node.up()) return std::nullopt;
  return lead->last_index - std::min(lead->last_index, node.last_index);
}

ClusterStatus query_status(const std::vector<Address>& nodes, std::chrono::milliseconds timeout) {
  ClusterStatus status;
  for (const Address& address : nodes) status.nodes.emplace_back(address);
  query_nodes(status.nodes, 0, Clock::now() + timeout);
  summarize(status);
  add_unlisted_members(status);
  query_nodes(status.nodes, nodes.size(), Clock::now() + timeout);
  summarize(status);
  return status;
}

}  // namespace raftkv::client
