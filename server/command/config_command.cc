#include "server/command/config_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "server/command/glob.h"
#include "server/command/local_text.h"

namespace raftkv::server {
namespace {

// What is true of every node, in the words of Redis's own settings. They can't be changed.
struct Fact {
  const char* name;
  const char* value;
};
constexpr Fact kFacts[] = {
    // A write is on disk on a majority before its reply: what appendfsync always means, and more.
    {"appendonly", "yes"},
    {"appendfsync", "always"},
    {"save", ""},
    {"databases", "1"},
    {"cluster-enabled", "yes"},
    {"cluster-require-full-coverage", "yes"},
    {"replica-read-only", "yes"},
    {"slave-read-only", "yes"},
    {"maxmemory", "0"},
    {"maxmemory-policy", "noeviction"},
    {"notify-keyspace-events", ""},
    {"requirepass", ""},
    {"tls-port", "0"},
    {"unixsocket", ""},
    {"daemonize", "no"},
    {"supervised", "no"},
    {"activedefrag", "no"},
    {"latency-monitor-threshold", "0"},
    {"latency-tracking", "no"},
    {"slowlog-log-slower-than", "-1"},
    {"slowlog-max-len", "0"},
    {"timeout", "0"},
    {"maxclients", "10000"},
    {"proto-max-bulk-len", "536870912"},
    {"client-query-buffer-limit", "1073741824"},
};

struct Change {
  std::string name;
  std::string_view value;
  std::string before;
  bool writable = false;
};

std::string set_failure(std::string_view name, std::string_view reason) {
  return fmt::format("ERR CONFIG SET failed (possibly related to argument '{}') - {}", name,
                     reason);
}

// The changes that a CONFIG SET asks for, or why it may not have them: all is checked before
// anything is changed.
std::expected<std::vector<Change>, std::string> plan_changes(const Host& host, Args pairs) {
  const std::vector<Setting> settings = all_settings(host);
  std::vector<Change> changes;
  for (size_t i = 0; i + 1 < pairs.size(); i += 2) {
    const std::string name = lower_word(pairs[i]);
    const auto setting = std::ranges::find(settings, name, &Setting::name);
    if (setting == settings.end()) {
      return std::unexpected(
          fmt::format("ERR Unknown option or number of arguments for CONFIG SET - '{}'", pairs[i]));
    }
    if (std::ranges::find(changes, name, &Change::name) != changes.end()) {
      return std::unexpected(set_failure(name, "duplicate parameter"));
    }
    // Tools set what they rely on ("save" to ""); where that is so anyway, all is well.
    if (!setting->writable && !same_word(setting->value, pairs[i + 1])) {
      return std::unexpected(set_failure(name, "can't set immutable config"));
    }
    changes.push_back({name, pairs[i + 1], setting->value, setting->writable});
  }
  return changes;
}

void config_get(LocalContext& context) {
  const Args patterns = context.args.subspan(2);
  std::vector<Setting> found = all_settings(context.host);
  std::erase_if(found, [&](const Setting& setting) {
    return std::ranges::none_of(patterns, [&](std::string_view pattern) {
      return glob_match(pattern, setting.name, Case::kIgnored);
    });
  });
  context.reply.map(found.size());
  for (const Setting& setting : found) {
    context.reply.bulk(setting.name);
    context.reply.bulk(setting.value);
  }
}

void config_set(LocalContext& context) {
  const Args pairs = context.args.subspan(2);
  if (pairs.size() % 2 != 0) return context.reply.error(kSyntaxError);
  const std::expected<std::vector<Change>, std::string> changes = plan_changes(context.host, pairs);
  if (!changes) return context.reply.error(changes.error());
  for (size_t i = 0; i < changes->size(); ++i) {
    const Change& change = (*changes)[i];
    if (!change.writable) continue;
    const auto result = context.host.change_setting(change.name, change.value);
    if (result) continue;
    // All or nothing: what was valid before is valid still.
    for (const Change& done : std::span(*changes).first(i)) {
      if (!done.writable) continue;
      // What held until now can't be refused.
      [[maybe_unused]] const auto undone = context.host.change_setting(done.name, done.before);
    }
    return context.reply.error(result.error());
  }
  context.reply.ok();
}

void config_resetstat(LocalContext& context) {
  context.host.stats().reset();
  context.reply.ok();
}

void config_rewrite(LocalContext& context) {
  context.reply.error("ERR The server is running without a config file");
}

void config_help(LocalContext& context) {
  for (const CommandSpec& command : server_commands()) {
    if (std::string_view(command.name) == "config") return reply_help(context, command);
  }
}

constexpr ArgDoc kGetArguments[] = {
    {.name = "parameter", .type = "string", .flags = ArgDoc::kMultiple}};
constexpr ArgDoc kSetPair[] = {{.name = "parameter", .type = "string"},
                               {.name = "value", .type = "string"}};
constexpr ArgDoc kSetArguments[] = {
    {.name = "parameter_value", .type = "block", .flags = ArgDoc::kMultiple, .children = kSetPair}};

constexpr uint32_t kAdministration = kAdmin | kNoScript | kLoading | kStale;

}  // namespace

std::vector<Setting> all_settings(const Host& host) {
  std::map<std::string, Setting> merged;
  for (const Fact& fact : kFacts) merged[fact.name] = Setting{fact.name, fact.value, false};
  for (const Member& member : host.members()) {
    if (member.id != host.self_id()) continue;
    merged["port"] = Setting{"port", std::to_string(member.client_port), false};
    merged["bind"] = Setting{"bind", member.client_host, false};
  }
  for (Setting& setting : host.settings()) {
    std::string name = setting.name;
    merged[std::move(name)] = std::move(setting);
  }
  std::vector<Setting> settings;
  settings.reserve(merged.size());
  for (auto& [name, setting] : merged) settings.push_back(std::move(setting));
  return settings;
}

std::string setting_value(const Host& host, std::string_view name) {
  const std::vector<Setting> settings = all_settings(host);
  const auto found = std::ranges::find(settings, name, &Setting::name);
  return found == settings.end() ? std::string() : found->value;
}

std::span<const CommandSpec> config_subcommands() {
  static const CommandSpec kSubcommands[] = {
      {.name = "get",
       .arity = -3,
       .flags = kAdministration,
       .keys = {},
       .local = config_get,
       .group = "server",
       .summary = "Tells the settings whose names match any of the patterns.",
       .since = "2.0.0",
       .complexity = "O(N) where N is the number of settings",
       .arguments = kGetArguments},
      {.name = "set",
       .arity = -4,
       .flags = kAdministration,
       .keys = {},
       .local = config_set,
       .group = "server",
       .summary = "Changes settings of this node until it ends.",
       .since = "2.0.0",
       .complexity = "O(N) where N is the number of settings",
       .arguments = kSetArguments,
       .remark = "A setting that can't be changed accepts the value that it has.",
       .tips = "request_policy:all_nodes response_policy:all_succeeded"},
      {.name = "resetstat",
       .arity = 2,
       .flags = kAdministration,
       .keys = {},
       .local = config_resetstat,
       .group = "server",
       .summary = "Sets the counters of INFO to zero.",
       .since = "2.0.0",
       .complexity = "O(1)"},
      {.name = "rewrite",
       .arity = 2,
       .flags = kAdministration,
       .keys = {},
       .local = config_rewrite,
       .group = "server",
       .summary = "Would write the settings into the configuration file.",
       .since = "2.8.0",
       .complexity = "O(1)",
       .remark = "Always an error: settings come from flags, a node writes no file for them."},
      {.name = "help",
       .arity = 2,
       .flags = kLoading | kStale,
       .keys = {},
       .local = config_help,
       .group = "server",
       .summary = "Prints this help.",
       .since = "5.0.0",
       .complexity = "O(1)"},
  };
  return kSubcommands;
}

}  // namespace raftkv::server
