#include "server/command/cluster_view.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/command/local_text.h"

namespace raftkv::server {
namespace {

bool is_any_address(std::string_view host) {
  return host.empty() || host == "0.0.0.0" || host == "::" || host == "*";
}

const raft::PeerStatus* find_peer(const raft::Status& status, uint64_t id) {
  const auto found = std::ranges::find(status.peers, id, &raft::PeerStatus::id);
  return found == status.peers.end() ? nullptr : &*found;
}

ViewedNode view_member(const Member& member, const Host& host, const raft::Status& status,
                       const ClientState& client) {
  ViewedNode node;
  node.id = member.id;
  node.name = cluster_node_name(host.cluster_id(), member.id);
  node.host = member.client_host;
  node.port = member.client_port;
  node.peer_port = member.peer_port;
  node.leader = member.id == status.leader;
  node.self = member.id == host.self_id();
  if (node.self && is_any_address(node.host)) {
    node.host = split_address(client.local_address).host;
  }
  if (node.self) {
    node.offset = host.applied_index();
  } else if (const raft::PeerStatus* peer = find_peer(status, member.id)) {
    node.reachable = peer->active;
    node.offset = peer->match;
    const uint64_t wall_us = host.wall_us();
    node.heard_ms = (wall_us - std::min(wall_us, peer->silent_us)) / 1000;
  } else if (node.leader) {
    node.offset = status.commit;
  }
  return node;
}

void reply_slot_owner(const ViewedNode& node, resp::ReplyWriter& reply) {
  reply.array(4);
  reply.bulk(node.host);
  reply.integer(node.port);
  reply.bulk(node.name);
  reply.map(0);  // other ways to reach it: none
}

void reply_shard_node(const ViewedNode& node, resp::ReplyWriter& reply) {
  reply.map(7);
  reply.bulk("id");
  reply.bulk(node.name);
  reply.bulk("port");
  reply.integer(node.port);
  reply.bulk("ip");
  reply.bulk(node.host);
  reply.bulk("endpoint");
  reply.bulk(node.host);
  reply.bulk("role");
  reply.bulk(node.leader ? "master" : "replica");
  reply.bulk("replication-offset");
  reply.integer(static_cast<int64_t>(node.offset));
  reply.bulk("health");
  reply.bulk(node.reachable ? "online" : "fail");
}

std::string node_flags(const ViewedNode& node) {
  std::string flags = node.self ? "myself," : "";
  flags += node.leader ? "master" : "slave";
  if (!node.reachable) flags += ",fail?";
  return flags;
}

}  // namespace

ClusterView view_cluster(const Host& host, const ClientState& client) {
  const raft::Status status = host.raft_status();
  const Belonging self = host.membership().self;
  ClusterView view;
  view.term = status.term;
  view.commit = status.commit;
  for (const Member& member : host.members()) {
    view.nodes.push_back(view_member(member, host, status, client));
  }
  const auto leader = std::ranges::find_if(view.nodes, &ViewedNode::leader);
  // To who is no member (yet, or any more) no leader answers.
  view.has_leader =
      leader != view.nodes.end() && self != Belonging::kWaiting && self != Belonging::kRemoved;
  if (view.has_leader) std::rotate(view.nodes.begin(), leader, leader + 1);
  return view;
}

std::string client_address(const ViewedNode& node) {
  return fmt::format("{}:{}", node.host, node.port);
}

void reply_slots(const ClusterView& view, resp::ReplyWriter& reply) {
  // Without a leader nobody owns a slot. A client then asks again, or another node.
  if (!view.has_leader) return reply.array(0);
  reply.array(1);
  reply.array(2 + view.nodes.size());
  reply.integer(0);
  reply.integer(kClusterSlots - 1);
  for (const ViewedNode& node : view.nodes) reply_slot_owner(node, reply);
}

void reply_shards(const ClusterView& view, resp::ReplyWriter& reply) {
  reply.array(1);
  reply.map(2);
  reply.bulk("slots");
  reply.array(view.has_leader ? 2 : 0);
  if (view.has_leader) {
    reply.integer(0);
    reply.integer(kClusterSlots - 1);
  }
  reply.bulk("nodes");
  reply.array(view.nodes.size());
  for (const ViewedNode& node : view.nodes) reply_shard_node(node, reply);
}

std::string nodes_text(const ClusterView& view) {
  const std::string master = view.has_leader ? view.leader()->name : "-";
  std::string text;
  for (const ViewedNode& node : view.nodes) {
    text +=
        fmt::format("{} {}@{} {} {} 0 {} {} {}", node.name, client_address(node), node.peer_port,
                    node_flags(node), node.leader ? "-" : master, node.self ? 0 : node.heard_ms,
                    view.term, node.reachable ? "connected" : "disconnected");
    if (node.leader) text += fmt::format(" 0-{}", kClusterSlots - 1);
    text += '\n';
  }
  return text;
}

std::string cluster_info_text(const ClusterView& view) {
  return fmt::format(
      "cluster_state:{}\r\n"
      "cluster_slots_assigned:{}\r\n"
      "cluster_slots_ok:{}\r\n"
      "cluster_slots_pfail:0\r\n"
      "cluster_slots_fail:{}\r\n"
      "cluster_known_nodes:{}\r\n"
      "cluster_size:1\r\n"
      "cluster_current_epoch:{}\r\n"
      "cluster_my_epoch:{}\r\n",
      view.has_leader ? "ok" : "fail", kClusterSlots, view.has_leader ? kClusterSlots : 0,
      view.has_leader ? 0 : kClusterSlots, view.nodes.size(), view.term, view.term);
}

}  // namespace raftkv::server
