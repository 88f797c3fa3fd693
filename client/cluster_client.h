// A client of the whole cluster: finds the leader, follows it when it changes, and says the truth
// about what it could not find out.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "client/address.h"
#include "client/connection.h"
#include "client/io_loop.h"
#include "client/once_session.h"
#include "client/reply.h"
#include "client/task.h"

namespace raftkv::client {

// May a command be sent again when it is not known whether it took effect? Only the caller can
// tell.
enum class Retry : uint8_t {
  kRead,    // changes nothing: yes
  kSafe,    // twice is as good as once (SET without conditions): yes. Mind that the second time may
            // come after another client's write of the same key.
  kUnsafe,  // INCR, DEL's count, SET NX ...: no. The answer is then kOutcomeUnknown.
};

struct Command {
  std::vector<std::string> args;  // at least the command's name
  Retry retry = Retry::kUnsafe;
  // A write that is to be executed exactly once, whatever happens to connections and leaders: it is
  // sent in a session, under a number of its own, until it has its answer. Not for reads, MULTI and
  // EXEC. Where the servers have no sessions, `retry` holds.
  bool once = false;
};

struct ClientError {
  enum class Kind : uint8_t {
    kServer,          // the node refused it for good, in its own words (WRONGTYPE ...)
    kDeadline,        // time is up; the command surely did not take effect
    kNoNodes,         // as kDeadline, and not one node could be reached
    kOutcomeUnknown,  // it may or may not have taken effect; or it did, and its reply is lost: the
                      // text says which
  };

  Kind kind;
  std::string text;  // a sentence for people
};

using Result = std::expected<Reply, ClientError>;

struct ClientOptions {
  std::chrono::milliseconds command_timeout{5000};  // for a command or a pipeline, with all retries
  std::chrono::milliseconds connect_timeout{500};   // for one connection
  // How long one node may keep us waiting before another is asked. A command that may not be sent
  // twice waits for its answer until command_timeout instead.
  std::chrono::milliseconds attempt_timeout{1500};
  // How long the servers remember the session of commands with `once` when none is sent. At least
  // command_timeout, or they may forget what a command is still being retried for.
  std::chrono::seconds session_ttl{3600};
};

// Not thread-safe: one a thread.
class ClusterClient {
 public:
  // `nodes` needs not be complete, since redirects name others, nor be in any order.
  explicit ClusterClient(std::vector<Address> nodes, ClientOptions options = {});
  // Closes its session, if it can without waiting.
  ~ClusterClient();
  ClusterClient(const ClusterClient&) = delete;
  ClusterClient& operator=(const ClusterClient&) = delete;

  // Ends within command_timeout. Errors a node answers with (but those that mean "not here, not
  // now") come back as kServer.
  Result command(std::vector<std::string> args, Retry retry);
  Result command(Command command);

  // Sends all without waiting in between; one result each, in order. What a node refused with "not
  // here, not now" is sent again, behind what it accepted of the same pipeline: put commands that
  // depend on each other into MULTI, or into pipelines of their own.
  std::vector<Result> pipeline(std::span<const Command> commands);
  // The same while others in `loop` go on; one at a time, and the commands outlive it.
  Task<std::vector<Result>> pipeline(IoLoop& loop, std::span<const Command> commands);

  // Who answered last; empty before the first answer and when that node failed.
  const std::optional<Address>& leader() const { return leader_; }

 private:
  class Exchange;

  Address next_target();
  Task<Connection*> connection_to(IoLoop& loop, Address address, Exchange& exchange);
  Task<bool> open_session(IoLoop& loop, Address target, Connection& connection, Exchange& exchange);
  Task<void> attempt(IoLoop& loop, Address target, Connection& connection, Exchange& exchange);
  void follow(const std::string& refusal, const Address& from);
  void drop(const Address& address);
  Task<void> pause_if_going_in_circles(IoLoop& loop, Deadline deadline);

  ClientOptions options_;
  std::vector<Address> nodes_;  // as given, then as learned from redirects
  size_t given_nodes_;
  size_t next_node_ = 0;
  std::optional<Address> leader_;
  std::map<std::string, Connection> connections_;  // by address
  OnceSession session_;
  // Refusals and failures since the last pause, and how often we paused in this call.
  size_t setbacks_ = 0;
  int pauses_ = 0;
  std::minstd_rand jitter_{std::random_device{}()};
};

}  // namespace raftkv::client
