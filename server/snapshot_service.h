// The process's side of snapshots: the files, the threads that write and load them, and how they
// get to other nodes and from there. Loop thread only; what takes time happens on other threads.
#pragma once

#include <uv.h>

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "raft/node.h"
#include "server/peer/snapshot_io.h"
#include "server/peer/transport.h"
#include "server/replica/replica.h"
#include "storage/log/log_store.h"
#include "storage/snapshot/snapshot_directory.h"
#include "storage/snapshot/snapshot_loader.h"

namespace raftkv::server {

class SnapshotService {
 public:
  SnapshotService(uv_loop_t* loop, uint64_t hash_seed);
  ~SnapshotService();
  SnapshotService(const SnapshotService&) = delete;
  SnapshotService& operator=(const SnapshotService&) = delete;

  // Opens `<data_dir>/snapshots`, and decides what this node starts from: the newest recorded
  // snapshot whose file is there, provided that the log goes on behind it. `restored` is changed to
  // say so. If no file that is recorded is left, the log begins after something that is lost: it is
  // discarded, and the others repair this node. The error is one line for the operator.
  std::expected<void, std::string> open(const std::string& data_dir, storage::LogStore& log,
                                        raft::Restored& restored);
  storage::SnapshotStore& store() { return *directory_; }
  // Wakes the loop, from any thread: a writer has come further.
  void wake() { uv_async_send(&async_); }

  // Both must outlive the service. Loads what open() decided on, if anything, beside the loop;
  // `lost` is called if its file is damaged, which by then has another name, so that the next start
  // does without it.
  void start(Replica& replica, PeerTransport& peers,
             std::function<void(const std::string& why)> lost);
  // While a snapshot is loaded: how far that is. For INFO.
  std::optional<LoadFacts> load_facts() const;

  // --- to and from other nodes -----------------------------------------------------------------

  void send(raft::NodeId to, const raft::SnapshotMeta& meta);
  std::expected<std::unique_ptr<SnapshotSink>, std::string> offered(uint64_t from,
                                                                    const SnapshotOffer& offer);
  void received(uint64_t from, const SnapshotOffer& offer, std::unique_ptr<SnapshotSink> sink,
                std::function<void(SnapshotResult)> respond);

  // No more callbacks; the handle closes with the loop's next iteration.
  void stop();

 private:
  struct Install;

  void progressed();
  void finish_load();
  void finish_install();
  void fail_install(const std::string& why);
  std::string path_of(storage::SnapshotId id) const { return directory_->path_of(id); }

  uv_loop_t* loop_;
  const uint64_t hash_seed_;
  uv_async_t async_{};
  bool stopped_ = false;

  std::unique_ptr<storage::SnapshotDirectory> directory_;
  storage::SnapshotId start_;  // index 0: from an empty dataset
  Replica* replica_ = nullptr;
  PeerTransport* peers_ = nullptr;
  std::function<void(const std::string&)> lost_;

  std::unique_ptr<storage::SnapshotLoader> loader_;  // of start_
  uint64_t load_began_us_ = 0;
  uv_timer_t progress_timer_{};
  std::unique_ptr<Install> install_;
};

}  // namespace raftkv::server
