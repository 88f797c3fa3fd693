// The client port: accepts connections, reads requests, hands them to sessions, and writes replies,
// once a turn. Limits: number of clients, bytes buffered in each direction, commands outstanding.
// Loop thread only.
#pragma once

#include <uv.h>

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "server/command/host.h"
#include "server/replica/session.h"

namespace raftkv::server {

struct ClientOptions {
  std::string listen_host;
  uint16_t listen_port = 0;
  size_t clients_max = 10'000;
  // Above the soft limit a connection is not read from until the client has taken its replies; above
  // the hard one it is closed (Redis's client-output-buffer-limit).
  size_t output_bytes_soft = size_t{1} << 20;
  size_t output_bytes_hard = size_t{256} << 20;
  size_t query_buffer_bytes_max = size_t{1} << 30;  // client-query-buffer-limit
  size_t outstanding_commands_max = 16'384;         // then the connection is not read from
  uint64_t idle_timeout_s = 0;                      // 0: never (Redis's timeout)
};

class ClientListener {
 public:
  // `open_session` makes the session of a new connection. `members`' addresses etc. are its concern.
  ClientListener(uv_loop_t* loop, ClientOptions options, Stats& stats, Host& host,
                 std::function<Session*(SessionOwner&, ClientState)> open_session);
  ~ClientListener();

  std::expected<void, std::string> start();  // the error is one line for the operator
  // Accepts no more; closes each connection once its outstanding replies are flushed or `grace_ms`
  // has passed; then `done`.
  void stop(uint64_t grace_ms, std::function<void()> done);

  // Once at the end of a turn: resumes connections that may go on, then writes each connection's
  // output with one vectored write.
  void flush();
  // Sessions called may_resume(): there is work for another turn at once.
  bool has_pending_work() const;

  ClientOptions& options();  // CONFIG SET changes limits in place
  size_t size() const;
  void for_each(const std::function<void(const ClientState&)>& visit) const;  // by ascending id
  bool kill(uint64_t client_id);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace raftkv::server
