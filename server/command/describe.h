// A command's declaration as COMMAND shows it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/command/command.h"

namespace raftkv::server {

// A command together with the container it is in, if any.
struct NamedCommand {
  const CommandSpec* parent = nullptr;
  const CommandSpec* spec = nullptr;

  std::string full_name() const;  // "get", "client|list"
};

// By full name, in any case. spec is null if there is none.
NamedCommand find_named(const CommandTable& table, std::string_view full_name);

// Names as Redis shows them, in its order.
std::vector<std::string_view> flag_names(const CommandSpec& spec);      // "write", "denyoom"
std::vector<std::string_view> category_names(const CommandSpec& spec);  // "@write", "@string"
std::vector<std::string_view> key_access_names(uint32_t access);        // "RW", "access"

void reply_info(resp::ReplyWriter& reply, const NamedCommand& command);
// Name and documentation: one pair of a map.
void reply_docs(resp::ReplyWriter& reply, const NamedCommand& command);

}  // namespace raftkv::server
