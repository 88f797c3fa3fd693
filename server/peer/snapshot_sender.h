// Sends one snapshot to one member: dials, offers, streams what is wanted within the receiver's
// window and our rate, dials again and goes on where it was when the connection is lost, and waits
// for the receiver's result. Loop thread only.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "server/peer/frame_stream.h"
#include "server/peer/handshake.h"
#include "server/peer/pacer.h"
#include "server/peer/peer_options.h"
#include "server/peer/resolver.h"
#include "server/peer/snapshot_io.h"

namespace raftkv::server {

class SnapshotSender final : public FrameStream::Owner {
 public:
  // What all senders of a node share; must outlive them.
  struct Shared {
    uv_loop_t* loop;
    const PeerOptions& options;
    const LocalIdentity& self;
    Incarnations& incarnations;
    Pacer pacer;
  };

  // `finished` is called once, from the loop, when result() is known and no handle is left. It may
  // destroy the sender.
  SnapshotSender(Shared& shared, Member peer, std::shared_ptr<SnapshotSource> source,
                 std::function<void(SnapshotSender&)> finished);
  ~SnapshotSender() override;
  SnapshotSender(const SnapshotSender&) = delete;
  SnapshotSender& operator=(const SnapshotSender&) = delete;

  void start();
  // Ends it, whatever it is doing.
  void stop(std::string reason);
  void flush();

  const Member& peer() const { return peer_; }
  const SnapshotResult& result() const { return *result_; }
  SnapshotProgress progress() const;

 private:
  enum class State : uint8_t {
    kWaiting,  // until the timer says to dial
    kResolving,
    kConnecting,
    kGreeting,  // hello sent
    kOffering,  // offer sent
    kSending,   // or, with all acknowledged, waiting for the result
    kLosing,    // until on_closed(), then dials again
    kEnding,    // until no handle is left
  };

  void on_connected() override;
  std::expected<void, std::string> on_frame(const Frame& frame) override;
  void on_closed(const std::string& reason) override;

  void dial();
  void connect(const sockaddr_storage& address);
  std::expected<void, std::string> welcomed(std::string_view payload);
  std::expected<void, std::string> accepted(std::string_view payload);
  std::expected<void, std::string> acknowledged(std::string_view payload);
  void pump();
  void send_chunk(std::expected<std::string, std::string> bytes);
  void timer_fired();
  void tick();
  void set_timer(uint64_t delay_ms);
  void lose(std::string reason);
  void lost(const std::string& reason);
  void conclude(SnapshotResult result);
  void finish_if_closed();
  uint64_t size() const { return source_->offer().size; }
  bool all_acknowledged() const { return state_ == State::kSending && acknowledged_ == size(); }
  std::string name() const;

  Shared& shared_;
  const Member peer_;
  const std::shared_ptr<SnapshotSource> source_;
  std::function<void(SnapshotSender&)> finished_;

  State state_ = State::kWaiting;
  uv_timer_t timer_{};       // what it means depends on the state
  uv_timer_t pace_timer_{};  // until the next chunk may leave
  int timers_open_ = 0;
  Resolver resolver_;
  std::unique_ptr<FrameStream> stream_;
  std::optional<SnapshotResult> result_;

  uint64_t attempts_ = 0;
  uint64_t delay_ms_ = 0;     // before the next attempt
  uint64_t progress_ms_ = 0;  // loop time of the last step forward
  uint64_t moved_ms_ = 0;     // of the last sign of the connection's life
  uint64_t taken_ = 0;        // by the kernel, when last looked at
  uint64_t pings_ = 0;

  uint64_t window_ = 0;
  size_t chunk_bytes_ = 0;
  uint64_t next_ = 0;          // offset of the next chunk
  uint64_t acknowledged_ = 0;  // written by the receiver
  bool reading_ = false;       // a chunk is being read
  // A read that was begun for an earlier connection is not sent on a later one.
  uint64_t connection_ = 0;
  uint64_t read_for_ = 0;
  // Lets a read that outlives the sender find out.
  std::shared_ptr<SnapshotSender*> self_;
};

}  // namespace raftkv::server
