// What a client connection hands its requests to, and where it takes the replies from. The
// replica's session implements it; tests script it. Knows neither sockets nor the replica. Loop
// thread only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "server/command/client_state.h"
#include "server/command/command.h"

namespace raftkv::server {

// Where a session's replies go. Called on the loop's thread.
class SessionOwner {
 public:
  virtual ~SessionOwner() = default;
  // More bytes stand in RequestSink::output(), or fewer commands are outstanding: flush at the end
  // of the turn. Called at least once between two flushes in which one of these happened.
  virtual void output_ready() = 0;
  // What made execute() say kWait may be over: call execute() with the same command again (not from
  // inside this call: at the end of the turn or in the next).
  virtual void may_resume() = 0;
};

enum class Execution : uint8_t {
  kDone,  // the command is on its way or answered; go on with the next one
  kWait,  // nothing was done: keep the command, stop parsing, and call again after may_resume()
};

class RequestSink {
 public:
  RequestSink(const RequestSink&) = delete;
  RequestSink& operator=(const RequestSink&) = delete;

  // The connection is gone: what is in flight stays in flight, its replies are dropped. Deletes the
  // sink, now or when its last command completes; the pointer is invalid afterwards.
  virtual void close() = 0;

  // `args` is never empty and valid for the call only. Not called again once state() says
  // close_after_reply.
  virtual Execution execute(Args args) = 0;
  // A protocol error ends the conversation after what came before it is answered: queues the error
  // behind the outstanding replies and sets close_after_reply. `error` has neither '-' nor CRLF.
  virtual void protocol_error(std::string_view error) = 0;

  // Complete replies, in order, ready to be sent. The connection takes them by swapping or
  // clearing.
  std::string& output() { return output_; }
  ClientState& state() { return state_; }
  const ClientState& state() const { return state_; }
  // Nothing outstanding and close_after_reply is set: flush output() and close the connection.
  bool finished() const { return state_.close_after_reply && state_.outstanding == 0; }

 protected:
  explicit RequestSink(ClientState state) : state_(std::move(state)) {}
  virtual ~RequestSink() = default;  // by close() only

  std::string output_;
  ClientState state_;
};

}  // namespace raftkv::server
