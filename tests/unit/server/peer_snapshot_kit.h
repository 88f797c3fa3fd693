// For the tests of snapshots between peers: a snapshot in memory, where it is written to, and a
// network that breaks.
#pragma once

#include <xxhash.h>

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "server/peer/on_pool.h"
#include "server/peer/snapshot_frames.h"
#include "server/peer/snapshot_io.h"
#include "tests/unit/server/peer_kit.h"

namespace raftkv::server::test {

inline std::string random_bytes(size_t size, uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (char& each : bytes) each = static_cast<char>(random());
  return bytes;
}

class MemorySource final : public SnapshotSource {
 public:
  MemorySource(uv_loop_t* loop, std::string bytes) : loop_(loop), bytes_(std::move(bytes)) {
    offer_ = {.checksum = XXH3_64bits(bytes_.data(), bytes_.size()),
              .size = bytes_.size(),
              .meta = "meta"};
  }
  const SnapshotOffer& offer() const override { return offer_; }
  void read(uint64_t offset, size_t bytes, Read done) override {
    read_bytes += bytes;
    std::expected<std::string, std::string> result = bytes_.substr(offset, bytes);
    if (!error.empty()) result = std::unexpected(error);
    on_pool(
        loop_, [] {}, [result, done = std::move(done)] { done(result); });
  }

  SnapshotOffer offer_;
  uint64_t read_bytes = 0;
  std::string error;

 private:
  uv_loop_t* loop_;
  std::string bytes_;
};

// A disk: what sinks wrote, and what they were told.
struct Store {
  std::string bytes;
  SnapshotOffer offer;
  uint64_t from = 0;
  std::vector<uint64_t> opened_at;
  size_t sinks = 0;  // that may still write
  size_t sinks_max = 0;
  size_t aborted = 0;
  bool stuck = false;  // appends wait
  std::string append_error;
  std::vector<std::function<void()>> waiting;

  void release() {
    stuck = false;
    for (auto& each : std::exchange(waiting, {})) each();
  }
};

class MemorySink final : public SnapshotSink {
 public:
  MemorySink(uv_loop_t* loop, Store& store, const SnapshotOffer& offer)
      : loop_(loop), store_(store), offer_(offer) {
    if (store_.offer != offer) store_.bytes.clear();
    store_.offer = offer;
    store_.sinks_max = std::max(store_.sinks_max, ++store_.sinks);
  }
  ~MemorySink() override {
    *alive_ = false;
    if (!ended_) --store_.sinks;
  }

  void open(Opened done) override {
    later([this, done = std::move(done)] {
      store_.opened_at.push_back(store_.bytes.size());
      done(store_.bytes.size());
    });
  }
  void append(std::string_view bytes, Done done) override {
    auto write = [this, alive = alive_, bytes = std::string(bytes), done = std::move(done)] {
      if (!*alive || ended_) return;
      if (!store_.append_error.empty()) return done(std::unexpected(store_.append_error));
      store_.bytes.append(bytes);
      done({});
    };
    if (store_.stuck) {
      store_.waiting.push_back(std::move(write));
    } else {
      later(std::move(write));
    }
  }
  void finish(Done done) override {
    later([this, done = std::move(done)] {
      const uint64_t checksum = XXH3_64bits(store_.bytes.data(), store_.bytes.size());
      if (checksum == offer_.checksum) return done({});
      done(std::unexpected(std::string("another checksum")));
    });
  }
  void abort(bool keep, std::function<void()> done) override {
    if (!keep) store_.bytes.clear();
    ended_ = true;
    // Until then it may still write.
    on_pool(
        loop_, [] {},
        [&store = store_, done = std::move(done)] {
          ++store.aborted;
          --store.sinks;
          done();
        });
  }

 private:
  void later(std::function<void()> what) {
    on_pool(
        loop_, [] {},
        [this, alive = alive_, what = std::move(what)] {
          if (*alive && !ended_) what();
        });
  }

  uv_loop_t* loop_;
  Store& store_;
  const SnapshotOffer offer_;
  bool ended_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// Stands between a dialler and a port: forwards, and breaks connections.
class Relay {
 public:
  explicit Relay(uint16_t to) : to_(to) {}
  uint16_t port() const { return acceptor_.port(); }

  // How many bytes the next connection lets through to the port before it is cut.
  std::function<size_t()> budget = [] { return SIZE_MAX; };
  // May change what passes to the port. `position` is that of the first byte in its connection.
  std::function<void(std::string& bytes, size_t position)> meddle;
  size_t connections = 0;

  void step() {
    if (Socket dialler = acceptor_.accept(); dialler.open()) {
      ++connections;
      pairs_.push_back({std::move(dialler), Socket::connect(to_), budget(), 0});
    }
    for (Pair& pair : pairs_) pair.step(meddle);
    std::erase_if(pairs_, [](const Pair& pair) { return !pair.near.open(); });
  }
  void cut() { pairs_.clear(); }

 private:
  struct Pair {
    Socket near;
    Socket far;
    size_t budget;
    size_t passed = 0;

    void step(const std::function<void(std::string&, size_t)>& meddle) {
      near.step();
      far.step();
      near.send(std::exchange(far.incoming, {}));
      std::string bytes = std::exchange(near.incoming, {}).substr(0, budget - passed);
      if (meddle) meddle(bytes, passed);
      passed += bytes.size();
      far.send(bytes);
      near.step();
      far.step();
      if (passed < budget && !near.ended && !far.ended) return;
      near.close();
      far.close();
    }
  };

  uint16_t to_;
  Acceptor acceptor_;
  std::vector<Pair> pairs_;
};

class PeerSnapshotTest : public PeerTransportTest {
 protected:
  PeerOptions receiving_options(uint64_t id, Store& store) {
    PeerOptions with = options(id);
    with.snapshots.offered = [this, &store](uint64_t from, const SnapshotOffer& offer)
        -> std::expected<std::unique_ptr<SnapshotSink>, std::string> {
      if (!refusal_.empty()) return std::unexpected(refusal_);
      store.from = from;
      return std::make_unique<MemorySink>(loop_.get(), store, offer);
    };
    with.snapshots.received = [this](uint64_t, const SnapshotOffer&, std::unique_ptr<SnapshotSink>,
                                     std::function<void(SnapshotResult)> respond) {
      if (install_) return install_(std::move(respond));
      respond(77);
    };
    return with;
  }
  PeerOptions sending_options(uint64_t id) {
    PeerOptions with = options(id);
    with.snapshots.chunk_bytes = 8 << 10;
    with.snapshots.rate_bytes_per_s = 0;
    with.snapshots.give_up_ms = 10'000;
    return with;
  }
  std::shared_ptr<MemorySource> source(std::string bytes) {
    return std::make_shared<MemorySource>(loop_.get(), std::move(bytes));
  }
  // Where the result will be.
  std::shared_ptr<std::optional<SnapshotResult>> send(Node& node, uint64_t to,
                                                      std::shared_ptr<SnapshotSource> what) {
    auto result = std::make_shared<std::optional<SnapshotResult>>();
    node.transport.send_snapshot(to, std::move(what), [result](SnapshotResult said) {
      EXPECT_FALSE(*result) << "the result was said twice";
      *result = std::move(said);
    });
    EXPECT_FALSE(*result) << "from within the call";
    return result;
  }

  std::string refusal_;
  std::function<void(std::function<void(SnapshotResult)>)> install_;
};

}  // namespace raftkv::server::test
