// RAFT.MEMBERS and RAFT.TRANSFER. What any node may answer is here; a change is begun by the
// session (server/replica/admin.h), because its connection waits until the change is committed.
#include <algorithm>

#include "server/command/host.h"
#include "server/command/local_text.h"
#include "server/command/member_context.h"

namespace raftkv::server {
namespace {

void text_field(resp::ReplyWriter& reply, std::string_view name, std::string_view value) {
  reply.bulk(name);
  reply.bulk(value);
}

void number_field(resp::ReplyWriter& reply, std::string_view name, uint64_t value) {
  reply.bulk(name);
  reply.integer(static_cast<int64_t>(value));
}

// What only the leader knows is -1 elsewhere.
void write_member(const Host& host, const raft::Status& status, const Member& member,
                  resp::ReplyWriter& reply) {
  const bool leads = status.role == raft::Role::kLeader;
  const bool self = member.id == host.self_id();
  const auto peer = std::ranges::find(status.peers, member.id, &raft::PeerStatus::id);
  int64_t match = -1;
  int64_t active = -1;
  if (leads && self) {
    match = static_cast<int64_t>(status.durable);
    active = 1;
  } else if (peer != status.peers.end()) {
    match = static_cast<int64_t>(peer->match);
    active = peer->active ? 1 : 0;
  }
  reply.map(10);
  number_field(reply, "id", member.id);
  text_field(reply, "name", cluster_node_name(host.cluster_id(), member.id));
  text_field(reply, "role", member_role_text(member.role));
  text_field(reply, "client", client_endpoint(member).to_string());
  text_field(reply, "peer", peer_endpoint(member).to_string());
  number_field(reply, "leader", member.id == status.leader ? 1 : 0);
  number_field(reply, "promote", member.promote && member.role == MemberRole::kLearner ? 1 : 0);
  reply.bulk("active");
  reply.integer(active);
  reply.bulk("match");
  reply.integer(match);
  reply.bulk("lag");
  reply.integer(match < 0 ? -1
                          : static_cast<int64_t>(
                                status.last - std::min(status.last, static_cast<uint64_t>(match))));
}

void members_list(LocalContext& context) {
  const Host& host = context.host;
  const raft::Status status = host.raft_status();
  const MembershipFacts facts = host.membership();
  resp::ReplyWriter& reply = context.reply;
  reply.map(7);
  text_field(reply, "cluster_id", host.cluster_id());
  number_field(reply, "answered_by", host.self_id());
  number_field(reply, "leader", status.leader);
  number_field(reply, "term", status.term);
  number_field(reply, "index", facts.index);
  text_field(reply, "phase", membership_phase_text(facts));
  reply.bulk("members");
  reply.array(host.members().size());
  for (const Member& member : host.members()) write_member(host, status, member, reply);
}

void members_help(LocalContext& context) {
  for (const CommandSpec& command : raft_commands()) {
    if (std::string_view(command.name) == "raft.members") return reply_help(context, command);
  }
}

constexpr ArgDoc kAddArguments[] = {
    {.name = "id", .type = "integer"},
    {.name = "client-address", .type = "string"},
    {.name = "peer-address", .type = "string"},
    {.name = "nopromote", .type = "pure-token", .token = "NOPROMOTE", .flags = ArgDoc::kOptional}};
constexpr ArgDoc kUpdateArguments[] = {{.name = "id", .type = "integer"},
                                       {.name = "client-address", .type = "string"},
                                       {.name = "peer-address", .type = "string"}};
constexpr ArgDoc kVoterArguments[] = {
    {.name = "id", .type = "integer"},
    {.name = "force", .type = "pure-token", .token = "FORCE", .flags = ArgDoc::kOptional}};
constexpr ArgDoc kTransferArguments[] = {
    {.name = "id", .type = "integer", .flags = ArgDoc::kOptional}};

constexpr uint32_t kChange = kAdmin | kNoScript | kNoMulti | kBlocking | kSession;

std::span<const CommandSpec> members_subcommands() {
  static constexpr CommandSpec kSubcommands[] = {
      {.name = "list",
       .arity = 2,
       .flags = kAdmin | kStale | kLoading,
       .keys = {},
       .local = members_list,
       .group = "raft",
       .summary = "Tells the members with roles, addresses and how far each is.",
       .since = "7.0.0",
       .complexity = "O(N) where N is the number of members",
       .remark = "Any node answers, by its own log. `active`, `match` and `lag` are known to the "
                 "leader only, and -1 elsewhere. `phase`: `stable`, `changing` or `joint`.",
       .tips = "nondeterministic_output"},
      {.name = "add",
       .arity = -5,
       .flags = kChange,
       .keys = {},
       .group = "raft",
       .summary = "Adds a node, which gets the log, and votes once it has caught up.",
       .since = "7.0.0",
       .complexity = "O(N) where N is the number of members",
       .arguments = kAddArguments,
       .remark = "`OK` when the change is committed; with `NOPROMOTE` it stays a learner until "
                 "`RAFT.MEMBERS PROMOTE`. `MOVED` on a follower. One change at a time: "
                 "`TRYAGAIN`."},
      {.name = "remove",
       .arity = -3,
       .flags = kChange,
       .keys = {},
       .group = "raft",
       .summary = "Removes a node.",
       .since = "7.0.0",
       .complexity = "O(N) where N is the number of members",
       .arguments = kVoterArguments,
       .remark = "Refused if a majority of the remaining voters does not answer, unless `FORCE`. A "
                 "leader that removes itself hands over first."},
      {.name = "promote",
       .arity = -3,
       .flags = kChange,
       .keys = {},
       .group = "raft",
       .summary = "Lets a learner vote.",
       .since = "7.0.0",
       .complexity = "O(N) where N is the number of members",
       .arguments = kVoterArguments,
       .remark = "Needed only after `NOPROMOTE`. Refused if a majority of the voters with it does "
                 "not answer, unless `FORCE`."},
      {.name = "update",
       .arity = 5,
       .flags = kChange,
       .keys = {},
       .group = "raft",
       .summary = "Changes the addresses of a member.",
       .since = "7.0.0",
       .complexity = "O(N) where N is the number of members",
       .arguments = kUpdateArguments},
      {.name = "help",
       .arity = 2,
       .flags = kStale | kLoading,
       .keys = {},
       .local = members_help,
       .group = "raft",
       .summary = "Prints this help.",
       .since = "7.0.0",
       .complexity = "O(1)"},
  };
  return kSubcommands;
}

}  // namespace

std::span<const CommandSpec> raft_commands() {
  static const CommandSpec kCommands[] = {
      {.name = "raft.members",
       .arity = -2,
       .flags = 0,
       .keys = {},
       .group = "raft",
       .summary = "A container for commands about the members of the group.",
       .since = "7.0.0",
       .complexity = "Depends on subcommand.",
       .subcommands = members_subcommands(),
       .remark = "RaftKV's own."},
      {.name = "raft.transfer",
       .arity = -1,
       .flags = kChange,
       .keys = {},
       .group = "raft",
       .summary = "Hands leadership to a node, or to the most caught-up voter.",
       .since = "7.0.0",
       .complexity = "O(1)",
       .arguments = kTransferArguments,
       .remark = "RaftKV's own. `OK` once another node leads; commands that come meanwhile wait, "
                 "and are answered `MOVED`. `MOVED` on a follower."},
  };
  return kCommands;
}

}  // namespace raftkv::server
