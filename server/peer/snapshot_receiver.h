// The acceptor's side of a snapshot's connection: takes the offer, writes what comes through a
// sink, at most a window of it in memory, and says how it ended. Loop thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "server/peer/frame_stream.h"
#include "server/peer/peer_options.h"
#include "server/peer/snapshot_io.h"

namespace raftkv::server {

class SnapshotReceiver;

// Who decides which of the connections may deliver.
class SnapshotReceiverOwner {
 public:
  virtual ~SnapshotReceiverOwner() = default;
  // Answered, now or later, with one of start(), wait_for_installation() and refuse().
  virtual void offered(SnapshotReceiver& receiver) = 0;
  // The sink has finished: whoever installs it says the result by conclude().
  virtual void complete(SnapshotReceiver& receiver, std::unique_ptr<SnapshotSink> sink) = 0;
  // It needs no answer any more. `sink`: what it was writing to, if it was, and whether that is
  // worth being kept.
  virtual void over(SnapshotReceiver& receiver, std::unique_ptr<SnapshotSink> sink, bool keep) = 0;
  // Its connection is closed, too.
  virtual void closed() = 0;
};

class SnapshotReceiver {
 public:
  // Of a connection whose handshake is over. All must outlive it.
  SnapshotReceiver(uv_loop_t* loop, FrameStream& stream, const PeerOptions& options, uint64_t from,
                   SnapshotReceiverOwner& owner);
  // The connection is closed.
  ~SnapshotReceiver();
  SnapshotReceiver(const SnapshotReceiver&) = delete;
  SnapshotReceiver& operator=(const SnapshotReceiver&) = delete;

  std::expected<void, std::string> on_frame(const Frame& frame);
  // Closes the connection if the sender does not do its part in time.
  void check();

  // Answers to offered().
  void start(std::unique_ptr<SnapshotSink> sink);
  void wait_for_installation();
  void refuse(const std::string& reason);

  // After complete() or wait_for_installation().
  void conclude(const SnapshotResult& result);
  // Another connection of the same member takes its place.
  void replace();

  uint64_t from() const { return from_; }
  const SnapshotOffer& offer() const { return offer_; }
  SnapshotProgress progress() const;

 private:
  enum class State : uint8_t {
    kGreeted,     // no offer yet
    kOffered,     // and not answered
    kOpening,     // the sink
    kReceiving,   // chunks
    kFinishing,   // the sink
    kInstalling,  // somebody else is at work
    kOver,
  };

  std::expected<void, std::string> take_offer(std::string_view payload);
  std::expected<void, std::string> take_chunk(std::string_view payload);
  void opened(uint64_t offset);
  void write_next();
  void written();
  void finish();
  void accept(uint64_t offset);
  void leave(bool keep);
  void fail(const std::string& reason);

  uv_loop_t* loop_;
  FrameStream& stream_;
  const PeerOptions& options_;
  const uint64_t from_;
  SnapshotReceiverOwner& owner_;

  State state_ = State::kGreeted;
  SnapshotOffer offer_;
  std::unique_ptr<SnapshotSink> sink_;
  uint64_t since_ms_;  // loop time: the sender's last step
  uint64_t received_ = 0;
  uint64_t written_ = 0;
  std::deque<std::string> chunks_;  // received, not yet written; the first is being written
};

}  // namespace raftkv::server
