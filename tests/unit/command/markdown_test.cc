// docs/commands.md.

#include <algorithm>

#include "server/command/command.h"

namespace raftkv::server {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

// Bars that part cells: not those that are escaped.
size_t bars_in(const std::string& line) {
  size_t bars = 0;
  for (size_t i = 0; i < line.size(); ++i)
    bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\');
  return bars;
}

TEST(Markdown, HasARowForEveryCommandAndSubcommand) {
  const std::string text = commands_markdown(CommandTable::instance());
  for (const CommandSpec* spec : CommandTable::instance().all()) {
    std::string name = spec->name;
    std::ranges::transform(name, name.begin(), ::toupper);
    EXPECT_THAT(text, testing::HasSubstr("| `" + name + "` |"));
    for (const CommandSpec& subcommand : spec->subcommands) {
      std::string second = subcommand.name;
      std::ranges::transform(second, second.begin(), ::toupper);
      EXPECT_THAT(text, testing::HasSubstr("| `" + name + " " + second + "` |"));
    }
  }
}

TEST(Markdown, HasRowsOfEqualWidthBehindAHeading) {
  const std::vector<std::string> lines = lines_of(commands_markdown(CommandTable::instance()));
  size_t rows = 0;
  for (const std::string& line : lines) {
    if (!line.starts_with("|")) continue;
    EXPECT_EQ(bars_in(line), 8u) << line;
    ++rows;
  }
  EXPECT_GT(rows, CommandTable::instance().all().size());
  EXPECT_EQ(lines.front(), "# Commands");
  EXPECT_EQ(std::ranges::count(lines, "## String"), 1);
  EXPECT_EQ(std::ranges::count(lines, "## Generic"), 1);
}

TEST(Markdown, IsTheSameEveryTime) {
  EXPECT_EQ(commands_markdown(CommandTable::instance()),
            commands_markdown(CommandTable::instance()));
}

}  // namespace
}  // namespace raftkv::server
