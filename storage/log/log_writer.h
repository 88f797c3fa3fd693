// The thread that owns the log's disk writes. It drains its whole queue into one write and one sync
// (group commit): the next group gathers while the last one syncs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "raft/ready.h"
#include "storage/log/log_store.h"

namespace raftkv::storage {

struct LogWriterOptions {
  // A group takes no further Persist once it holds this much (Entry::bytes): bounds one batch's
  // memory and the time until its first Persist is durable. One bigger Persist is a group alone.
  size_t group_bytes_max = size_t{16} << 20;
  // How long the thread looks for more work before it sleeps. 0: not at all. Saves the wake-up
  // (tens of microseconds) on a machine with cores to spare, and wastes a core on others.
  uint32_t spin_us = 0;
};

struct LogWriterStats {
  uint64_t syncs = 0;         // groups written
  uint64_t persists = 0;      // Persists in them
  uint64_t bytes = 0;         // payload bytes in them
  uint64_t last_sync_us = 0;  // how long the last group took
  // Counts by power of two of 100 us: [<100us, <200us, <400us ...]; the last one is open-ended.
  std::vector<uint64_t> sync_histogram;
};

class LogWriter {
 public:
  // `store` must outlive the writer. `on_durable` is called on the writer's thread after each
  // group, and when disk_full() becomes true or false, to wake the owner (uv_async_send);
  // `on_failure` is called there when a write failed and must not return (it ends the process).
  LogWriter(LogStore& store, std::function<void()> on_durable,
            std::function<void(const std::string& error)> on_failure,
            const LogWriterOptions& options = {});
  // Writes what is queued, then joins the thread. What a full disk has no room for is dropped:
  // nobody was told that it is durable.
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  // Owner's thread. Bounded by the core: it stops proposing at uncommitted_bytes_max.
  void submit(raft::Persist persist);

  // Owner's thread: the Persists that became durable since the last call, in order, with their
  // sealed messages for the owner to release. `entries` of what comes back is empty: the writer
  // lets go of them.
  std::vector<raft::Persist> take_durable();

  // Any thread: the disk is full or nearly so. The owner should refuse new work. What was submitted
  // waits, is not durable and not lost, and is written by itself once there is room.
  bool disk_full() const;

  // Any thread; a consistent copy, of groups that take_durable() can see.
  LogWriterStats stats() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace raftkv::storage
