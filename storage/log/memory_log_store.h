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
  const std::string& damage() const override { return damage_; }
  // Also at any later time: those of what is synced.
  std::vector<raft::SnapshotMeta> snapshots() const override { return synced_.snapshots(); }
  std::expected<void, std::string> discard_log() override;

  // stage() of all, then sync(). On a full disk nothing stays staged that was not before.
  [[nodiscard]] std::expected<void, WriteError> write(
      std::span<const raft::Persist* const> batch) override;
  bool disk_full() const override { return full_; }

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
  // error (see fail_next_sync) leaves the store unusable, like a real one, until crash(); not so if
  // the disk is full: what is staged stays so, to be synced once there is room.
  [[nodiscard]] std::expected<void, WriteError> sync();
  [[nodiscard]] std::expected<void, WriteError> sync_through(uint64_t sequence);

  // How many Persists are staged and not yet synced.
  size_t staged() const { return staged_.size(); }
  // What a crash now would leave at least, and what the log will be once all is synced.
  const LogState& synced_log() const { return synced_; }
  const LogState& staged_log() const { return staged_state_; }
  const raft::HardState& hard_state() const { return hard_state_; }  // synced

  // The process dies, the disk stays. Of the staged Persists the first `survivors` reached the disk
  // whole (0 to staged()), the rest is lost: also one that was torn, since a part of a write is
  // none. A commit index that no other write followed is lost too unless `keep_hint`. Then
  // recover() again.
  void crash(size_t survivors, bool keep_hint = false);

  // --- faults
  // -------------------------------------------------------------------------------------

  // The next sync() or sync_through() fails; nothing that was staged is durable.
  void fail_next_sync(bool fail = true) { fail_next_sync_ = fail; }
  // While it is full nothing becomes durable, and nothing is lost.
  void set_disk_full(bool full) { full_ = full; }
  // Flips a bit in a durable entry: recover() notices, and empties the log. An entry that is
  // replaced or dropped takes its damage with it.
  void damage(raft::Index index);
  // Flips a bit in the facts: recover() refuses.
  void damage_facts() { facts_damaged_ = true; }

 private:
  void apply(const raft::Persist& persist);
  void drop_to(raft::Index first_index);
  void truncate_from(raft::Index index);
  void empty_log(const LogState& base);

  // On disk.
  std::deque<raft::Entry> entries_;  // [0] has index synced_.extent().first_index
  LogState synced_;
  raft::HardState hard_state_;
  std::set<raft::Index> damaged_;
  bool facts_damaged_ = false;
  uint64_t bytes_ = 0;

  // Handed to the disk, in order, without their sealed messages.
  std::deque<raft::Persist> staged_;

  // In the process only.
  raft::Index commit_hint_ = 0;  // the newest commit index; reaches the disk with the next write
  LogState staged_state_;        // the log as it will be once all is synced
  std::string damage_;
  bool recovered_ = false;
  bool written_ = false;
  bool fail_next_sync_ = false;
  bool failed_ = false;
  bool full_ = false;
};

}  // namespace raftkv::storage
