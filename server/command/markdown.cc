// docs/commands.md from the table.

#include <fmt/format.h>

#include <map>

#include "server/command/describe.h"

namespace raftkv::server {
namespace {

// The order of the chapters; a family that is not named here comes behind them.
constexpr std::string_view kFamilies[] = {"string", "generic", "transactions", "connection",
                                          "server", "cluster", "raft"};

constexpr std::string_view kPreface =
    "# Commands\n"
    "\n"
    "Generated from the command table by `raftkv-server --print_commands_md`; do not edit.\n"
    "\n"
    "*Arity* counts the command's own name; a negative number means at least that many. *Since* is "
    "the version of Redis that has the command. *Remarks* tell what differs from Redis.\n";

// A cell of a table may hold neither a bar nor a line's end.
std::string cell(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '|') result += '\\';
    result += c == '\n' ? ' ' : c;
  }
  return result;
}

std::string title_of(std::string_view family) {
  std::string title(family);
  if (!title.empty() && title[0] >= 'a' && title[0] <= 'z') title[0] += 'A' - 'a';
  return title;
}

std::string upper_name(const NamedCommand& command) {
  std::string name = command.full_name();
  for (char& c : name) {
    if (c >= 'a' && c <= 'z') c += 'A' - 'a';
    if (c == '|') c = ' ';
  }
  return name;
}

std::string row(const NamedCommand& command) {
  const CommandSpec& spec = *command.spec;
  return fmt::format("| `{}` | {} | {} | {} | {} | {} | {} |\n", upper_name(command), spec.arity,
                     cell(fmt::format("{}", fmt::join(flag_names(spec), " "))), cell(spec.summary),
                     cell(spec.complexity), cell(spec.since), cell(spec.remark));
}

std::string chapter(std::string_view family, const std::vector<NamedCommand>& commands) {
  std::string text = fmt::format("\n## {}\n\n", title_of(family));
  text += "| Command | Arity | Flags | Summary | Complexity | Since | Remarks |\n";
  text += "|---|---|---|---|---|---|---|\n";
  for (const NamedCommand& command : commands) text += row(command);
  return text;
}

}  // namespace

std::string commands_markdown(const CommandTable& table) {
  std::map<std::string_view, std::vector<NamedCommand>> families;
  for (const CommandSpec* spec : table.all()) {
    std::vector<NamedCommand>& family = families[spec->group];
    family.push_back({nullptr, spec});
    for (const CommandSpec& subcommand : spec->subcommands) family.push_back({spec, &subcommand});
  }
  std::string text(kPreface);
  for (const std::string_view name : kFamilies) {
    const auto found = families.find(name);
    if (found == families.end()) continue;
    text += chapter(name, found->second);
    families.erase(found);
  }
  for (const auto& [name, commands] : families) text += chapter(name, commands);
  return text;
}

}  // namespace raftkv::server
