// CLIENT LIST and CLIENT KILL: commands that choose among the connections of the node.

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "server/command/client_command.h"
#include "server/command/local_text.h"

namespace raftkv::server {
namespace {

// Redis's client types. All connections of the client port are normal ones: members of the cluster
// talk to each other on the peer port.
enum class ClientType : uint8_t { kNormal, kMaster, kReplica, kPubsub };

std::optional<ClientType> parse_type(std::string_view word) {
  if (same_word(word, "normal")) return ClientType::kNormal;
  if (same_word(word, "master")) return ClientType::kMaster;
  if (same_word(word, "replica") || same_word(word, "slave")) return ClientType::kReplica;
  if (same_word(word, "pubsub")) return ClientType::kPubsub;
  return std::nullopt;
}

// What must all hold of a connection that CLIENT KILL closes.
struct KillFilter {
  std::optional<uint64_t> id;
  std::optional<ClientType> type;
  std::optional<std::string_view> address;
  std::optional<std::string_view> local_address;
  bool skip_self = true;

  bool admits(const ClientState& client, uint64_t self) const {
    if (skip_self && client.id == self) return false;
    if (id && client.id != *id) return false;
    if (type && *type != ClientType::kNormal) return false;
    if (address && client.address != *address) return false;
    return !local_address || client.local_address == *local_address;
  }
};

using ParseResult = std::expected<void, std::string>;

ParseResult parse_kill_option(KillFilter& filter, std::string_view option, std::string_view value) {
  if (same_word(option, "id")) {
    const std::optional<int64_t> id = parse_integer(value);
    if (!id || *id < 1) return std::unexpected("ERR client-id should be greater than 0");
    filter.id = static_cast<uint64_t>(*id);
  } else if (same_word(option, "type")) {
    filter.type = parse_type(value);
    if (!filter.type) return std::unexpected(fmt::format("ERR Unknown client type '{}'", value));
  } else if (same_word(option, "addr")) {
    filter.address = value;
  } else if (same_word(option, "laddr")) {
    filter.local_address = value;
  } else if (same_word(option, "user")) {
    // Everybody is "default", so that the filter excludes nobody.
    if (value != "default") return std::unexpected(fmt::format("ERR No such user '{}'", value));
  } else if (same_word(option, "skipme") && same_word(value, "yes")) {
    filter.skip_self = true;
  } else if (same_word(option, "skipme") && same_word(value, "no")) {
    filter.skip_self = false;
  } else {
    return std::unexpected(kSyntaxError);
  }
  return {};
}

std::expected<KillFilter, std::string> parse_kill(Args args) {
  KillFilter filter;
  for (size_t i = 2; i < args.size(); i += 2) {
    if (i + 1 == args.size()) return std::unexpected(kSyntaxError);
    ParseResult result = parse_kill_option(filter, args[i], args[i + 1]);
    if (!result) return std::unexpected(std::move(result.error()));
  }
  return filter;
}

// Closes what the filter admits and returns how many that were.
int64_t kill_clients(LocalContext& context, const KillFilter& filter) {
  // First chosen, then closed: a connection may not go while all are being visited.
  std::vector<uint64_t> chosen;
  context.host.for_each_client([&](const ClientState& client) {
    if (filter.admits(client, context.client.id)) chosen.push_back(client.id);
  });
  int64_t killed = 0;
  for (const uint64_t id : chosen) {
    if (id == context.client.id) {
      context.client.close_after_reply = true;  // once it knows how many were closed
      ++killed;
    } else if (context.host.kill_client(id)) {
      ++killed;
    }
  }
  return killed;
}

void reply_lines(LocalContext& context, const std::function<bool(const ClientState&)>& wanted) {
  const uint64_t now_us = context.host.monotonic_us();
  std::string lines;
  context.host.for_each_client([&](const ClientState& client) {
    if (wanted(client)) lines += client_line(client, now_us) + "\n";
  });
  context.reply.verbatim("txt", lines);
}

}  // namespace

void client_list(LocalContext& context) {
  const Args args = context.args;
  if (args.size() == 2) return reply_lines(context, [](const ClientState&) { return true; });

  if (args.size() == 4 && same_word(args[2], "type")) {
    const std::optional<ClientType> type = parse_type(args[3]);
    if (!type) return context.reply.error(fmt::format("ERR Unknown client type '{}'", args[3]));
    return reply_lines(context, [&](const ClientState&) { return type == ClientType::kNormal; });
  }

  if (args.size() > 3 && same_word(args[2], "id")) {
    std::vector<uint64_t> ids;
    for (const std::string_view text : args.subspan(3)) {
      const std::optional<int64_t> id = parse_integer(text);
      if (!id) return context.reply.error("ERR Invalid client ID");
      ids.push_back(static_cast<uint64_t>(*id));
    }
    return reply_lines(context, [&](const ClientState& client) {
      return std::ranges::find(ids, client.id) != ids.end();
    });
  }

  context.reply.error(kSyntaxError);
}

void client_kill(LocalContext& context) {
  if (context.args.size() == 3) {  // the old form: CLIENT KILL ip:port
    KillFilter filter;
    filter.address = context.args[2];
    filter.skip_self = false;
    if (kill_clients(context, filter) == 0) return context.reply.error("ERR No such client");
    return context.reply.ok();
  }
  const std::expected<KillFilter, std::string> filter = parse_kill(context.args);
  if (!filter) return context.reply.error(filter.error());
  context.reply.integer(kill_clients(context, *filter));
}

}  // namespace raftkv::server
