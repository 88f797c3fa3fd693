// BGSAVE, SAVE, LASTSAVE: a node's own snapshots, which stand for Redis's RDB files.
#include <fmt/format.h>

#include "server/command/host.h"
#include "server/command/info.h"
#include "server/command/local_text.h"

namespace raftkv::server {
namespace {

// SCHEDULE changes nothing: in Redis it waits for the rewrite of the append only file to end, and
// the log here is never rewritten.
void bgsave(LocalContext& context) {
  const Args options = context.args.subspan(1);
  if (options.size() > 1 || (!options.empty() && !same_word(options[0], "schedule"))) {
    return context.reply.error(kSyntaxError);
  }
  const SnapshotStatus status = context.host.snapshot_status();
  if (status.in_progress || status.requested) {
    return context.reply.error("ERR Background save already in progress");
  }
  if (context.host.request_snapshot()) return context.reply.simple("Background saving started");
  context.reply.simple(
      fmt::format("Nothing new to save since the snapshot at index {}", status.index));
}

void lastsave(LocalContext& context) {
  context.reply.integer(static_cast<int64_t>(last_save_s(context.host)));
}

constexpr ArgDoc kBgsaveArguments[] = {
    {.name = "schedule", .type = "pure-token", .token = "SCHEDULE", .flags = ArgDoc::kOptional}};

}  // namespace

std::span<const CommandSpec> save_commands() {
  static const CommandSpec kCommands[] = {
      {.name = "bgsave",
       .arity = -1,
       .flags = kAdmin | kNoScript,
       .keys = {},
       .local = bgsave,
       .group = "server",
       .summary = "Takes a snapshot of the node's dataset in the background.",
       .since = "1.0.0",
       .complexity = "O(N) where N is the number of keys, in slices between other commands",
       .arguments = kBgsaveArguments,
       .remark = "Of the node that is asked, leader or not. `SCHEDULE` changes nothing. If nothing "
                 "was applied since the newest snapshot, the reply says so."},
      {.name = "save",
       .arity = 1,
       .flags = kAdmin | kNoScript | kNoMulti | kSession,
       .keys = {},
       .group = "server",
       .summary = "Takes a snapshot of the node's dataset and waits until it is on disk.",
       .since = "1.0.0",
       .complexity = "O(N) where N is the number of keys, in slices between other commands",
       .remark = "Of the node that is asked, leader or not. Only the connection waits: a node that "
                 "served nobody, as Redis does, would lose its leadership. `OK` once a snapshot of "
                 "this moment or later is durable; else the cause."},
      {.name = "lastsave",
       .arity = 1,
       .flags = kLoading | kStale | kFast | kAdmin,
       .keys = {},
       .local = lastsave,
       .group = "server",
       .summary = "Tells when the node's newest snapshot was finished, in Unix seconds.",
       .since = "1.0.0",
       .complexity = "O(1)",
       .remark = "Before the first one since the node's start, the time of the start, as in Redis.",
       .tips = "nondeterministic_output"},
  };
  return kCommands;
}

}  // namespace raftkv::server
