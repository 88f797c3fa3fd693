// Messages between the members, over TCP. Each node dials every other one and sends its own
// messages on the connection it dialled; answers come back on the one the other side dialled.
//
// The members may change while it runs. Who was removed is still talked to for a moment, because
// what commits its removal must be answered. Who is no member is refused, unless it may know better
// than we do who is one (server/peer/handshake.h): then it is answered at the address it names.
//
// Snapshots travel on connections of their own, slowed down, so that no message waits behind them.
//
// Delivery is best effort and in order on one connection: what can't be sent (no connection, queue
// full) is dropped, because Raft repeats it. Loop thread only.
#pragma once

#include <uv.h>

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
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
  bool member = true;          // false: it leaves, or is not known as a member yet
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
  // More known_incarnations, if they were not known before start(). Only before the loop runs.
  void remember_incarnations(std::map<uint64_t, uint64_t> known);
  // Closes everything; `done` is called from the loop when no handle is left, and may destroy the
  // transport.
  void stop(std::function<void()> done);

  // Another membership is in force (raft::Node::membership(): from append, also rolled back), whose
  // entry has this index in the log, 0 for the one that the group began with. New members are
  // dialled, changed addresses dialled again, gone members let go. Itself may be among them or not.
  // After start().
  void set_members(const std::vector<Member>& members, uint64_t membership_index);
  // The removal of a member is committed: who comes under its id from now on may be another node.
  void forget(uint64_t id);

  // Sends a snapshot to a member, or queues it. `done` is called once, from the loop and never from
  // within this call, and not at all once stop() was called.
  void send_snapshot(uint64_t to, std::shared_ptr<SnapshotSource> source,
                     std::function<void(SnapshotResult)> done);
  std::vector<SnapshotProgress> snapshots() const;

  // Queues the message for its `to`; it is dropped if that is nobody we know, which happens when
  // members change. Nothing is written to a socket before flush().
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
