#include "server/command/describe.h"

#include <array>

#include "server/command/local_text.h"

namespace raftkv::server {
namespace {

struct Named {
  uint32_t bit;
  std::string_view name;
};

constexpr Named kFlagNames[] = {
    {kWrite, "write"},
    {kReadonly, "readonly"},
    {kDenyOom, "denyoom"},
    {kAdmin, "admin"},
    {kPubsub, "pubsub"},
    {kNoScript, "noscript"},
    {kBlocking, "blocking"},
    {kLoading, "loading"},
    {kStale, "stale"},
    {kSkipMonitor, "skip_monitor"},
    {kSkipSlowlog, "skip_slowlog"},
    {kFast, "fast"},
    {kNoAuth, "no_auth"},
    {kNoMulti, "no_multi"},
    {kMovableKeys, "movablekeys"},
    {kAllowBusy, "allow_busy"},
};

constexpr Named kAccessNames[] = {
    {kKeyRo, "RO"},         {kKeyRw, "RW"},         {kKeyOw, "OW"},
    {kKeyRm, "RM"},         {kKeyAccess, "access"}, {kKeyUpdate, "update"},
    {kKeyInsert, "insert"}, {kKeyDelete, "delete"}, {kKeyVariable, "variable_flags"},
};

std::vector<std::string_view> names_of(uint32_t bits, std::span<const Named> names) {
  std::vector<std::string_view> result;
  for (const Named& named : names) {
    if (bits & named.bit) result.push_back(named.name);
  }
  return result;
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

void reply_statuses(resp::ReplyWriter& reply, const std::vector<std::string_view>& names) {
  reply.set(names.size());
  for (const std::string_view name : names) reply.simple(name);
}

bool is_container(const CommandSpec& spec) {
  return !spec.subcommands.empty();
}

// --- key specifications ---------------------------------------------------------------------

// One entry of COMMAND INFO's key specifications: "from argument `first` on, up to `last`".
struct KeySpecification {
  uint32_t access;
  int first;
  int last;  // relative to first, or negative: from the end
  int step;
};

std::vector<KeySpecification> specifications_of(const KeySpec& keys) {
  if (keys.first == 0) return {};
  if (keys.second_access != 0) {
    return {{keys.access, keys.first, 0, 1}, {keys.second_access, keys.first + keys.step, 0, 1}};
  }
  return {{keys.access, keys.first, keys.last < 0 ? keys.last : keys.last - keys.first, keys.step}};
}

void reply_integer_pair(resp::ReplyWriter& reply, std::string_view name, int64_t value) {
  reply.bulk(name);
  reply.integer(value);
}

void reply_specification(resp::ReplyWriter& reply, const KeySpecification& specification) {
  reply.map(3);
  reply.bulk("flags");
  reply_statuses(reply, key_access_names(specification.access));
  reply.bulk("begin_search");
  reply.map(2);
  reply.bulk("type");
  reply.bulk("index");
  reply.bulk("spec");
  reply.map(1);
  reply_integer_pair(reply, "index", specification.first);
  reply.bulk("find_keys");
  reply.map(2);
  reply.bulk("type");
  reply.bulk("range");
  reply.bulk("spec");
  reply.map(3);
  reply_integer_pair(reply, "lastkey", specification.last);
  reply_integer_pair(reply, "keystep", specification.step);
  reply_integer_pair(reply, "limit", 0);
}

// --- documentation --------------------------------------------------------------------------

// Name and value pairs of a map whose size is known only at its end.
class PairList {
 public:
  explicit PairList(resp::Protocol protocol) : writer_(bytes_, protocol) {}

  // The value is to be written next.
  resp::ReplyWriter& value_of(std::string_view name) {
    ++pairs_;
    writer_.bulk(name);
    return writer_;
  }

  void text(std::string_view name, std::string_view value) { value_of(name).bulk(value); }

  void write_to(resp::ReplyWriter& reply) const {
    reply.map(pairs_);
    reply.buffer().append(bytes_);
  }

 private:
  std::string bytes_;
  resp::ReplyWriter writer_;
  size_t pairs_ = 0;
};

std::vector<std::string_view> argument_flags(const ArgDoc& argument) {
  constexpr Named kNames[] = {{ArgDoc::kOptional, "optional"},
                              {ArgDoc::kMultiple, "multiple"},
                              {ArgDoc::kMultipleToken, "multiple_token"}};
  return names_of(argument.flags, kNames);
}

// Writes arguments of one level. `keys_seen` counts the keys met so far: where each key has a
// specification of its own, the number of keys before it is that specification's number.
void reply_arguments(resp::ReplyWriter& reply, std::span<const ArgDoc> arguments,
                     bool each_key_specified, int& keys_seen) {
  reply.array(arguments.size());
  for (const ArgDoc& argument : arguments) {
    PairList pairs(reply.protocol());
    pairs.text("name", argument.name);
    pairs.text("type", argument.type);
    if (std::string_view(argument.type) == "key") {
      pairs.value_of("key_spec_index").integer(each_key_specified ? keys_seen : 0);
      ++keys_seen;
    }
    if (argument.token) pairs.text("token", argument.token);
    if (argument.flags) reply_statuses(pairs.value_of("flags"), argument_flags(argument));
    if (!argument.children.empty()) {
      reply_arguments(pairs.value_of("arguments"), argument.children, each_key_specified,
                      keys_seen);
    }
    pairs.write_to(reply);
  }
}

}  // namespace

std::string NamedCommand::full_name() const {
  return parent ? std::string(parent->name) + "|" + spec->name : std::string(spec->name);
}

NamedCommand find_named(const CommandTable& table, std::string_view full_name) {
  const size_t bar = full_name.find('|');
  const CommandSpec* command = table.find(full_name.substr(0, bar));
  if (!command || bar == std::string_view::npos) return {nullptr, command};
  return {command, find_subcommand(*command, full_name.substr(bar + 1))};
}

std::vector<std::string_view> flag_names(const CommandSpec& spec) {
  return names_of(spec.flags, kFlagNames);
}

std::vector<std::string_view> key_access_names(uint32_t access) {
  return names_of(access, kAccessNames);
}

std::vector<std::string_view> category_names(const CommandSpec& spec) {
  const std::string_view group = spec.group;
  // A mere container is called with a subcommand only, and that has categories of its own.
  const bool by_group =
      !(spec.flags & kConnectionCategory) && (!is_container(spec) || spec.data || spec.local);
  const auto has = [&](uint32_t flag) { return (spec.flags & flag) != 0; };
  std::vector<std::string_view> names;
  const auto add = [&](bool condition, std::string_view name) {
    if (condition) names.push_back(name);
  };
  add(has(kKeyspaceCategory) || (by_group && group == "generic"), "@keyspace");
  add(has(kReadonly), "@read");
  add(has(kWrite), "@write");
  add(by_group && group == "string", "@string");
  add(has(kPubsub), "@pubsub");
  add(has(kAdmin), "@admin");
  add(has(kFast), "@fast");
  add(!has(kFast), "@slow");
  add(has(kBlocking), "@blocking");
  add(has(kDangerousCategory) || has(kAdmin), "@dangerous");
  add(has(kConnectionCategory) || (by_group && group == "connection"), "@connection");
  add(by_group && group == "transactions", "@transaction");
  return names;
}

void reply_info(resp::ReplyWriter& reply, const NamedCommand& command) {
  const CommandSpec& spec = *command.spec;
  reply.array(10);
  reply.bulk(command.full_name());
  reply.integer(spec.arity);
  reply_statuses(reply, flag_names(spec));
  reply.integer(spec.keys.first);
  reply.integer(spec.keys.last);
  reply.integer(spec.keys.step);
  reply_statuses(reply, category_names(spec));
  const std::vector<std::string_view> tips = words_of(spec.tips);
  reply.set(tips.size());
  for (const std::string_view tip : tips) reply.bulk(tip);
  const std::vector<KeySpecification> specifications = specifications_of(spec.keys);
  reply.set(specifications.size());
  for (const KeySpecification& one : specifications) reply_specification(reply, one);
  reply.array(spec.subcommands.size());
  for (const CommandSpec& subcommand : spec.subcommands) reply_info(reply, {&spec, &subcommand});
}

void reply_docs(resp::ReplyWriter& reply, const NamedCommand& command) {
  const CommandSpec& spec = *command.spec;
  reply.bulk(command.full_name());
  PairList pairs(reply.protocol());
  pairs.text("summary", spec.summary);
  pairs.text("since", spec.since);
  pairs.text("group", spec.group);
  pairs.text("complexity", spec.complexity);
  if (!std::string_view(spec.deprecated_since).empty()) {
    reply_statuses(pairs.value_of("doc_flags"), {"deprecated"});
    pairs.text("deprecated_since", spec.deprecated_since);
    pairs.text("replaced_by", spec.replaced_by);
  }
  if (!spec.arguments.empty()) {
    int keys_seen = 0;
    reply_arguments(pairs.value_of("arguments"), spec.arguments, spec.keys.second_access != 0,
                    keys_seen);
  }
  if (!spec.subcommands.empty()) {
    resp::ReplyWriter& list = pairs.value_of("subcommands");
    list.map(spec.subcommands.size());
    for (const CommandSpec& subcommand : spec.subcommands) reply_docs(list, {&spec, &subcommand});
  }
  pairs.write_to(reply);
}

}  // namespace raftkv::server
