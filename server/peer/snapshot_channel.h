// Whose snapshot is sent and received when: the queue of outgoing transfers, and the one incoming
// one. Owned by the transport, which accepts the connections. Loop thread only.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/peer/handshake.h"
#include "server/peer/peer_options.h"
#include "server/peer/snapshot_io.h"
#include "server/peer/snapshot_receiver.h"
#include "server/peer/snapshot_sender.h"

namespace raftkv::server {

class SnapshotChannel final : public SnapshotReceiverOwner {
 public:
  using Done = std::function<void(SnapshotResult)>;

  // All must outlive it. `find` knows where a member can be reached.
  SnapshotChannel(uv_loop_t* loop, const PeerOptions& options, const LocalIdentity& self,
                  Incarnations& incarnations,
                  std::function<std::optional<Member>(uint64_t id)> find);
  ~SnapshotChannel() override;
  SnapshotChannel(const SnapshotChannel&) = delete;
  SnapshotChannel& operator=(const SnapshotChannel&) = delete;

  void send(uint64_t to, std::shared_ptr<SnapshotSource> source, Done done);
  // The conversation of an accepted connection, or why there is none.
  std::expected<std::unique_ptr<SnapshotReceiver>, std::string> accept(FrameStream& stream,
                                                                       uint64_t from);
  // Transfers to who is no member any more, or has moved, end.
  void members_changed();
  // To be called every fraction of a second.
  void check();
  void flush();
  std::vector<SnapshotProgress> progress() const;
  // Ends all transfers; no callback of the host's is called any more. `stopped` is called from the
  // loop when nothing moves, also not on disk, and the accepted connections must be closed by then.
  void stop(std::function<void()> stopped);

 private:
  struct Outgoing {
    uint64_t to = 0;
    std::shared_ptr<SnapshotSource> source;
    Done done;
    std::unique_ptr<SnapshotSender> sender{};  // null: queued
  };
  struct Installing {
    uint64_t from = 0;
    SnapshotOffer offer;
  };

  void offered(SnapshotReceiver& receiver) override;
  void complete(SnapshotReceiver& receiver, std::unique_ptr<SnapshotSink> sink) override;
  void over(SnapshotReceiver& receiver, std::unique_ptr<SnapshotSink> sink, bool keep) override;
  void closed() override { --receivers_; }

  void schedule();
  bool may_start(const Outgoing& transfer) const;
  void finished(SnapshotSender& sender);
  void begin();
  void installed(const SnapshotResult& result);
  void stop_if_idle();

  uv_loop_t* loop_;
  const PeerOptions& options_;
  const LocalIdentity& self_;
  std::function<std::optional<Member>(uint64_t)> find_;
  SnapshotSender::Shared shared_;

  std::list<Outgoing> outgoing_;                // in the order in which they were asked for
  std::map<uint64_t, uint64_t> not_before_ms_;  // after a failure: loop time, by member

  size_t receivers_ = 0;                 // connections
  SnapshotReceiver* current_ = nullptr;  // the one that may deliver
  bool current_waits_ = false;           // for earlier sinks to end
  std::optional<Installing> installing_;
  size_t ending_sinks_ = 0;
  bool stopping_ = false;
  std::function<void()> stopped_;
  // Lets the host's late answer find out that the channel is gone.
  std::shared_ptr<SnapshotChannel*> alive_;
};

}  // namespace raftkv::server
