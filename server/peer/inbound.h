// A connection that somebody made to our peer port: a member's outgoing link, a snapshot
// that it sends, or a stranger. Loop
// thread only.
#pragma once

#include <uv.h>

#include <cstdint>
#include <expected>
#include <memory>
#include <string>

#include "raft/types.h"
#include "server/peer/frame_stream.h"
#include "server/peer/handshake.h"
#include "server/peer/peer_options.h"
#include "server/peer/snapshot_receiver.h"

namespace raftkv::server {

class Inbound;

// What an accepted connection tells the transport.
class InboundOwner {
 public:
  virtual ~InboundOwner() = default;
  // The acceptor's judgement of a hello: the error is sent to the dialler.
  virtual std::expected<void, std::string> judge(const Hello& hello) = 0;
  // The handshake is over: `connection` now speaks for the member that said `hello`.
  virtual void established(Inbound& connection, const Hello& hello) = 0;
  // The same for a snapshot's connection: the conversation that follows, or the refusal.
  virtual std::expected<std::unique_ptr<SnapshotReceiver>, std::string> begin_snapshot(
      Inbound& connection, FrameStream& stream, const Hello& hello) = 0;
  virtual void message(raft::Message message) = 0;
  // A part of a message of the member `peer_id` came in.
  virtual void part_of_message(uint64_t peer_id) = 0;
  // The last call: the connection may be deleted.
  virtual void gone(Inbound& connection, const std::string& reason) = 0;
};

class Inbound final : public FrameStream::Owner {
 public:
  Inbound(uv_loop_t* loop, const PeerOptions& options, const LocalIdentity& self,
          InboundOwner& owner);

  void accept(uv_stream_t* listener);
  void close(std::string reason) { stream_.close(std::move(reason)); }
  // Closes it if the handshake or the next ping has been due for too long.
  void check_silence();

  bool is_established() const { return peer_id_ != 0; }
  uint64_t peer_id() const { return peer_id_; }  // 0 before the handshake is over
  uint64_t incarnation() const { return incarnation_; }
  bool is_for_snapshot() const { return snapshot_ != nullptr; }
  uint64_t received_bytes() const { return stream_.received_total(); }
  const std::string& remote() const { return remote_; }

 private:
  std::expected<void, std::string> on_frame(const Frame& frame) override;
  void on_part_of_frame() override;
  void on_closed(const std::string& reason) override;
  std::expected<void, std::string> greet(const Frame& frame);
  void refuse(const std::string& reason);
  std::expected<void, std::string> deliver(std::string_view payload);

  uv_loop_t* loop_;
  const PeerOptions& options_;
  const LocalIdentity& self_;
  InboundOwner& owner_;
  FrameStream stream_;
  const uint64_t opened_ms_;
  uint64_t peer_id_ = 0;
  uint64_t incarnation_ = 0;
  std::string remote_ = "?";
  std::unique_ptr<SnapshotReceiver> snapshot_;
};

}  // namespace raftkv::server
