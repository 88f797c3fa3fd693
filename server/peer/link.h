// The outgoing connection to one member: dials, shakes hands, sends, measures the round trip, and
// dials again when it is lost. Loop thread only.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>

#include "raft/types.h"
#include "server/peer/frame_stream.h"
#include "server/peer/handshake.h"
#include "server/peer/log_gate.h"
#include "server/peer/peer_options.h"
#include "server/peer/resolver.h"

namespace raftkv::server {

class Link final : public FrameStream::Owner {
 public:
  // All of these must outlive the link.
  Link(uv_loop_t* loop, const PeerOptions& options, const LocalIdentity& self, const Member& peer,
       Incarnations& incarnations, std::mt19937_64& random);
  ~Link() override;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  void start();
  // `stopped` is called from the loop when no handle is left.
  void stop(std::function<void()> stopped);
  // The same after what is queued was sent, or could not be sent within PeerOptions::drain_ms. It
  // may be cut short by stop(), whose `stopped` is then the one that is called.
  void drain(std::function<void()> stopped);

  // Queues the message, or drops it if there is no connection or the queue is full.
  void send(const raft::Message& message);
  void flush();
  // The peer has just been heard from: if we only wait before dialling again, dial now.
  void peer_is_up();

  bool connected() const { return state_ == State::kEstablished; }
  uint64_t peer_id() const { return peer_.id; }
  // Whether it leads to where `member` can be reached.
  bool leads_to(const Member& member) const {
    return peer_.peer_host == member.peer_host && peer_.peer_port == member.peer_port;
  }
  uint64_t queued_bytes() const { return connected() ? stream_->unsent_bytes() : 0; }
  uint64_t sent_bytes() const;
  uint64_t dropped_messages() const { return dropped_; }
  uint64_t round_trip_us() const { return round_trip_us_; }
  const std::string& last_error() const { return last_error_; }

 private:
  enum class State : uint8_t {
    kWaiting,     // until the timer says to dial
    kResolving,   // the peer's host name
    kConnecting,  // TCP
    kGreeting,    // hello sent
    kEstablished,
    kClosing,   // until on_closed()
    kDraining,  // drain(): until on_closed() or the timer
    kStopped,
  };
  void on_connected() override;
  std::expected<void, std::string> on_frame(const Frame& frame) override;
  void on_closed(const std::string& reason) override;

  void dial();
  void resolve();
  void connect(const sockaddr_storage& address);
  std::expected<void, std::string> welcomed(std::string_view payload);
  std::expected<void, std::string> pong(std::string_view payload);
  void lost(const std::string& reason);
  void wait_before_dialling();
  void set_timer(uint64_t delay_ms);
  void timer_fired();
  void ping();
  void drop(const std::string& reason);
  void close_timer();
  void stop_if_idle();
  std::string name() const;

  uv_loop_t* loop_;
  const PeerOptions& options_;
  const LocalIdentity& self_;
  const Member peer_;
  Incarnations& incarnations_;
  std::mt19937_64& random_;

  State state_ = State::kWaiting;
  uv_timer_t timer_{};  // what it means depends on the state
  bool timer_open_ = false;
  std::unique_ptr<FrameStream> stream_;
  Resolver resolver_;
  std::function<void()> stopped_;

  uint64_t delay_ms_ = 0;  // before the next attempt, without jitter
  bool refused_ = false;   // the last attempt ended by a refusal: hurrying won't help
  uint64_t attempts_ = 0;
  uint64_t established_ms_ = 0;  // loop time

  // The ping on its way; 0: none.
  uint64_t ping_number_ = 0;
  uint64_t pings_ = 0;
  uint64_t ping_sent_ns_ = 0;
  uint64_t ping_end_ = 0;       // its last byte's place in the stream
  uint64_t ping_taken_ = 0;     // how far towards it the kernel had taken the stream
  uint64_t ping_since_ms_ = 0;  // since when nothing has moved

  uint64_t closed_sent_bytes_ = 0;  // by earlier connections
  uint64_t dropped_ = 0;
  uint64_t round_trip_us_ = 0;
  std::string last_error_;
  LogGate failures_;
  LogGate drops_;
};

}  // namespace raftkv::server
