// The limits of the client port.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace raftkv::server {

struct ClientOptions {
  std::string listen_host;
  uint16_t listen_port = 0;  // 0: any free one, see ClientListener::port()
  size_t clients_max = 10'000;
  // Above the soft limit a connection is not read from until the client has taken its replies;
  // above the hard one it is closed (Redis's client-output-buffer-limit).
  size_t output_bytes_soft = size_t{1} << 20;
  size_t output_bytes_hard = size_t{256} << 20;
  size_t query_buffer_bytes_max = size_t{1} << 30;  // client-query-buffer-limit
  size_t outstanding_commands_max = 16'384;         // then the connection is not read from
  uint64_t idle_timeout_s = 0;                      // 0: never (Redis's timeout)
};

}  // namespace raftkv::server
