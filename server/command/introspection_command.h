// Containers that tools of Redis ask at their start: LATENCY, SLOWLOG, MODULE, MEMORY, ACL. What a
// node does not keep, they say is empty.
#pragma once

#include <span>

#include "server/command/host.h"

namespace raftkv::server {

std::span<const CommandSpec> latency_subcommands();
std::span<const CommandSpec> slowlog_subcommands();
std::span<const CommandSpec> module_subcommands();
std::span<const CommandSpec> memory_subcommands();
std::span<const CommandSpec> acl_subcommands();  // acl_command.cc

}  // namespace raftkv::server
