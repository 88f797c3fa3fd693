#include "server/command/client_command.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/command/local_text.h"

namespace raftkv::server {
namespace {

// What a line of CLIENT LIST can show without being torn apart.
bool is_plain_word(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= '!' && c <= '~'; });
}

uint64_t seconds_between(uint64_t from_us, uint64_t to_us) {
  return to_us > from_us ? (to_us - from_us) / 1'000'000 : 0;
}

// The letters of CLIENT LIST, in Redis's order.
std::string flags_text(const ClientState& client) {
  std::string flags;
  if (client.multi_queued >= 0) flags += 'x';
  if (client.close_after_reply) flags += 'c';
  if (client.readonly) flags += 'r';
  if (client.no_evict) flags += 'e';
  if (client.no_touch) flags += 'T';
  return flags.empty() ? "N" : flags;
}

void client_id(LocalContext& context) {
  context.reply.integer(static_cast<int64_t>(context.client.id));
}

void client_setname(LocalContext& context) {
  if (!set_client_name(context.client, context.args[2])) return context.reply.error(kBadClientName);
  context.reply.ok();
}

void client_getname(LocalContext& context) {
  if (context.client.name.empty()) return context.reply.null();
  context.reply.bulk(context.client.name);
}

void client_setinfo(LocalContext& context) {
  const std::string_view attribute = context.args[2];
  const std::string_view value = context.args[3];
  std::string ClientState::*field = nullptr;
  if (same_word(attribute, "lib-name")) field = &ClientState::library_name;
  if (same_word(attribute, "lib-ver")) field = &ClientState::library_version;
  if (!field) return context.reply.error(fmt::format("ERR Unrecognized option '{}'", attribute));
  if (!is_plain_word(value)) {
    return context.reply.error(
        fmt::format("ERR {} cannot contain spaces, newlines or special characters.", attribute));
  }
  context.client.*field = value;
  context.reply.ok();
}

void client_info(LocalContext& context) {
  context.reply.verbatim("txt", client_line(context.client, context.host.monotonic_us()) + "\n");
}

// "on" or "off" into `flag`.
void set_switch(LocalContext& context, bool& flag) {
  const bool on = same_word(context.args[2], "on");
  if (!on && !same_word(context.args[2], "off")) return context.reply.error(kSyntaxError);
  flag = on;
  context.reply.ok();
}

void client_no_evict(LocalContext& context) {
  set_switch(context, context.client.no_evict);
}
void client_no_touch(LocalContext& context) {
  set_switch(context, context.client.no_touch);
}

// Writes a reply only if there is one: OFF and SKIP are silent about themselves, too.
void client_reply(LocalContext& context) {
  ClientState& client = context.client;
  const std::string_view mode = context.args[2];
  if (same_word(mode, "on")) {
    client.reply_mode = ReplyMode::kOn;
    context.reply.ok();
  } else if (same_word(mode, "off")) {
    client.reply_mode = ReplyMode::kOff;
  } else if (same_word(mode, "skip")) {
    if (client.reply_mode != ReplyMode::kOff) client.reply_mode = ReplyMode::kSkipNext;
  } else {
    context.reply.error(kSyntaxError);
  }
}

void client_help(LocalContext& context) {
  for (const CommandSpec& command : connection_commands()) {
    if (std::string_view(command.name) == "client") return reply_help(context, command);
  }
}

constexpr ArgDoc kSwitch[] = {{.name = "on", .type = "pure-token", .token = "ON"},
                              {.name = "off", .type = "pure-token", .token = "OFF"}};
constexpr ArgDoc kSwitchArguments[] = {{.name = "enabled", .type = "oneof", .children = kSwitch}};
constexpr ArgDoc kReplyModes[] = {{.name = "on", .type = "pure-token", .token = "ON"},
                                  {.name = "off", .type = "pure-token", .token = "OFF"},
                                  {.name = "skip", .type = "pure-token", .token = "SKIP"}};
constexpr ArgDoc kReplyArguments[] = {
    {.name = "on_off_skip", .type = "oneof", .children = kReplyModes}};
constexpr ArgDoc kSetnameArguments[] = {{.name = "connection-name", .type = "string"}};
constexpr ArgDoc kInfoAttributes[] = {{.name = "libname", .type = "string", .token = "LIB-NAME"},
                                      {.name = "libver", .type = "string", .token = "LIB-VER"}};
constexpr ArgDoc kSetinfoArguments[] = {
    {.name = "attr", .type = "oneof", .children = kInfoAttributes}};
constexpr ArgDoc kTypes[] = {{.name = "normal", .type = "pure-token", .token = "NORMAL"},
                             {.name = "master", .type = "pure-token", .token = "MASTER"},
                             {.name = "replica", .type = "pure-token", .token = "REPLICA"},
                             {.name = "pubsub", .type = "pure-token", .token = "PUBSUB"}};
constexpr ArgDoc kListIds[] = {
    {.name = "client-id", .type = "integer", .flags = ArgDoc::kMultiple}};
constexpr ArgDoc kListArguments[] = {{.name = "client-type",
                                      .type = "oneof",
                                      .token = "TYPE",
                                      .flags = ArgDoc::kOptional,
                                      .children = kTypes},
                                     {.name = "id",
                                      .type = "block",
                                      .token = "ID",
                                      .flags = ArgDoc::kOptional,
                                      .children = kListIds}};
constexpr ArgDoc kSkipMe[] = {{.name = "yes", .type = "pure-token", .token = "YES"},
                              {.name = "no", .type = "pure-token", .token = "NO"}};
