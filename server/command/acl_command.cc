// ACL: there is one user, "default", who has no password and may do everything.

#include <fmt/format.h>

#include <algorithm>

#include "server/command/describe.h"
#include "server/command/introspection_command.h"
#include "server/command/local_text.h"

namespace raftkv::server {
namespace {

constexpr char kDefaultUser[] = "default";

void acl_whoami(LocalContext& context) {
  context.reply.bulk(kDefaultUser);
}

void acl_users(LocalContext& context) {
  context.reply.array(1);
  context.reply.bulk(kDefaultUser);
}

void acl_list(LocalContext& context) {
  context.reply.array(1);
  context.reply.bulk("user default on nopass ~* &* +@all");
}

// All that Redis has, also those that no command here is in: a tool may ask for any of them.
constexpr std::string_view kCategories[] = {
    "keyspace", "read",   "write",    "set",         "sortedset",  "list",        "hash",
    "string",   "bitmap", "geo",      "hyperloglog", "stream",     "pubsub",      "admin",
    "fast",     "slow",   "blocking", "dangerous",   "connection", "transaction", "scripting"};

void add_commands_of(std::string_view category, const CommandSpec* parent, const CommandSpec& spec,
                     std::vector<std::string>& names) {
  const std::vector<std::string_view> categories = category_names(spec);
  if (std::ranges::any_of(categories, [&](std::string_view one) {
        return one.substr(1) == category;  // "@read"
      })) {
    names.push_back(NamedCommand{parent, &spec}.full_name());
  }
  for (const CommandSpec& subcommand : spec.subcommands) {
    add_commands_of(category, &spec, subcommand, names);
  }
}

void acl_cat(LocalContext& context) {
  if (context.args.size() > 3) return reply_too_many_arguments(context);
  if (context.args.size() == 2) {
    context.reply.array(std::size(kCategories));
    for (const std::string_view category : kCategories) context.reply.bulk(category);
    return;
  }
  const std::string category = lower_word(context.args[2]);
  if (std::ranges::find(kCategories, category) == std::end(kCategories)) {
    return context.reply.error(fmt::format("ERR Unknown category '{}'", context.args[2]));
  }
  std::vector<std::string> names;
  for (const CommandSpec* command : CommandTable::instance().all()) {
    add_commands_of(category, nullptr, *command, names);
  }
  context.reply.array(names.size());
  for (const std::string& name : names) context.reply.bulk(name);
}

void acl_help(LocalContext& context) {
  for (const CommandSpec& command : server_commands()) {
    if (std::string_view(command.name) == "acl") return reply_help(context, command);
  }
}

constexpr ArgDoc kCatArguments[] = {
    {.name = "category", .type = "string", .flags = ArgDoc::kOptional}};

constexpr uint32_t kAnybody = kNoScript | kLoading | kStale;

}  // namespace

std::span<const CommandSpec> acl_subcommands() {
  static const CommandSpec kSubcommands[] = {
      {.name = "whoami",
       .arity = 2,
       .flags = kAnybody,
       .keys = {},
       .local = acl_whoami,
       .group = "server",
       .summary = "Tells the name of the connection's user.",
       .since = "6.0.0",
       .complexity = "O(1)",
       .remark = "Always `default`."},
      {.name = "users",
       .arity = 2,
       .flags = kAnybody | kAdmin,
       .keys = {},
       .local = acl_users,
       .group = "server",
       .summary = "Lists the names of the users.",
       .since = "6.0.0",
       .complexity = "O(1)",
       .remark = "There is one user, `default`."},
      {.name = "list",
       .arity = 2,
       .flags = kAnybody | kAdmin,
       .keys = {},
       .local = acl_list,
       .group = "server",
       .summary = "Lists the rules of the users.",
       .since = "6.0.0",
       .complexity = "O(1)",
       .remark = "There is one user, `default`, who may do everything."},
      {.name = "cat",
       .arity = -2,
       .flags = kAnybody,
       .keys = {},
       .local = acl_cat,
       .group = "server",
       .summary = "Lists the categories of commands, or the commands of one.",
       .since = "6.0.0",
       .complexity = "O(N) where N is the number of commands",
       .arguments = kCatArguments},
      {.name = "help",
       .arity = 2,
       .flags = kLoading | kStale,
       .keys = {},
       .local = acl_help,
       .group = "server",
       .summary = "Prints this help.",
       .since = "6.0.0",
       .complexity = "O(1)"},
  };
  return kSubcommands;
}

}  // namespace raftkv::server
