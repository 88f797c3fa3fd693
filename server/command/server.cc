// Commands about the node as a server: what it is, what it does, how it ends.

#include <fmt/format.h>

#include <algorithm>

#include "server/command/cluster_view.h"
#include "server/command/config_command.h"
#include "server/command/host.h"
#include "server/command/info.h"
#include "server/command/introspection_command.h"
#include "server/command/local_text.h"

namespace raftkv::server {
namespace {

void time(LocalContext& context) {
  const uint64_t now_us = context.host.wall_us();
  context.reply.array(2);
  context.reply.bulk_integer(static_cast<int64_t>(now_us / 1'000'000));
  context.reply.bulk_integer(static_cast<int64_t>(now_us % 1'000'000));
}

void role_of_leader(const ClusterView& view, resp::ReplyWriter& reply) {
  std::vector<const ViewedNode*> replicas;
  for (const ViewedNode& node : view.nodes) {
    if (!node.self && node.reachable) replicas.push_back(&node);
  }
  reply.array(3);
  reply.bulk("master");
  reply.integer(static_cast<int64_t>(view.commit));
  reply.array(replicas.size());
  for (const ViewedNode* node : replicas) {
    reply.array(3);
    reply.bulk(node->host);
    reply.bulk_integer(node->port);
    reply.bulk_integer(static_cast<int64_t>(node->offset));
  }
}

void role_of_follower(const ClusterView& view, uint64_t applied, resp::ReplyWriter& reply) {
  const ViewedNode* leader = view.leader();
  reply.array(5);
  reply.bulk("slave");
  reply.bulk(leader ? leader->host : "");
  reply.integer(leader ? leader->port : 0);
  reply.bulk(leader ? "connected" : "connect");
  reply.integer(static_cast<int64_t>(applied));
}

void role(LocalContext& context) {
  const ClusterView view = view_cluster(context.host, context.client);
  if (context.host.raft_status().role == raft::Role::kLeader) {
    role_of_leader(view, context.reply);
  } else {
    role_of_follower(view, context.host.applied_index(), context.reply);
  }
}

void replicaof(LocalContext& context) {
  context.reply.error(
      "ERR REPLICAOF not allowed in cluster mode. The members elect their leader themselves.");
}

// No reply: the client sees its connection end. Every write that was acknowledged is on disk
// already, so that all ways to ask for it are one.
void shutdown(LocalContext& context) {
  bool save = false;
  bool nosave = false;
  bool abort = false;
  const Args options = context.args.subspan(1);
  for (const std::string_view option : options) {
    if (same_word(option, "save")) {
      save = true;
    } else if (same_word(option, "nosave")) {
      nosave = true;
    } else if (same_word(option, "abort")) {
      abort = true;
    } else if (!same_word(option, "now") && !same_word(option, "force")) {
      return context.reply.error(kSyntaxError);
    }
  }
  if ((save && nosave) || (abort && options.size() > 1)) return context.reply.error(kSyntaxError);
  if (abort) return context.reply.error("ERR No shutdown in progress.");
  context.client.close_after_reply = true;
  context.host.request_shutdown();
}

constexpr ArgDoc kInfoArguments[] = {
    {.name = "section", .type = "string", .flags = ArgDoc::kOptional | ArgDoc::kMultiple}};
constexpr ArgDoc kSaveChoice[] = {{.name = "nosave", .type = "pure-token", .token = "NOSAVE"},
                                  {.name = "save", .type = "pure-token", .token = "SAVE"}};
constexpr ArgDoc kShutdownArguments[] = {
    {.name = "nosave_save", .type = "oneof", .flags = ArgDoc::kOptional, .children = kSaveChoice},
    {.name = "now", .type = "pure-token", .token = "NOW", .flags = ArgDoc::kOptional},
    {.name = "force", .type = "pure-token", .token = "FORCE", .flags = ArgDoc::kOptional},
    {.name = "abort", .type = "pure-token", .token = "ABORT", .flags = ArgDoc::kOptional}};
constexpr ArgDoc kReplicaofArguments[] = {{.name = "host", .type = "string"},
                                          {.name = "port", .type = "integer"}};

}  // namespace

std::span<const CommandSpec> server_commands() {
  static const CommandSpec kCommands[] = {
      {.name = "info",
       .arity = -1,
       .flags = kLoading | kStale | kDangerousCategory,
       .keys = {},
       .local = info,
       .group = "server",
       .summary = "Describes the node and what it does, in sections.",
       .since = "1.0.0",
       .complexity = "O(N) where N is the number of clients and members",
       .arguments = kInfoArguments,
       .remark = "A section `Raft` of its own. Snapshots stand for RDB files, the log for the AOF.",
       .tips = "nondeterministic_output request_policy:all_shards response_policy:special"},
      {.name = "time",
       .arity = 1,
       .flags = kLoading | kStale | kFast,
       .keys = {},
       .local = time,
       .group = "server",
       .summary = "Tells the time by this node's clock.",
       .since = "2.6.0",
       .complexity = "O(1)",
       .tips = "nondeterministic_output"},
      {.name = "role",
       .arity = 1,
       .flags = kNoScript | kLoading | kStale | kFast | kDangerousCategory,
       .keys = {},
       .local = role,
       .group = "server",
       .summary = "Tells whether the node leads, and whom or after whom.",
       .since = "2.8.12",
       .complexity = "O(N) where N is the number of members",
       .remark = "The leader is `master`; offsets are log indexes."},
      {.name = "replicaof",
       .arity = 3,
       .flags = kAdmin | kNoScript | kStale,
       .keys = {},
       .local = replicaof,
       .group = "server",
       .summary = "Would make the node follow another one.",
       .since = "5.0.0",
       .complexity = "O(1)",
       .arguments = kReplicaofArguments,
       .remark = "Always an error: the members elect their leader themselves."},
      {.name = "slaveof",
       .arity = 3,
       .flags = kAdmin | kNoScript | kStale,
       .keys = {},
       .local = replicaof,
       .group = "server",
       .summary = "Would make the node follow another one.",
       .since = "1.0.0",
       .complexity = "O(1)",
       .arguments = kReplicaofArguments,
       .remark = "Always an error: the members elect their leader themselves.",
       .deprecated_since = "5.0.0",
       .replaced_by = "`REPLICAOF`"},
      {.name = "shutdown",
       .arity = -1,
       .flags = kAdmin | kNoScript | kLoading | kStale | kNoMulti | kAllowBusy | kBarrier,
       .keys = {},
       .local = shutdown,
       .group = "server",
       .summary = "Ends the node.",
       .since = "1.0.0",
       .complexity = "O(1)",
       .arguments = kShutdownArguments,
       .remark =
           "All options but `ABORT` come to the same: what was acknowledged is on disk already."},
      {.name = "config",
       .arity = -2,
       .flags = 0,
       .keys = {},
       .group = "server",
       .summary = "A container for commands about settings.",
       .since = "2.0.0",
       .complexity = "Depends on subcommand.",
       .subcommands = config_subcommands()},
      {.name = "latency",
       .arity = -2,
       .flags = 0,
       .keys = {},
       .group = "server",
       .summary = "A container for commands about latency.",
       .since = "2.8.13",
       .complexity = "Depends on subcommand.",
       .subcommands = latency_subcommands()},
      {.name = "slowlog",
       .arity = -2,
       .flags = 0,
       .keys = {},
       .group = "server",
       .summary = "A container for commands about slow commands.",
       .since = "2.2.12",
       .complexity = "Depends on subcommand.",
       .subcommands = slowlog_subcommands()},
      {.name = "module",
       .arity = -2,
       .flags = 0,
       .keys = {},
       .group = "server",
       .summary = "A container for commands about modules.",
       .since = "4.0.0",
       .complexity = "Depends on subcommand.",
       .subcommands = module_subcommands()},
      {.name = "memory",
       .arity = -2,
       .flags = 0,
       .keys = {},
       .group = "server",
       .summary = "A container for commands about memory.",
       .since = "4.0.0",
       .complexity = "Depends on subcommand.",
       .subcommands = memory_subcommands()},
      {.name = "acl",
       .arity = -2,
       .flags = 0,
       .keys = {},
       .group = "server",
       .summary = "A container for commands about users and what they may do.",
       .since = "6.0.0",
       .complexity = "Depends on subcommand.",
       .subcommands = acl_subcommands()},
  };
  return kCommands;
}

}  // namespace raftkv::server
