#include "client/cli.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "client/commands.h"

namespace raftkv::client {
namespace {

struct Entry {
  std::string_view name;
  std::string_view summary;
  std::string_view details;
  std::unique_ptr<CliCommand> (*make)();
};

constexpr std::array kCommands = {
    Entry{"status", "who leads, and how far each node is",
          "Asks every node for itself. Ends with 0 if a leader is known and a majority is up.",
          make_status_command},
    Entry{"put", "write a key", "Prints OK once a majority has it on disk.", make_put_command},
    Entry{"get", "read a key",
          "Prints the newest value; (nil) and exit code 1 if there is no such key.",
          make_get_command},
    Entry{"del", "delete a key", "Prints 1 if the key was there, 0 if not.", make_del_command},
    Entry{"incr", "add to a number", "Prints the new value. A missing key counts as 0.",
          make_incr_command},
    Entry{
        "bench", "many writes and reads, and how long they took",
        "Counts an operation only when it was acknowledged. Latency is from sending to the reply;\n"
        "with --pipeline, to the last reply of its batch.",
        make_bench_command},
    Entry{"members list", "who belongs to the cluster", "As the leader sees it.",
          make_members_list_command},
    Entry{"members add", "add a node",
          "Start it first: raftkv-server --join --node_id N --listen HOST:PORT --cluster_id ID.\n"
          "Waits until it has caught up and votes. Repeating the command is safe.",
          make_members_add_command},
    Entry{"members remove", "remove a node",
          "The leader, too: it hands over first. Repeat it only if the outcome is unknown.",
          make_members_remove_command},
    Entry{"members promote", "let a learner vote", "Needed only after add --no-promote.",
          make_members_promote_command},
    Entry{"members replace", "put a new node in the place of another",
          "Adds the new one, waits until it votes, then removes the old one; with the old one's\n"
          "addresses the other way round. Repeating the command is safe.",
          make_members_replace_command},
    Entry{"members update", "tell the others the new addresses of a node",
          "Do so before it is started there.", make_members_update_command},
    Entry{"transfer", "hand over leadership",
          "Clients wait for some milliseconds, and no command fails.", make_transfer_command},
    Entry{"snapshot", "have a node take a snapshot",
          "Waits until it is on the node's disk. Costs nothing if there is nothing new.",
          make_snapshot_command},
    Entry{"export", "write the data of the running cluster to an RDB file",
          "Has a node take a snapshot, downloads it, and verifies it. Stock Redis loads the file.",
          make_export_command},
    Entry{
        "import", "bring in the keys of a Redis RDB file",
        "Checks the whole file first: a key that has no place here is named, and nothing is sent.\n"
        "Keys that the cluster has already are left alone and counted, unless --replace is given.",
        make_import_command},
    Entry{"check", "is a recorded history linearizable?",
          "Asks no server. PASS ends with 0, FAIL with 1 and the smallest set of operations that\n"
          "contradict each other, UNDECIDED (a limit was reached) and malformed input with 2.",
          make_check_command},
};

constexpr std::string_view kExitCodes =
    "Exit codes: 0 done, 1 failed (nothing was changed) or no such key, 2 wrong command line,\n"
    "3 outcome unknown: the write may or may not have happened.\n";

// The command that `words` begin with, one or two of them.
const Entry* find_command(std::span<const std::string> words) {
  const std::string two = words.size() > 1 ? words[0] + " " + words[1] : "";
  for (const Entry& entry : kCommands) {
    if (entry.name == words[0] || entry.name == two) return &entry;
  }
  return nullptr;
}

size_t words_of(const Entry& entry) {
  return entry.name.find(' ') == std::string_view::npos ? 1 : 2;
}

// What is wrong with words that are no command.
std::string unknown_command(std::span<const std::string> words) {
  std::string possible;
  for (const Entry& entry : kCommands) {
    if (entry.name.starts_with(words[0] + " ")) {
      possible += fmt::format("{}{}", possible.empty() ? "" : ", ", entry.name);
    }
  }
  if (possible.empty()) return fmt::format("unknown command '{}'", words[0]);
  return fmt::format("'{}' is no whole command: {}",
                     fmt::join(words.first(std::min<size_t>(2, words.size())), " "), possible);
}

std::string overview() {
  std::string text =
      "raftkv-cli <command> [--flag value ...]: talks to a RaftKV cluster.\n\nCommands:\n";
  for (const Entry& entry : kCommands) {
    text += fmt::format("  {:<16} {}\n", entry.name, entry.summary);
  }
  text +=
      "\nraftkv-cli help <command> tells its flags. For any other Redis command use redis-cli.\n";
  text += kExitCodes;
  return text;
}

int usage_error(const Console& console, std::string_view what, std::string_view see) {
  console.err(fmt::format("raftkv-cli: {}\nSee: raftkv-cli {}\n", what, see));
  return kExitUsage;
}

std::string command_help(const Entry& entry, const Flags& flags) {
  return fmt::format("raftkv-cli {}: {}.\n{}\n\nFlags (--flag value or --flag=value):\n{}\n{}",
                     entry.name, entry.summary, entry.details, flags.help(), kExitCodes);
}

int run_command(const Entry& entry, std::span<const std::string> args, const Console& console) {
  const std::unique_ptr<CliCommand> command = entry.make();
  CommonFlags common;
  Flags flags;
  command->declare(flags);
  common.declare(flags);
  for (const std::string& arg : args) {
    if (arg == "--help" || arg == "-h") {
      console.out(command_help(entry, flags));
      return kExitOk;
    }
  }
  const std::string see = fmt::format("help {}", entry.name);
  if (const auto parsed = flags.parse(args); !parsed) {
    return usage_error(console, fmt::format("{}: {}", entry.name, parsed.error()), see);
  }
  const auto nodes = common.addresses();
  if (!nodes) {
    return usage_error(console, fmt::format("{}: --nodes: {}", entry.name, nodes.error()), see);
  }
  return command->run(console, *nodes, common);
}

}  // namespace

CommonFlags::CommonFlags() {
  const char* from_environment = std::getenv("RAFTKV_NODES");
  const bool set = from_environment != nullptr && *from_environment != '\0';
  nodes = set ? from_environment : "127.0.0.1:7001";
}

void CommonFlags::declare(Flags& flags) {
  flags.text("nodes", &nodes,
             "host:port of the nodes, separated by commas; one that is up is enough to find the\n"
             "      others. The environment variable RAFTKV_NODES sets the default");
  flags.number("timeout_ms", &timeout_ms, 1, 3'600'000,
               "how long one command may take with all its retries, in milliseconds");
  flags.toggle("json", &json, "print one JSON object instead of text");
}

std::expected<std::vector<Address>, std::string> CommonFlags::addresses() const {
  return parse_addresses(nodes);
}

int run_cli(std::span<const std::string> args, const Console& console) {
  const std::string first = args.empty() ? "" : args.front();
  if (first == "--help" || first == "-h" || (first == "help" && args.size() == 1)) {
    console.out(overview());
    return kExitOk;
  }
  if (first.empty()) return usage_error(console, "no command is given", "--help");
  const bool help = first == "help";
  const std::span<const std::string> words = help ? args.subspan(1) : args;
  const Entry* entry = find_command(words);
  if (entry == nullptr) return usage_error(console, unknown_command(words), "--help");
  if (help) {
    const std::string flag = "--help";
    return run_command(*entry, {&flag, 1}, console);
  }
  return run_command(*entry, words.subspan(words_of(*entry)), console);
}

}  // namespace raftkv::client
