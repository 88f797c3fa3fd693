// CLUSTER and the commands of cluster clients.

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "server/command/args.h"
#include "server/command/cluster_view.h"
#include "server/command/host.h"
#include "server/command/local_text.h"

namespace raftkv::server {
namespace {

// The leader's address is what scripts read, so it comes first; what follows is for people.
void cluster_leader(LocalContext& context) {
  const ClusterView view = view_cluster(context.host, context.client);
  if (!view.has_leader) {
    return context.reply.error("CLUSTERDOWN no leader is known, an election may be running");
  }
  const ViewedNode& leader = *view.leader();
  context.reply.array(5);
  context.reply.bulk(leader.host);
  context.reply.integer(leader.port);
  context.reply.bulk(leader.name);
  context.reply.integer(static_cast<int64_t>(leader.id));
  context.reply.integer(static_cast<int64_t>(view.term));
}

void cluster_info(LocalContext& context) {
  std::string text = cluster_info_text(view_cluster(context.host, context.client));
  if (const std::optional<PeerTraffic> traffic = context.host.peer_traffic()) {
    text += fmt::format("cluster_stats_messages_sent:{}\r\ncluster_stats_messages_received:{}\r\n",
                        traffic->messages_sent, traffic->messages_received);
  }
  text += "total_cluster_links_buffer_limit_exceeded:0\r\n";
  context.reply.verbatim("txt", text);
}

void cluster_slots(LocalContext& context) {
  reply_slots(view_cluster(context.host, context.client), context.reply);
}

void cluster_shards(LocalContext& context) {
  reply_shards(view_cluster(context.host, context.client), context.reply);
}

void cluster_nodes(LocalContext& context) {
  context.reply.verbatim("txt", nodes_text(view_cluster(context.host, context.client)));
}

void cluster_myid(LocalContext& context) {
  context.reply.bulk(cluster_node_name(context.host.cluster_id(), context.host.self_id()));
}

void cluster_keyslot(LocalContext& context) {
  context.reply.integer(key_slot(context.args[2]));
}

// --- what needs the data ------------------------------------------------------------------------

bool is_slot(int64_t number) {
  return number >= 0 && number < kClusterSlots;
}

// There is no index of keys by slot, since one shard has them all: this walks the whole keyspace.
void visit_slot(DataContext& context, uint16_t slot,
                const std::function<void(std::string_view)>& visit) {
  context.keyspace.for_each([&](const data::Entry& entry) {
    const std::string_view key = data::Keyspace::key_of(entry);
    if (key_slot(key) == slot && is_live(entry, context.clock)) visit(key);
  });
}

void cluster_countkeysinslot(DataContext& context) {
  const std::optional<int64_t> slot = integer_or_reply(context, context.args[2]);
  if (!slot) return;
  if (!is_slot(*slot)) return context.reply.error("ERR Invalid slot");
  int64_t count = 0;
  visit_slot(context, static_cast<uint16_t>(*slot), [&](std::string_view) { ++count; });
  context.reply.integer(count);
}

void cluster_getkeysinslot(DataContext& context) {
  const std::optional<int64_t> slot = integer_or_reply(context, context.args[2]);
  if (!slot) return;
  const std::optional<int64_t> limit = integer_or_reply(context, context.args[3]);
  if (!limit) return;
  if (!is_slot(*slot) || *limit < 0) {
    return context.reply.error("ERR Invalid slot or number of keys");
  }
  std::vector<std::string_view> keys;
  visit_slot(context, static_cast<uint16_t>(*slot), [&](std::string_view key) {
    if (keys.size() < static_cast<size_t>(*limit)) keys.push_back(key);
  });
  context.reply.array(keys.size());
  for (const std::string_view key : keys) context.reply.bulk(key);
}

// --- the connection's mode ----------------------------------------------------------------------

void readonly(LocalContext& context) {
  context.client.readonly = true;
  context.reply.ok();
}

void readwrite(LocalContext& context) {
  context.client.readonly = false;
  context.reply.ok();
}

// Slots never move here, so nobody is ever sent an ASK; a client that says ASKING all the same
// loses nothing.
void asking(LocalContext& context) {
  context.reply.ok();
}

// --- what other clusters are changed by ---------------------------------------------------------

void cluster_forget(LocalContext& context) {
  context.reply.error(
      "ERR use RAFT.MEMBERS REMOVE id (or raftkv-cli members remove): the members agree on it");
}

void cluster_meet(LocalContext& context) {
  context.reply.error(
      "ERR use RAFT.MEMBERS ADD id client_host:port peer_host:port (or raftkv-cli members add)");
}

void cluster_replicate(LocalContext& context) {
  context.reply.error(
      "ERR every member replicates the leader: RAFT.MEMBERS ADD adds one, RAFT.MEMBERS PROMOTE "
      "lets it vote");
}

// In Redis the replica that is told takes over. Here the leader is asked to hand over to it.
void cluster_failover(LocalContext& context) {
  const ClusterView view = view_cluster(context.host, context.client);
  if (!view.has_leader) {
    return context.reply.error("CLUSTERDOWN no leader is known, an election may be running");
  }
  context.reply.error(
      fmt::format("ERR send RAFT.TRANSFER{} to the leader, {} (or raftkv-cli transfer{})",
                  view.leader()->self ? " [id]" : fmt::format(" {}", context.host.self_id()),
                  client_address(*view.leader()),
                  view.leader()->self ? "" : fmt::format(" --to {}", context.host.self_id())));
}

void cluster_help(LocalContext& context) {
  for (const CommandSpec& command : cluster_commands()) {
    if (std::string_view(command.name) == "cluster") return reply_help(context, command);
  }
}

constexpr ArgDoc kKeyArguments[] = {{.name = "key", .type = "string"}};
constexpr ArgDoc kSlotArguments[] = {{.name = "slot", .type = "integer"}};
constexpr ArgDoc kNodeArguments[] = {{.name = "node-id", .type = "string"}};
constexpr ArgDoc kMeetArguments[] = {
    {.name = "ip", .type = "string"},
    {.name = "port", .type = "integer"},
    {.name = "cluster-bus-port", .type = "integer", .flags = ArgDoc::kOptional}};
constexpr ArgDoc kFailoverChoice[] = {
    {.name = "force", .type = "pure-token", .token = "FORCE"},
    {.name = "takeover", .type = "pure-token", .token = "TAKEOVER"}};
constexpr ArgDoc kFailoverArguments[] = {
    {.name = "options", .type = "oneof", .flags = ArgDoc::kOptional, .children = kFailoverChoice}};
constexpr ArgDoc kSlotCountArguments[] = {{.name = "slot", .type = "integer"},
                                          {.name = "count", .type = "integer"}};

// Any node answers at any time, also while it loads: clients find their way by these.
constexpr uint32_t kAlways = kStale | kLoading;

std::span<const CommandSpec> cluster_subcommands() {
  static const CommandSpec kSubcommands[] = {
      {.name = "leader",
       .arity = 2,
       .flags = kAlways,
       .keys = {},
       .local = cluster_leader,
       .group = "cluster",
       .summary = "Tells host, port, name and number of the leader, and its term.",
       .since = "7.0.0",
       .complexity = "O(N) where N is the number of members",
       .remark = "RaftKV's own. `CLUSTERDOWN` if no leader is known."},
      {.name = "info",
       .arity = 2,
       .flags = kAlways,
       .keys = {},
       .local = cluster_info,
       .group = "cluster",
       .summary = "Describes the state of the cluster.",
       .since = "3.0.0",
       .complexity = "O(N) where N is the number of members",
       .remark = "`cluster_state` is `ok` while this node knows a leader; epochs are Raft's term.",
       .tips = "nondeterministic_output"},
      {.name = "slots",
       .arity = 2,
       .flags = kAlways,
       .keys = {},
       .local = cluster_slots,
       .group = "cluster",
       .summary = "Tells which nodes serve which slots.",
       .since = "3.0.0",
       .complexity = "O(N) where N is the number of members",
       .remark = "One range of all slots, the leader first; empty while no leader is known.",
       .tips = "nondeterministic_output"},
      {.name = "shards",
       .arity = 2,
       .flags = kAlways,
       .keys = {},
       .local = cluster_shards,
       .group = "cluster",
       .summary = "Tells the shards with their slots and nodes.",
       .since = "7.0.0",
       .complexity = "O(N) where N is the number of members",
       .remark = "One shard, which has no slots while no leader is known.",
       .tips = "nondeterministic_output"},
      {.name = "nodes",
       .arity = 2,
       .flags = kAlways,
       .keys = {},
       .local = cluster_nodes,
       .group = "cluster",
       .summary = "Describes the members, one a line.",
       .since = "3.0.0",
       .complexity = "O(N) where N is the number of members",
       .remark = "Only the leader knows who is silent (`fail?`).",
       .tips = "nondeterministic_output"},
      {.name = "myid",
       .arity = 2,
       .flags = kAlways,
       .keys = {},
       .local = cluster_myid,
       .group = "cluster",
       .summary = "Tells the name of this node.",
       .since = "3.0.0",
       .complexity = "O(1)"},
      {.name = "keyslot",
       .arity = 3,
       .flags = kAlways,
       .keys = {},
       .local = cluster_keyslot,
       .group = "cluster",
       .summary = "Tells the slot of a key.",
       .since = "3.0.0",
       .complexity = "O(N) where N is the number of bytes in the key",
       .arguments = kKeyArguments},
      {.name = "countkeysinslot",
       .arity = 3,
       .flags = kReadonly | kStale,
       .keys = {},
       .data = cluster_countkeysinslot,
       .group = "cluster",
       .summary = "Counts the keys of a slot.",
       .since = "3.0.0",
       .complexity = "O(N) where N is the number of all keys",
       .arguments = kSlotArguments,
       .remark = "Walks all keys: meant for tests and repairs."},
      {.name = "getkeysinslot",
       .arity = 4,
       .flags = kReadonly | kStale,
       .keys = {},
       .data = cluster_getkeysinslot,
       .group = "cluster",
       .summary = "Lists keys of a slot.",
       .since = "3.0.0",
       .complexity = "O(N) where N is the number of all keys",
       .arguments = kSlotCountArguments,
       .remark = "Walks all keys: meant for tests and repairs.",
       .tips = "nondeterministic_output"},
      {.name = "meet",
       .arity = -4,
       .flags = kAdmin | kStale,
       .keys = {},
       .local = cluster_meet,
       .group = "cluster",
       .summary = "Would make another node join the cluster.",
       .since = "3.0.0",
       .complexity = "O(1)",
       .arguments = kMeetArguments,
       .remark = "Always an error that names `RAFT.MEMBERS ADD`."},
      {.name = "forget",
       .arity = 3,
       .flags = kAdmin | kStale,
       .keys = {},
       .local = cluster_forget,
       .group = "cluster",
       .summary = "Would remove a node from the cluster.",
       .since = "3.0.0",
       .complexity = "O(1)",
       .arguments = kNodeArguments,
       .remark = "Always an error that names `RAFT.MEMBERS REMOVE`."},
      {.name = "replicate",
       .arity = 3,
       .flags = kAdmin | kStale,
       .keys = {},
       .local = cluster_replicate,
       .group = "cluster",
       .summary = "Would make the node a replica of another one.",
       .since = "3.0.0",
       .complexity = "O(1)",
       .arguments = kNodeArguments,
       .remark = "Always an error: every member replicates the leader."},
      {.name = "failover",
       .arity = -2,
       .flags = kAdmin | kStale,
       .keys = {},
       .local = cluster_failover,
       .group = "cluster",
       .summary = "Would make the node take over from its master.",
       .since = "3.0.0",
       .complexity = "O(1)",
       .arguments = kFailoverArguments,
       .remark = "Always an error that names `RAFT.TRANSFER` and the leader to send it to."},
      {.name = "help",
       .arity = 2,
       .flags = kAlways,
       .keys = {},
       .local = cluster_help,
       .group = "cluster",
       .summary = "Prints this help.",
       .since = "5.0.0",
       .complexity = "O(1)"},
  };
  return kSubcommands;
}

}  // namespace

std::string cluster_node_name(const std::string& cluster_id, uint64_t member_id) {
  const std::string seed = fmt::format("{}/{}", cluster_id, member_id);
  const XXH128_hash_t first = XXH3_128bits_withSeed(seed.data(), seed.size(), 0);
  const XXH128_hash_t second = XXH3_128bits_withSeed(seed.data(), seed.size(), 1);
  return fmt::format("{:016x}{:016x}{:08x}", first.high64, first.low64,
                     static_cast<uint32_t>(second.low64));
}

std::span<const CommandSpec> cluster_commands() {
  static const CommandSpec kCommands[] = {
      {.name = "cluster",
       .arity = -2,
       .flags = 0,
       .keys = {},
       .group = "cluster",
       .summary = "A container for commands about the cluster.",
       .since = "3.0.0",
       .complexity = "Depends on subcommand.",
       .subcommands = cluster_subcommands()},
      {.name = "readonly",
       .arity = 1,
       .flags = kLoading | kStale | kFast | kConnectionCategory,
       .keys = {},
       .local = readonly,
       .group = "cluster",
       .summary = "Lets a follower answer the reads of the connection.",
       .since = "3.0.0",
       .complexity = "O(1)",
       .remark = "With `--follower_reads=stale` what a follower answers may lag behind the leader; "
                 "with `linearizable` it asks the leader first; with `off` it answers `MOVED` as "
                 "before."},
      {.name = "readwrite",
       .arity = 1,
       .flags = kLoading | kStale | kFast | kConnectionCategory,
       .keys = {},
       .local = readwrite,
       .group = "cluster",
       .summary = "Takes back READONLY.",
       .since = "3.0.0",
       .complexity = "O(1)"},
      {.name = "asking",
       .arity = 1,
       .flags = kFast | kConnectionCategory,
       .keys = {},
       .local = asking,
       .group = "cluster",
       .summary = "Announces a command that follows an ASK redirection.",
       .since = "3.0.0",
       .complexity = "O(1)",
       .remark = "Slots never move between shards, so it has no effect."},
  };
  return kCommands;
}

}  // namespace raftkv::server
