#include "server/command/introspection_command.h"

#include "server/command/args.h"
#include "server/command/local_text.h"

namespace raftkv::server {
namespace {

void reply_help_of(LocalContext& context, std::string_view container) {
  for (const CommandSpec& command : server_commands()) {
    if (command.name == container) return reply_help(context, command);
  }
}

void empty_array(LocalContext& context) {
  context.reply.array(0);
}
void empty_map(LocalContext& context) {
  context.reply.map(0);
}
void zero(LocalContext& context) {
  context.reply.integer(0);
}

void latency_help(LocalContext& context) {
  reply_help_of(context, "latency");
}
void slowlog_help(LocalContext& context) {
  reply_help_of(context, "slowlog");
}
void module_help(LocalContext& context) {
  reply_help_of(context, "module");
}
void memory_help(LocalContext& context) {
  reply_help_of(context, "memory");
}

void slowlog_get(LocalContext& context) {
  if (context.args.size() > 3) return reply_too_many_arguments(context);
  if (context.args.size() == 3) {
    const std::optional<int64_t> count = parse_integer(context.args[2]);
    if (!count || *count < -1) {
      return context.reply.error("ERR count should be greater than or equal to -1");
    }
  }
  context.reply.array(0);
}

void slowlog_reset(LocalContext& context) {
  context.reply.ok();
}

void memory_usage(DataContext& context) {
  const Args options = context.args.subspan(3);
  for (size_t i = 0; i < options.size(); i += 2) {
    if (!same_word(options[i], "samples") || i + 1 == options.size()) {
      return context.reply.error(kSyntaxError);
    }
    const std::optional<int64_t> samples = integer_or_reply(context, options[i + 1]);
    if (!samples) return;
    if (*samples < 0) return context.reply.error(kSyntaxError);
  }
  const data::Entry* entry = context.keyspace.find(context.args[2], context.clock);
  if (!entry) return context.reply.null();
  context.reply.integer(static_cast<int64_t>(data::Keyspace::memory_of(*entry)));
}

constexpr ArgDoc kEventArguments[] = {{.name = "event", .type = "string"}};
constexpr ArgDoc kEventsArguments[] = {
    {.name = "event", .type = "string", .flags = ArgDoc::kOptional | ArgDoc::kMultiple}};
constexpr ArgDoc kCommandsArguments[] = {
    {.name = "command", .type = "string", .flags = ArgDoc::kOptional | ArgDoc::kMultiple}};
constexpr ArgDoc kCountArguments[] = {
    {.name = "count", .type = "integer", .flags = ArgDoc::kOptional}};
constexpr ArgDoc kUsageArguments[] = {
    {.name = "key", .type = "key"},
    {.name = "count", .type = "integer", .token = "SAMPLES", .flags = ArgDoc::kOptional}};

constexpr uint32_t kHelp = kLoading | kStale;
constexpr uint32_t kAdministration = kAdmin | kLoading | kStale;
constexpr char kNoLatencies[] = "Latencies are not kept: always empty.";
constexpr char kNoSlowlog[] = "Slow commands are not kept: always empty.";

}  // namespace

std::span<const CommandSpec> latency_subcommands() {
  static const CommandSpec kSubcommands[] = {
      {.name = "latest",
       .arity = 2,
       .flags = kAdministration | kNoScript,
       .keys = {},
       .local = empty_array,
       .group = "server",
       .summary = "Tells the latest latency of each event.",
       .since = "2.8.13",
       .complexity = "O(1)",
       .remark = kNoLatencies,
       .tips = "nondeterministic_output request_policy:all_nodes response_policy:special"},
      {.name = "history",
       .arity = 3,
       .flags = kAdministration | kNoScript,
       .keys = {},
       .local = empty_array,
       .group = "server",
       .summary = "Tells the latencies of an event.",
       .since = "2.8.13",
       .complexity = "O(1)",
       .arguments = kEventArguments,
       .remark = kNoLatencies,
       .tips = "nondeterministic_output request_policy:all_nodes response_policy:special"},
      {.name = "histogram",
       .arity = -2,
       .flags = kAdministration | kNoScript,
       .keys = {},
       .local = empty_map,
       .group = "server",
       .summary = "Tells how the latencies of commands are distributed.",
       .since = "7.0.0",
       .complexity = "O(1)",
       .arguments = kCommandsArguments,
       .remark = kNoLatencies,
       .tips = "nondeterministic_output request_policy:all_nodes response_policy:special"},
      {.name = "reset",
       .arity = -2,
       .flags = kAdministration | kNoScript,
       .keys = {},
       .local = zero,
       .group = "server",
       .summary = "Forgets the latencies of events, and tells of how many.",
       .since = "2.8.13",
       .complexity = "O(1)",
       .arguments = kEventsArguments,
       .remark = kNoLatencies,
       .tips = "request_policy:all_nodes response_policy:all_succeeded"},
      {.name = "help",
       .arity = 2,
       .flags = kHelp,
       .keys = {},
       .local = latency_help,
       .group = "server",
       .summary = "Prints this help.",
       .since = "2.8.13",
       .complexity = "O(1)"},
  };
  return kSubcommands;
}

std::span<const CommandSpec> slowlog_subcommands() {
  static const CommandSpec kSubcommands[] = {
      {.name = "get",
       .arity = -2,
       .flags = kAdministration,
       .keys = {},
       .local = slowlog_get,
       .group = "server",
       .summary = "Tells the latest slow commands.",
       .since = "2.2.12",
       .complexity = "O(1)",
       .arguments = kCountArguments,
       .remark = kNoSlowlog,
       .tips = "request_policy:all_nodes nondeterministic_output"},
      {.name = "len",
       .arity = 2,
       .flags = kAdministration,
       .keys = {},
       .local = zero,
       .group = "server",
       .summary = "Counts the slow commands that are kept.",
       .since = "2.2.12",
       .complexity = "O(1)",
       .remark = kNoSlowlog,
       .tips = "request_policy:all_nodes response_policy:agg_sum nondeterministic_output"},
      {.name = "reset",
       .arity = 2,
       .flags = kAdministration,
       .keys = {},
       .local = slowlog_reset,
       .group = "server",
       .summary = "Forgets the slow commands.",
       .since = "2.2.12",
       .complexity = "O(1)",
       .remark = kNoSlowlog,
       .tips = "request_policy:all_nodes response_policy:all_succeeded"},
      {.name = "help",
       .arity = 2,
       .flags = kHelp,
       .keys = {},
       .local = slowlog_help,
       .group = "server",
       .summary = "Prints this help.",
       .since = "6.2.0",
       .complexity = "O(1)"},
  };
  return kSubcommands;
}

std::span<const CommandSpec> module_subcommands() {
  static const CommandSpec kSubcommands[] = {
      {.name = "list",
       .arity = 2,
       .flags = kAdmin | kNoScript,
       .keys = {},
       .local = empty_array,
       .group = "server",
       .summary = "Lists the modules that are loaded.",
       .since = "4.0.0",
       .complexity = "O(1)",
       .remark = "There are none.",
       .tips = "nondeterministic_output_order"},
      {.name = "help",
       .arity = 2,
       .flags = kHelp,
       .keys = {},
       .local = module_help,
       .group = "server",
       .summary = "Prints this help.",
       .since = "5.0.0",
       .complexity = "O(1)"},
  };
  return kSubcommands;
}

std::span<const CommandSpec> memory_subcommands() {
  static const CommandSpec kSubcommands[] = {
      {.name = "usage",
       .arity = -3,
       .flags = kReadonly,
       .keys = {.first = 2, .last = 2, .step = 1, .access = kKeyRo},
       .data = memory_usage,
       .group = "server",
       .summary = "Tells how many bytes a key and its value take.",
       .since = "4.0.0",
       .complexity = "O(1)",
       .arguments = kUsageArguments,
       .remark = "Never an estimate: `SAMPLES` makes no difference."},
      {.name = "help",
       .arity = 2,
       .flags = kHelp,
       .keys = {},
       .local = memory_help,
       .group = "server",
       .summary = "Prints this help.",
       .since = "4.0.0",
       .complexity = "O(1)"},
  };
  return kSubcommands;
}

}  // namespace raftkv::server
