// Commands about the connection itself: they need neither data nor the cluster.

#include <fmt/format.h>

#include "server/command/client_command.h"
#include "server/command/host.h"
#include "server/command/local_text.h"
#include "server/command/version.h"

namespace raftkv::server {
namespace {

constexpr char kWrongPassword[] = "WRONGPASS invalid username-password pair or user is disabled.";
constexpr char kDefaultUser[] = "default";

void ping(LocalContext& context) {
  if (context.args.size() > 2) {
    context.reply.error("ERR wrong number of arguments for 'ping' command");
  } else if (context.args.size() == 2) {
    context.reply.bulk(context.args[1]);
  } else {
    context.reply.simple("PONG");
  }
}

void echo(LocalContext& context) {
  context.reply.bulk(context.args[1]);
}

// Redis's default user without a password ("nopass") accepts any password given with its name.
bool may_authenticate(std::string_view user) {
  return user == kDefaultUser;
}

void auth(LocalContext& context) {
  if (context.args.size() > 3) return context.reply.error(kSyntaxError);
  if (context.args.size() == 2) {
    return context.reply.error(
        "ERR AUTH <password> called without any password configured for the default user. Are you "
        "sure your configuration is correct?");
  }
  if (!may_authenticate(context.args[1])) return context.reply.error(kWrongPassword);
  context.reply.ok();
}

void hello_reply(LocalContext& context) {
  resp::ReplyWriter reply(context.reply.buffer(), context.client.protocol);
  reply.map(7);
  reply.bulk("server");
  reply.bulk("redis");
  reply.bulk("version");
  reply.bulk(kRedisVersion);
  reply.bulk("proto");
  reply.integer(static_cast<int64_t>(context.client.protocol));
  reply.bulk("id");
  reply.integer(static_cast<int64_t>(context.client.id));
  reply.bulk("mode");
  reply.bulk(kRedisMode);
  reply.bulk("role");
  reply.bulk(context.host.raft_status().role == raft::Role::kLeader ? "master" : "replica");
  reply.bulk("modules");
  reply.array(0);
}

void hello(LocalContext& context) {
  const Args args = context.args;
  resp::Protocol protocol = context.client.protocol;
  if (args.size() >= 2) {
    const std::optional<int64_t> version = parse_integer(args[1]);
    if (!version) {
      return context.reply.error("ERR Protocol version is not an integer or out of range");
    }
    if (*version < 2 || *version > 3) {
      return context.reply.error("NOPROTO unsupported protocol version");
    }
    protocol = static_cast<resp::Protocol>(*version);
  }
  for (size_t i = 2; i < args.size();) {
    if (same_word(args[i], "AUTH") && i + 2 < args.size()) {
      if (!may_authenticate(args[i + 1])) return context.reply.error(kWrongPassword);
      i += 3;
    } else if (same_word(args[i], "SETNAME") && i + 1 < args.size()) {
      if (!set_client_name(context.client, args[i + 1])) return context.reply.error(kBadClientName);
      i += 2;
    } else {
      return context.reply.error(fmt::format("ERR Syntax error in HELLO option '{}'", args[i]));
    }
  }
  context.client.protocol = protocol;
  hello_reply(context);
}

void select(LocalContext& context) {
  const std::optional<int64_t> index = parse_integer(context.args[1]);
  if (!index) return context.reply.error(kNotAnInteger);
  if (*index < INT32_MIN || *index > INT32_MAX) {
    return context.reply.error(
        "ERR value is out of range, value must between -2147483648 and 2147483647");
  }
  if (*index != 0) return context.reply.error("ERR SELECT is not allowed in cluster mode");
  context.reply.ok();
}

void quit(LocalContext& context) {
  context.client.close_after_reply = true;
  context.reply.ok();
}

void reset(LocalContext& context) {
  ClientState& client = context.client;
  client.reset_requested = true;
  client.name.clear();
  client.protocol = resp::Protocol::kResp2;
  client.reply_mode = ReplyMode::kOn;
  client.readonly = false;
  client.no_evict = false;
  client.no_touch = false;
  context.reply.simple("RESET");
}

constexpr ArgDoc kPingArguments[] = {
    {.name = "message", .type = "string", .flags = ArgDoc::kOptional}};
constexpr ArgDoc kEchoArguments[] = {{.name = "message", .type = "string"}};
constexpr ArgDoc kAuthArguments[] = {
    {.name = "username", .type = "string", .flags = ArgDoc::kOptional},
    {.name = "password", .type = "string"}};
constexpr ArgDoc kSelectArguments[] = {{.name = "index", .type = "integer"}};
constexpr ArgDoc kHelloAuth[] = {{.name = "username", .type = "string"},
                                 {.name = "password", .type = "string"}};
constexpr ArgDoc kHelloOptions[] = {
    {.name = "protover", .type = "integer"},
    {.name = "username_password",
     .type = "block",
     .token = "AUTH",
     .flags = ArgDoc::kOptional,
     .children = kHelloAuth},
    {.name = "clientname", .type = "string", .token = "SETNAME", .flags = ArgDoc::kOptional}};
constexpr ArgDoc kHelloArguments[] = {
    {.name = "arguments", .type = "block", .flags = ArgDoc::kOptional, .children = kHelloOptions}};

constexpr uint32_t kAnytime = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy;

}  // namespace

std::span<const CommandSpec> connection_commands() {
  static const CommandSpec kCommands[] = {
      {.name = "ping",
       .arity = -1,
       .flags = kFast,
       .keys = {},
       .local = ping,
       .group = "connection",
       .summary = "Answers PONG, or the message it was given.",
       .since = "1.0.0",
       .complexity = "O(1)",
       .arguments = kPingArguments,
       .tips = "request_policy:all_shards response_policy:all_succeeded"},
      {.name = "echo",
       .arity = 2,
       .flags = kLoading | kStale | kFast,
       .keys = {},
       .local = echo,
       .group = "connection",
       .summary = "Answers the message it was given.",
       .since = "1.0.0",
       .complexity = "O(1)",
       .arguments = kEchoArguments},
      {.name = "hello",
       .arity = -1,
       .flags = kAnytime | kBarrier,
       .keys = {},
       .local = hello,
       .group = "connection",
       .summary = "Chooses the protocol of the connection, and tells what the server is.",
       .since = "6.0.0",
       .complexity = "O(1)",
       .arguments = kHelloArguments,
       .remark = "There is one user, `default`, without a password."},
      {.name = "auth",
       .arity = -2,
       .flags = kAnytime,
       .keys = {},
       .local = auth,
       .group = "connection",
       .summary = "Says who the client is.",
       .since = "1.0.0",
       .complexity = "O(1)",
       .arguments = kAuthArguments,
       .remark = "There is one user, `default`, without a password."},
      {.name = "select",
       .arity = 2,
       .flags = kLoading | kStale | kFast,
       .keys = {},
       .local = select,
       .group = "connection",
       .summary = "Chooses the database of the connection.",
       .since = "1.0.0",
       .complexity = "O(1)",
       .arguments = kSelectArguments,
       .remark = "There is one database, 0, as in a Redis cluster."},
      {.name = "quit",
       .arity = -1,
       .flags = kAnytime | kBarrier,
       .keys = {},
       .local = quit,
       .group = "connection",
       .summary = "Closes the connection once all its replies are sent.",
       .since = "1.0.0",
       .complexity = "O(1)"},
      {.name = "reset",
       .arity = 1,
       .flags = kAnytime | kBarrier,
       .keys = {},
       .local = reset,
       .group = "connection",
       .summary = "Makes the connection as if it had just been opened.",
       .since = "6.2.0",
       .complexity = "O(1)"},
      {.name = "client",
       .arity = -2,
       .flags = 0,
       .keys = {},
       .group = "connection",
       .summary = "A container for commands about connections.",
       .since = "2.4.0",
       .complexity = "Depends on subcommand.",
       .subcommands = client_subcommands()},
  };
  return kCommands;
}

}  // namespace raftkv::server
