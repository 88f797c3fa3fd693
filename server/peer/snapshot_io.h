// What the snapshot channel needs of its host: where the bytes of a snapshot come from, where they
// go, and within which limits. Everything here happens in the loop's thread; whoever touches a disk
// does so elsewhere (server/peer/snapshot_files.h does it on libuv's thread pool).
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace raftkv::server {

// Names a snapshot and all that is to be known of it before its first byte. Two offers with the
// same checksum, size and meta are the same snapshot: a transfer that was cut off goes on where it
// was.
struct SnapshotOffer {
  uint64_t checksum = 0;  // XXH3-64 of the whole file
  uint64_t size = 0;      // bytes of the file, more than 0
  std::string meta;       // what it stands for: opaque here, at most kSnapshotMetaBytesMax

  friend bool operator==(const SnapshotOffer&, const SnapshotOffer&) = default;
};
inline constexpr size_t kSnapshotMetaBytesMax = size_t{1} << 20;

// A snapshot to be sent. It does not change while it lives, also if its file is deleted.
class SnapshotSource {
 public:
  using Read = std::function<void(std::expected<std::string, std::string>)>;

  virtual ~SnapshotSource() = default;
  virtual const SnapshotOffer& offer() const = 0;
  // Reads exactly `bytes` at `offset`, which is inside the file. `done` is called once, later, from
  // the loop, also if the source was destroyed meanwhile.
  virtual void read(uint64_t offset, size_t bytes, Read done) = 0;
};

// A snapshot that is being received. One operation at a time; `done` is called once, later, from
// the loop, unless abort() or the destructor came first. It may call abort() and may destroy the
// sink.
class SnapshotSink {
 public:
  using Opened = std::function<void(std::expected<uint64_t, std::string>)>;
  using Done = std::function<void(std::expected<void, std::string>)>;

  virtual ~SnapshotSink() = default;
  // The first operation. The result says how many bytes of this very snapshot are there already,
  // kept by an earlier sink and durable.
  virtual void open(Opened done) = 0;
  // Behind those that are there. `bytes` must stay valid until `done`.
  virtual void append(std::string_view bytes, Done done) = 0;
  // All bytes are there: success means that they have the offer's checksum and are durable.
  virtual void finish(Done done) = 0;
  // Ends it, also while another operation is on its way. `keep`: what is there may be resumed by a
  // later sink. `done` is called when nothing of it moves any more.
  virtual void abort(bool keep, std::function<void()> done) = 0;
};

// The index that was installed, or why it was not.
using SnapshotResult = std::expected<uint64_t, std::string>;

struct SnapshotOptions {
  // Sending.
  size_t transfers_max = 2;  // at a time; others wait in a queue
  // Of all transfers together, so that heartbeats and clients do not feel them; 0: no limit.
  uint64_t rate_bytes_per_s = uint64_t{64} << 20;
  size_t chunk_bytes = size_t{256} << 10;
  // A transfer that makes no progress for this long, over however many connections, has failed.
  uint64_t give_up_ms = 60'000;
  // What the receiver may take to load it after the last byte.
  uint64_t install_timeout_ms = 30 * 60'000;
  // After a failure nothing is offered to the same member for this long.
  uint64_t retry_ms = 1000;

  // Receiving.
  uint64_t size_max = uint64_t{1} << 40;
  size_t window_bytes = size_t{4} << 20;     // sent to us and not yet written
  size_t chunk_bytes_max = size_t{1} << 20;  // of others
  uint64_t stall_max_ms = 120'000;           // no chunk and no write for this long

  // A member offers a snapshot: where to write it, or why it is not wanted, in words for the
  // sender's operator. Empty: nothing is ever wanted. Never called again before the sink it gave
  // is aborted or its result is said.
  std::function<std::expected<std::unique_ptr<SnapshotSink>, std::string>(
      uint64_t from, const SnapshotOffer& offer)>
      offered;
  // The sink has finished. `respond` is to be called once, from the loop, now or much later (the
  // connection lives meanwhile; if it is lost, a new one waits for the same result). It may be
  // called after the transport has gone.
  std::function<void(uint64_t from, const SnapshotOffer& offer, std::unique_ptr<SnapshotSink> sink,
                     std::function<void(SnapshotResult)> respond)>
      received;
};

// For INFO.
struct SnapshotProgress {
  uint64_t peer = 0;
  bool outgoing = false;
  uint64_t bytes = 0;  // acknowledged by, or written for, the receiver
  uint64_t total = 0;
  std::string phase;  // "queued", "connecting", "sending", "receiving", "installing"
};

}  // namespace raftkv::server
