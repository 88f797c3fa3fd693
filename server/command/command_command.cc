// COMMAND and its subcommands: what the table knows, told to clients.

#include <algorithm>

#include "server/command/describe.h"
#include "server/command/doc_args.h"
#include "server/command/glob.h"
#include "server/command/host.h"
#include "server/command/local_text.h"

namespace raftkv::server {
namespace {

const CommandTable& table() {
  return CommandTable::instance();
}

void reply_all_infos(LocalContext& context) {
  context.reply.array(table().all().size());
  for (const CommandSpec* spec : table().all()) reply_info(context.reply, {nullptr, spec});
}

void command_count(LocalContext& context) {
  context.reply.integer(static_cast<int64_t>(table().all().size()));
}

void command_info(LocalContext& context) {
  const Args names = context.args.subspan(std::min<size_t>(2, context.args.size()));
  if (names.empty()) return reply_all_infos(context);
  context.reply.array(names.size());
  for (const std::string_view name : names) {
    const NamedCommand command = find_named(table(), name);
    if (command.spec) {
      reply_info(context.reply, command);
    } else {
      context.reply.null();
    }
  }
}

// Unlike INFO, names that are not there are left out.
void command_docs(LocalContext& context) {
  std::vector<NamedCommand> commands;
  for (const std::string_view name : context.args.subspan(2)) {
    const NamedCommand command = find_named(table(), name);
    if (command.spec) commands.push_back(command);
  }
  if (context.args.size() == 2) {
    for (const CommandSpec* spec : table().all()) commands.push_back({nullptr, spec});
  }
  context.reply.map(commands.size());
  for (const NamedCommand& command : commands) reply_docs(context.reply, command);
}

// --- keys of a command ----------------------------------------------------------------------

bool has_keys(const CommandSpec& spec) {
  return spec.keys.first > 0;
}

// The command whose keys are asked for; `args` become those of the carried one if it carries one.
// Null after an error reply.
const CommandSpec* keyed_command_or_reply(LocalContext& context, Args& args) {
  const CommandSpec* spec = table().resolve(args);
  if (spec) {
    const Carried call = carried_by(*spec, args);
    spec = call.spec;
    args = call.args;
  }
  if (!spec) {
    context.reply.error("ERR Invalid command specified");
  } else if (!has_keys(*spec)) {
    context.reply.error("ERR The command has no key arguments");
  } else if (!arity_fits(*spec, args.size())) {
    context.reply.error("ERR Invalid number of arguments specified for command");
  } else {
    return spec;
  }
  return nullptr;
}

void command_getkeys(LocalContext& context) {
  Args args = context.args.subspan(2);
  const CommandSpec* spec = keyed_command_or_reply(context, args);
  if (!spec) return;
  context.reply.array(key_range(*spec, args.size()).count);
  for_each_key(*spec, args, [&](std::string_view key) { context.reply.bulk(key); });
}

// What this very call does with its `ordinal`th key.
uint32_t access_of(const CommandSpec& spec, Args args, size_t ordinal) {
  const uint32_t access =
      ordinal == 1 && spec.keys.second_access ? spec.keys.second_access : spec.keys.access;
  if (!(access & kKeyVariable)) return access;
  const size_t options = spec.keys.first + 2;  // behind the key and its new value
  const bool gets = args.size() > options &&
                    std::ranges::any_of(args.subspan(options), [](std::string_view word) {
                      return same_word(word, "GET");
                    });
  return gets ? access & ~kKeyVariable : kKeyOw | kKeyUpdate;
}

void command_getkeysandflags(LocalContext& context) {
  Args args = context.args.subspan(2);
  const CommandSpec* spec = keyed_command_or_reply(context, args);
  if (!spec) return;
  const KeyRange range = key_range(*spec, args.size());
  context.reply.array(range.count);
  for (size_t i = 0; i < range.count; ++i) {
    context.reply.array(2);
    context.reply.bulk(args[range.first + i * range.step]);
    const std::vector<std::string_view> names = key_access_names(access_of(*spec, args, i));
    context.reply.set(names.size());
    for (const std::string_view name : names) context.reply.simple(name);
  }
}

// --- COMMAND LIST ---------------------------------------------------------------------------

enum class ListFilter : uint8_t { kNone, kModule, kCategory, kPattern };

bool is_listed(const NamedCommand& command, ListFilter filter, std::string_view value) {
  switch (filter) {
    case ListFilter::kNone:
      return true;
    case ListFilter::kModule:
      return false;  // no command comes from a module
    case ListFilter::kCategory:
      return std::ranges::any_of(category_names(*command.spec), [&](std::string_view name) {
        return same_word(name.substr(1), value);
      });
    case ListFilter::kPattern:
      return glob_match(value, command.full_name(), Case::kIgnored);
  }
  return false;
}

void command_list(LocalContext& context) {
  const Args args = context.args;
  ListFilter filter = ListFilter::kNone;
  std::string_view value;
  if (args.size() == 5 && same_word(args[2], "FILTERBY")) {
    if (same_word(args[3], "MODULE")) filter = ListFilter::kModule;
    if (same_word(args[3], "ACLCAT")) filter = ListFilter::kCategory;
    if (same_word(args[3], "PATTERN")) filter = ListFilter::kPattern;
    value = args[4];
  }
  if (args.size() > 2 && filter == ListFilter::kNone) return context.reply.error(kSyntaxError);
  std::vector<std::string> names;
  const auto consider = [&](const NamedCommand& command) {
    if (is_listed(command, filter, value)) names.push_back(command.full_name());
  };
  for (const CommandSpec* spec : table().all()) {
    consider({nullptr, spec});
    for (const CommandSpec& subcommand : spec->subcommands) consider({spec, &subcommand});
  }
  context.reply.array(names.size());
  for (const std::string& name : names) context.reply.bulk(name);
}

void command_help(LocalContext& context) {
  reply_help(context, *table().find("command"));
}

// --- declarations ---------------------------------------------------------------------------

constexpr uint32_t kAnytime = kLoading | kStale | kConnectionCategory;

constexpr ArgDoc kNamesArgument[] = {
    {.name = "command-name", .type = "string", .flags = ArgDoc::kOptional | ArgDoc::kMultiple}};
constexpr ArgDoc kCallArguments[] = {
    {.name = "command", .type = "string"},
    {.name = "arg", .type = "string", .flags = ArgDoc::kOptional | ArgDoc::kMultiple}};
constexpr ArgDoc kListFilters[] = {{.name = "module-name", .type = "string", .token = "MODULE"},
                                   {.name = "category", .type = "string", .token = "ACLCAT"},
                                   {.name = "pattern", .type = "pattern", .token = "PATTERN"}};
constexpr ArgDoc kListArguments[] = {{.name = "filterby",
                                      .type = "oneof",
                                      .token = "FILTERBY",
                                      .flags = ArgDoc::kOptional,
                                      .children = kListFilters}};

constexpr CommandSpec subcommand(const char* name, int arity, LocalHandler handler,
                                 const char* summary, const char* since, const char* complexity,
                                 std::span<const ArgDoc> arguments = {}, const char* tips = "") {
  return {.name = name,
          .arity = arity,
          .flags = kAnytime,
          .keys = {},
          .local = handler,
          .group = "server",
          .summary = summary,
          .since = since,
          .complexity = complexity,
          .arguments = arguments,
          .tips = tips};
}

constexpr char kAnyOrder[] = "nondeterministic_output_order";

constexpr CommandSpec kSubcommands[] = {
    subcommand("count", 2, command_count, "Returns the number of commands.", "2.8.13", "O(1)"),
    subcommand("docs", -2, command_docs, "Returns the documentation of some or all commands.",
               "7.0.0", "O(N) with N commands", kNamesArgument, kAnyOrder),
    subcommand("getkeys", -4, command_getkeys, "Returns the keys among the arguments of a call.",
               "2.8.13", "O(N) with N arguments", kCallArguments),
    subcommand("getkeysandflags", -4, command_getkeysandflags,
               "Returns the keys among the arguments of a call, and what it does with them.",
               "7.0.0", "O(N) with N arguments", kCallArguments),
    subcommand("help", 2, command_help, "Lists the subcommands.", "5.0.0", "O(1)"),
    subcommand("info", -2, command_info, "Returns the facts of some or all commands.", "2.8.13",
               "O(N) with N commands", kNamesArgument, kAnyOrder),
    subcommand("list", -2, command_list, "Returns the names of some or all commands.", "7.0.0",
               "O(N) with N commands", kListArguments, kAnyOrder),
};

}  // namespace

std::span<const CommandSpec> command_commands() {
  static constexpr CommandSpec kCommands[] = {
      {.name = "command",
       .arity = -1,
       .flags = kAnytime,
       .keys = {},
       .local = command_info,
       .group = "server",
       .summary = "Returns the facts of all commands.",
       .since = "2.8.13",
       .complexity = "O(N) with N commands",
       .subcommands = kSubcommands,
       .tips = kAnyOrder},
  };
  return kCommands;
}

}  // namespace raftkv::server
