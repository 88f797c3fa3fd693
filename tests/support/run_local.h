// Runs one command on a FakeHost, as a session does it: through the table, with its errors. What
// comes back is the reply's bytes.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "server/command/command.h"
#include "tests/support/fake_host.h"

namespace raftkv::test {

struct LocalWorld {
  FakeHost host;
  server::ClientState client;

  LocalWorld() {
    client.id = 7;
    client.address = "127.0.0.1:50007";
    client.local_address = "127.0.0.1:7001";
    client.fd = 12;
    client.created_us = host.monotonic_us_field - 90'000'000;
    client.last_command_us = host.monotonic_us_field - 3'000'000;
    client.last_command = "ping";
    host.clients_field[client.id] = client;
  }

  std::string run(const std::vector<std::string_view>& words) {
    std::string bytes;
    resp::ReplyWriter reply(bytes, client.protocol);
    const server::CommandSpec* spec = nullptr;
    const std::string error =
        server::CommandTable::instance().admission_error(server::Args(words), &spec);
    if (!error.empty()) {
      reply.error(error);
    } else if (spec->local) {
      server::LocalContext context{host, client, server::Args(words), reply};
      spec->local(context);
    } else if (spec->data) {
      const auto now_ms = static_cast<data::TimeMs>(host.wall_us_field / 1000);
      server::DataContext context{.keyspace = host.keyspace_field,
                                  .clock = data::Clock::at(now_ms),
                                  .args = server::Args(words),
                                  .reply = reply};
      spec->data(context);
    } else {
      bytes = "the session's own command";
    }
    return bytes;
  }
};

// The text inside of one bulk or verbatim reply.
inline std::string reply_body(std::string_view reply) {
  const size_t header = reply.find("\r\n");
  if (header == std::string_view::npos || reply.size() < header + 4) return std::string(reply);
  std::string_view body = reply.substr(header + 2, reply.size() - header - 4);
  if (reply.front() == '=') body.remove_prefix(4);  // "txt:"
  return std::string(body);
}

}  // namespace raftkv::test
