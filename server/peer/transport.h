// Messages between the members, over TCP. Each node dials every other one and sends its own
// messages on the connection it dialled; answers come back on the one the other side dialled.
//
// Delivery is best effort and in order on one connection: what can't be sent (no connection, queue
// full) is dropped, because Raft repeats it. Loop thread only.
#pragma once

#include <uv.h>

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "raft/types.h"
#include "server/peer/peer_options.h"

namespace raftkv::server {

struct PeerLinkStatus {
  uint64_t id = 0;
  bool connected = false;     // our link to it passed the handshake
  uint64_t queued_bytes = 0;  // not yet taken by the kernel
  uint64_t sent_bytes = 0;
  uint64_t received_bytes = 0;
  uint64_t dropped_messages = 0;
  uint64_t round_trip_us = 0;  // smoothed, 0 if not measured
  std::string last_error;      // why the link is down, empty while it is up
};

class PeerTransport {
 public:
  // `on_message` is called from socket reads, in the loop's thread.
  PeerTransport(uv_loop_t* loop, PeerOptions options,
                std::function<void(raft::Message)> on_message);
  // Before start(), after a failed start(), or after stop() is done.
  ~PeerTransport();

  // Binds and starts to dial. Ignores SIGPIPE. The error is one line for the operator ("can't
  // listen on ...: address already in use; ...").
  std::expected<void, std::string> start();
  // Our own incarnation, if it was not known before start(). Only before the loop runs: a handshake
  // tells it.
  void set_incarnation(uint64_t incarnation);
  // Closes everything; `done` is called from the loop when no handle is left, and may destroy the
  // transport.
  void stop(std::function<void()> done);

  // Queues the message for its `to`, which must be another member. Nothing is written to a socket
  // before flush().
  void send(const raft::Message& message);
  // One vectored write a peer. Called once at the end of a turn.
  void flush();

  // By ascending id.
  std::vector<PeerLinkStatus> status() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace raftkv::server
