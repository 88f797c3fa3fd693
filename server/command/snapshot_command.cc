// RAFT.SNAPSHOT: the newest snapshot's file, to be read in parts over a client's connection, for
// backups and for moving to a Redis (raftkv-cli export).
#include <fmt/format.h>

#include "server/command/host.h"
#include "server/command/local_text.h"

namespace raftkv::server {
namespace {

void number_field(resp::ReplyWriter& reply, std::string_view name, uint64_t value) {
  reply.bulk(name);
  reply.integer(static_cast<int64_t>(value));
}

void snapshot_info(LocalContext& context) {
  const auto file = context.host.snapshot_file();
  resp::ReplyWriter& reply = context.reply;
  if (!file) return reply.error("ERR " + file.error());
  reply.map(5);
  number_field(reply, "node", context.host.self_id());
  number_field(reply, "index", file->index);
  number_field(reply, "term", file->term);
  number_field(reply, "time_ms", file->time_us / 1000);
  number_field(reply, "bytes", file->bytes);
}

void snapshot_read(LocalContext& context) {
  uint64_t numbers[4] = {};
  for (size_t i = 0; i < 4; ++i) {
    const auto number = parse_integer(context.args[2 + i]);
    if (!number || *number < 0) return context.reply.error(kNotAnInteger);
    numbers[i] = static_cast<uint64_t>(*number);
  }
  const auto [index, term, offset, count] = numbers;
  const auto bytes = context.host.read_snapshot(index, term, offset, count);
  if (!bytes) return context.reply.error(bytes.error());
  context.reply.bulk(*bytes);
}

void snapshot_help(LocalContext& context) {
  reply_help(context, snapshot_commands().front());
}

constexpr ArgDoc kReadArguments[] = {{.name = "index", .type = "integer"},
                                     {.name = "term", .type = "integer"},
                                     {.name = "offset", .type = "integer"},
                                     {.name = "count", .type = "integer"}};

std::span<const CommandSpec> snapshot_subcommands() {
  static constexpr CommandSpec kSubcommands[] = {
      {.name = "info",
       .arity = 2,
       .flags = kAdmin | kNoScript | kStale | kLoading,
       .keys = {},
       .local = snapshot_info,
       .group = "raft",
       .summary = "Tells which snapshot is the node's newest.",
       .since = "7.0.0",
       .complexity = "O(1)",
       .remark = "`index` 0: there is none yet; `SAVE` takes one.",
       .tips = "nondeterministic_output"},
      {.name = "read",
       .arity = 6,
       .flags = kAdmin | kNoScript | kNoMulti | kStale | kLoading,
       .keys = {},
       .local = snapshot_read,
       .group = "raft",
       .summary = "Returns bytes of a snapshot's file, a Redis RDB file.",
       .since = "7.0.0",
       .complexity = "O(N) where N is the number of bytes",
       .arguments = kReadArguments,
       .remark = "At most 1 MiB at a time; empty at the end. A file that is being read stays "
                 "readable when newer ones have replaced it, for a minute after the last read of "
                 "it; then `NOSNAPSHOT`.",
       .tips = "nondeterministic_output"},
      {.name = "help",
       .arity = 2,
       .flags = kStale | kLoading,
       .keys = {},
       .local = snapshot_help,
       .group = "raft",
       .summary = "Prints this help.",
       .since = "7.0.0",
       .complexity = "O(1)"},
  };
  return kSubcommands;
}

}  // namespace

std::span<const CommandSpec> snapshot_commands() {
  static const CommandSpec kCommands[] = {
      {.name = "raft.snapshot",
       .arity = -2,
       .flags = 0,
       .keys = {},
       .group = "raft",
       .summary = "A container for commands about the node's snapshot files.",
       .since = "7.0.0",
       .complexity = "Depends on subcommand.",
       .subcommands = snapshot_subcommands(),
       .remark = "RaftKV's own."},
  };
  return kCommands;
}

}  // namespace raftkv::server