constexpr ArgDoc kKillFilters[] = {
    {.name = "client-id", .type = "integer", .token = "ID", .flags = ArgDoc::kOptional},
    {.name = "client-type",
     .type = "oneof",
     .token = "TYPE",
     .flags = ArgDoc::kOptional,
     .children = kTypes},
    {.name = "username", .type = "string", .token = "USER", .flags = ArgDoc::kOptional},
    {.name = "addr", .type = "string", .token = "ADDR", .flags = ArgDoc::kOptional},
    {.name = "laddr", .type = "string", .token = "LADDR", .flags = ArgDoc::kOptional},
    {.name = "skipme",
     .type = "oneof",
     .token = "SKIPME",
     .flags = ArgDoc::kOptional,
     .children = kSkipMe}};
constexpr ArgDoc kKillForms[] = {
    {.name = "ip:port", .type = "string"},
    {.name = "filter", .type = "oneof", .flags = ArgDoc::kMultiple, .children = kKillFilters}};
constexpr ArgDoc kKillArguments[] = {{.name = "filter", .type = "oneof", .children = kKillForms}};

constexpr uint32_t kOwn = kNoScript | kLoading | kStale;
constexpr uint32_t kOthers = kOwn | kAdmin;

}  // namespace

bool set_client_name(ClientState& client, std::string_view name) {
  if (!is_plain_word(name)) return false;
  client.name = name;
  return true;
}

std::string client_line(const ClientState& client, uint64_t now_us) {
  const std::string flags = flags_text(client);
  const size_t memory = sizeof(ClientState) + client.input_bytes + client.output_bytes;
  return fmt::format(
      "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db=0 sub=0 psub=0 ssub=0 "
      "multi={} watch={} qbuf={} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl={} oll=0 "
      "omem={} tot-mem={} events={} cmd={} user=default redir=-1 resp={} lib-name={} lib-ver={} "
      "tot-net-in={} tot-net-out={} tot-cmds={}",
      client.id, client.address, client.local_address, client.fd, client.name,
      seconds_between(client.created_us, now_us), seconds_between(client.last_command_us, now_us),
      flags, client.multi_queued, client.watched, client.input_bytes, client.output_bytes,
      client.output_bytes, memory, client.output_bytes > 0 ? "rw" : "r", client.last_command,
      static_cast<int>(client.protocol), client.library_name, client.library_version,
      client.total_input_bytes, client.total_output_bytes, client.commands);
}

std::span<const CommandSpec> client_subcommands() {
  static const CommandSpec kSubcommands[] = {
      {.name = "id",
       .arity = 2,
       .flags = kOwn,
       .keys = {},
       .local = client_id,
       .group = "connection",
       .summary = "Tells the number of the connection.",
       .since = "5.0.0",
       .complexity = "O(1)"},
      {.name = "setname",
       .arity = 3,
       .flags = kOwn,
       .keys = {},
       .local = client_setname,
       .group = "connection",
       .summary = "Gives the connection a name.",
       .since = "2.6.9",
       .complexity = "O(1)",
       .arguments = kSetnameArguments},
      {.name = "getname",
       .arity = 2,
       .flags = kOwn,
       .keys = {},
       .local = client_getname,
       .group = "connection",
       .summary = "Tells the name of the connection.",
       .since = "2.6.9",
       .complexity = "O(1)"},
      {.name = "setinfo",
       .arity = 4,
       .flags = kOwn,
       .keys = {},
       .local = client_setinfo,
       .group = "connection",
       .summary = "Tells the server which library the client uses.",
       .since = "7.2.0",
       .complexity = "O(1)",
       .arguments = kSetinfoArguments},
      {.name = "info",
       .arity = 2,
       .flags = kOwn,
       .keys = {},
       .local = client_info,
       .group = "connection",
       .summary = "Describes the connection.",
       .since = "6.2.0",
       .complexity = "O(1)",
       .tips = "nondeterministic_output"},
      {.name = "list",
       .arity = -2,
       .flags = kOthers,
       .keys = {},
       .local = client_list,
       .group = "connection",
       .summary = "Describes the connections of this node.",
       .since = "2.4.0",
       .complexity = "O(N) where N is the number of client connections",
       .arguments = kListArguments,
       .tips = "nondeterministic_output"},
      {.name = "kill",
       .arity = -3,
       .flags = kOthers,
       .keys = {},
       .local = client_kill,
       .group = "connection",
       .summary = "Closes connections of this node.",
       .since = "2.4.0",
       .complexity = "O(N) where N is the number of client connections",
       .arguments = kKillArguments},
      {.name = "no-evict",
       .arity = 3,
       .flags = kOthers,
       .keys = {},
       .local = client_no_evict,
       .group = "connection",
       .summary = "Marks the connection as one not to be evicted.",
       .since = "7.0.0",
       .complexity = "O(1)",
       .arguments = kSwitchArguments,
       .remark = "Clients are never evicted: each has limits of its own."},
      {.name = "no-touch",
       .arity = 3,
       .flags = kOwn,
       .keys = {},
       .local = client_no_touch,
       .group = "connection",
       .summary = "Keeps reads of the connection from counting as uses of their keys.",
       .since = "7.2.0",
       .complexity = "O(1)",
       .arguments = kSwitchArguments,
       .remark = "Reads never change when a key was last used."},
      {.name = "reply",
       .arity = 3,
       .flags = kOwn | kBarrier,
       .keys = {},
       .local = client_reply,
       .group = "connection",
       .summary = "Turns the replies on and off, or skips the next one.",
       .since = "3.2.0",
       .complexity = "O(1)",
       .arguments = kReplyArguments},
      {.name = "help",
       .arity = 2,
       .flags = kLoading | kStale,
       .keys = {},
       .local = client_help,
       .group = "connection",
       .summary = "Prints this help.",
       .since = "5.0.0",
       .complexity = "O(1)"},
  };
  return kSubcommands;
}

}  // namespace raftkv::server
