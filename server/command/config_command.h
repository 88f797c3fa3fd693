// CONFIG: the settings of the node under Redis's names.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/command/host.h"

namespace raftkv::server {

std::span<const CommandSpec> config_subcommands();

// The host's settings, and what is always true of a node in words that Redis's tools ask for;
// sorted by name. Where both have a name, the host's value counts.
std::vector<Setting> all_settings(const Host& host);

// Empty if there is no such setting.
std::string setting_value(const Host& host, std::string_view name);

}  // namespace raftkv::server
