// The CLIENT command: what a node knows of its connections.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "server/command/host.h"

namespace raftkv::server {

std::span<const CommandSpec> client_subcommands();

// Gives the connection a name, an empty one takes it away. False if the name has characters that
// CLIENT LIST could not show; nothing is changed then.
bool set_client_name(ClientState& client, std::string_view name);
inline constexpr char kBadClientName[] =
    "ERR Client names cannot contain spaces, newlines or special characters.";

// The line of CLIENT LIST and INFO, without line end.
std::string client_line(const ClientState& client, uint64_t now_us);

// Handlers of CLIENT LIST and CLIENT KILL (client_command_select.cc).
void client_list(LocalContext& context);
void client_kill(LocalContext& context);

}  // namespace raftkv::server
