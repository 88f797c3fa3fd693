// A log store in memory, with the line that every disk has: what is staged may be lost, what is
// synced may not. For the simulator and for tests; single-threaded, deterministic.
//
// The simulator's disk takes its time: it calls stage() at once, sync_through() at the simulated
// moment at which the sync completes, and crash() instead if the node dies in between. Who needs no
// delay calls write(), like with any LogStore.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <expected>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "storage/log/log_state.h"
#include "storage/log/log_store.h"

namespace raftkv::storage {

class MemoryLogStore : public LogStore {
 public:
  // --- LogStore
  // -----------------------------------------------------------------------------------

  // May be called again after crash(): the disk outlives the process.
  std::expected<raft::Restored, std::string> recover() override;

  // stage() of all, then sync().
  [[nodiscard]] std::expected<void, std::string> write(
      std::span<const raft::Persist* const> batch) override;

  // Of synced entries only: who asks for one that is not ends the process.
  void read(raft::Index first, raft::Index last, size_t bytes_limit,
            std::vector<raft::Entry>& out) const override;

  // bytes_on_disk counts Entry::bytes().
  LogStoreStats stats() const override;

  // --- the line between staged and synced
  // ---------------------------------------------------------

  // Hands a write to the disk, which may lose it until it is synced. Sealed messages are left
  // aside.
  void stage(const raft::Persist& persist);

  // Makes durable all that was staged, or all up to the Persist with token.sequence `sequence`. An
  // error (see fail_next_sync) leaves the store unusable, like a real one, until crash().
  [[nodiscard]] std::expected<void, std::string> sync();
  [[nodiscard]] std::expected<void, std::string> sync_through(uint64_t sequence);

  // How many Persists are staged and not yet synced.
  size_t staged() const { return staged_.size(); }

  // The process dies, the disk stays. Of the staged Persists the first `survivors` reached the disk
  // whole (0 to staged()), the rest is lost. A commit index that no other write followed is lost
  // too unless `keep_hint`. Then recover() again.
  void crash(size_t survivors, bool keep_hint = false);

  // --- faults
  // -------------------------------------------------------------------------------------

  // The next sync() or sync_through() fails; nothing that was staged is durable.
  void fail_next_sync() { fail_next_sync_ = true; }
  // Flips a bit in a durable entry, for recover() to notice.
  void damage(raft::Index index);

 private:
  void apply(const raft::Persist& persist);

  // On disk.
  std::vector<raft::Entry> entries_;  // [0] has index 1
  raft::HardState hard_state_;
  std::set<raft::Index> damaged_;
  uint64_t bytes_ = 0;

  // Handed to the disk, in order, without their sealed messages.
  std::deque<raft::Persist> staged_;

  // In the process only.
  raft::Index commit_hint_ = 0;  // the newest commit index; reaches the disk with the next write
  LogExtent staged_extent_;      // the log as it will be once all is synced
  bool recovered_ = false;
  bool fail_next_sync_ = false;
  bool failed_ = false;
};

}  // namespace raftkv::storage
