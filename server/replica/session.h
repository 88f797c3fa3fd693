// One client's conversation with the replica: looks each command up, admits or refuses it, keeps
// MULTI and WATCH, and puts the replies in the order of the commands. Knows no socket: the connection
// (server/net) owns the bytes, the simulator's clients own theirs.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/command/client_state.h"
#include "server/command/command.h"
#include "server/command/host.h"

namespace raftkv::server {

class Replica;

// Where a session's replies go. Called on the loop's thread.
class SessionOwner {
 public:
  virtual ~SessionOwner() = default;
  // More bytes stand in Session::output(): flush them at the end of the turn. Called at least once
  // between two flushes in which something was added.
  virtual void output_ready() = 0;
  // What made execute() say kWait may be over: call execute() with the same command again (not from
  // inside this call: at the end of the turn or in the next).
  virtual void may_resume() = 0;
};

enum class Execution : uint8_t {
  kDone,  // the command is on its way or answered; go on with the next one
  kWait,  // nothing was done: keep the command, stop parsing, and call again after may_resume()
};

class Session {
 public:
  // Owned by the connection until close(). `owner` must live until close() returns.
  static Session* open(Replica& replica, Host& host, SessionOwner& owner, ClientState state);
  // The connection is gone: what is in flight stays in flight, its replies are dropped. Deletes the
  // session, now or when its last command completes; the pointer is invalid afterwards.
  void close();

  Execution execute(Args args);
  // A protocol error ends the conversation after what came before it is answered: queues the error
  // behind the outstanding replies and sets close_after_reply.
  void protocol_error(std::string_view error);

  // Complete replies, in order, ready to be sent. The connection takes them by swapping or clearing.
  std::string& output() { return output_; }
  ClientState& state() { return state_; }
  const ClientState& state() const { return state_; }
  // Nothing outstanding and close_after_reply is set: flush output() and close the connection.
  bool finished() const { return state_.close_after_reply && state_.outstanding == 0; }

 private:
  friend class Replica;
  Session(Replica& replica, Host& host, SessionOwner& owner, ClientState state);
  ~Session() = default;

  Replica& replica_;
  Host& host_;
  SessionOwner* owner_;
  ClientState state_;
  std::string output_;
};

}  // namespace raftkv::server
