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
#include "server/net/client_options.h"
#include "server/net/request_sink.h"

namespace raftkv::server {

class ClientListener {
 public:
  // Makes the session of a new connection; the listener ends it with close(). The state has the id,
  // the addresses, the descriptor and created_us.
  using OpenSession = std::function<RequestSink*(SessionOwner&, ClientState)>;

  ClientListener(uv_loop_t* loop, ClientOptions options, Stats& stats, Host& host,
                 OpenSession open_session);
  // Before start(), after a failed start(), or after stop() is done.
  ~ClientListener();

  // Also raises the process's limit on open files as far as clients_max needs it, and ignores
  // SIGPIPE. The error is one line for the operator.
  std::expected<void, std::string> start();
  // Accepts no more and executes no more; closes each connection once its outstanding replies are
  // flushed or `grace_ms` has passed; then `done`, in which the listener may be destroyed. flush()
  // must go on being called meanwhile.
  void stop(uint64_t grace_ms, std::function<void()> done);

  // Executes what connections could not execute before and now can: what may_resume() was called
  // for, and what was held back by a limit. Part of flush(); a host that calls it before it gathers
  // the turn's writes gets these commands into the same turn.
  void resume();
  // Once at the end of a turn: resume(), then writes each connection's output with one write.
  void flush();
  // There is work for another turn at once: the loop must not sleep. Ask after flush().
  bool has_pending_work() const;

  ClientOptions& options();  // CONFIG SET changes limits in place
  uint16_t port() const;     // where it listens
  size_t size() const;
  void for_each(const std::function<void(const ClientState&)>& visit) const;  // by ascending id
  // Closes it at the next flush, after what stands in its output is offered to the socket. False if
  // there is no such client.
  bool kill(uint64_t client_id);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace raftkv::server
