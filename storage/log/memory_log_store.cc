#include "storage/log/memory_log_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "storage/log/die.h"

namespace raftkv::storage {

std::expected<raft::Restored, std::string> MemoryLogStore::recover() {
  if (recovered_) die("recover() was called twice in one life of the process");
  if (facts_damaged_) {
    return std::unexpected(
        "the facts of the log are damaged; remove the node from the cluster (raftkv-cli members "
        "replace) and add it with an empty directory");
  }
  if (!damaged_.empty()) {
    damage_ = fmt::format("log entry {} is damaged", *damaged_.begin());
    empty_log(synced_);
  }
  RestoredLog log(synced_.extent());
  for (const raft::Entry& entry : entries_) {
    if (!log.add(entry)) return std::unexpected(log.error());
  }
  staged_state_ = synced_;
  commit_hint_ = hard_state_.commit;
  recovered_ = true;
  written_ = false;
  return std::move(log).finish(hard_state_, synced_);
}

// A log behind the newest snapshot of `base`, which is what is lost.
void MemoryLogStore::empty_log(const LogState& base) {
  const raft::SnapshotMeta newest =
      base.snapshots().empty() ? raft::SnapshotMeta{} : base.snapshots().front();
  LogExtent extent = {
      .first_index = newest.index + 1,
      .base_term = newest.term,
      .last_index = newest.index,
      .last_term = newest.term,
      .lost_up_to = std::max(synced_.extent().lost_up_to, synced_.extent().last_index)};
  if (extent.lost_up_to <= extent.last_index) extent.lost_up_to = 0;
  synced_ = LogState(extent, {}, base.snapshots());
  hard_state_.commit = std::min(hard_state_.commit, extent.last_index);
  entries_.clear();
  damaged_.clear();
  bytes_ = 0;
}

std::expected<void, std::string> MemoryLogStore::discard_log() {
  if (!recovered_ || written_) die("discard_log() belongs between recover() and the first write");
  empty_log(LogState());
  recovered_ = false;
  return {};
}

std::expected<void, WriteError> MemoryLogStore::write(std::span<const raft::Persist* const> batch) {
  if (full_) return std::unexpected(WriteError{.disk_full = true, .text = "the disk is full"});
  for (const raft::Persist* persist : batch) stage(*persist);
  return sync();
}

void MemoryLogStore::stage(const raft::Persist& persist) {
  if (!recovered_) die("a write came before recover()");
  written_ = true;
  staged_state_.apply(persist);
  staged_.push_back({.token = persist.token,
                     .hard_state = persist.hard_state,
                     .cut = persist.cut,
                     .entries = persist.entries,
                     .sealed = {}});
}

std::expected<void, WriteError> MemoryLogStore::sync() {
  return sync_through(staged_.empty() ? 0 : staged_.back().token.sequence);
}

std::expected<void, WriteError> MemoryLogStore::sync_through(uint64_t sequence) {
  if (failed_) {
    return std::unexpected(
        WriteError{.disk_full = false, .text = "nothing is written after a sync that failed"});
  }
  if (fail_next_sync_) {
    fail_next_sync_ = false;
    failed_ = true;
    return std::unexpected(
        WriteError{.disk_full = false, .text = "the sync failed, as it was told to"});
  }
  if (full_) return std::unexpected(WriteError{.disk_full = true, .text = "the disk is full"});
  while (!staged_.empty() && staged_.front().token.sequence <= sequence) {
    apply(staged_.front());
    staged_.pop_front();
  }
  return {};
}

void MemoryLogStore::apply(const raft::Persist& persist) {
  if (persist.hard_state) commit_hint_ = persist.hard_state->commit;
  if (!needs_sync(persist, hard_state_)) return;
  if (persist.hard_state) hard_state_ = *persist.hard_state;
  hard_state_.commit = commit_hint_;

  if (persist.cut && persist.cut->replaces_log) {
    truncate_from(synced_.extent().first_index);
  }
  if (!persist.entries.empty()) {
    if (!entries_.empty()) truncate_from(persist.entries.front().index);
    for (const raft::Entry& entry : persist.entries) {
      bytes_ += entry.bytes();
      entries_.push_back(entry);
    }
  }
  if (persist.cut && !persist.cut->replaces_log) drop_to(persist.cut->first_index);
  synced_.apply(persist);
}

void MemoryLogStore::drop_to(raft::Index first_index) {
  while (!entries_.empty() && entries_.front().index < first_index) {
    bytes_ -= entries_.front().bytes();
    entries_.pop_front();
  }
  damaged_.erase(damaged_.begin(), damaged_.lower_bound(first_index));
}

void MemoryLogStore::truncate_from(raft::Index index) {
  while (!entries_.empty() && entries_.back().index >= index) {
    bytes_ -= entries_.back().bytes();
    entries_.pop_back();
  }
  damaged_.erase(damaged_.lower_bound(index), damaged_.end());
}

void MemoryLogStore::crash(size_t survivors, bool keep_hint) {
  if (survivors > staged_.size()) {
    die(fmt::format("{} of {} staged writes were to survive", survivors, staged_.size()));
  }
  for (size_t i = 0; i < survivors; ++i) apply(staged_[i]);
  if (keep_hint) hard_state_.commit = std::max(hard_state_.commit, commit_hint_);
  staged_.clear();
  damage_.clear();
  recovered_ = false;
  fail_next_sync_ = false;
  failed_ = false;
}

void MemoryLogStore::damage(raft::Index index) {
  const LogExtent& extent = synced_.extent();
  if (index < extent.first_index || index > extent.last_index) {
    die(fmt::format("entry {} was to be damaged, the log has {} to {}", index, extent.first_index,
                    extent.last_index));
  }
  damaged_.insert(index);
}

void MemoryLogStore::read(raft::Index first, raft::Index last, size_t bytes_limit,
                          std::vector<raft::Entry>& out) const {
  if (first == 0 || first > last) die(fmt::format("entries {} to {} were asked for", first, last));
  const LogExtent& extent = synced_.extent();
  if (first < extent.first_index) {
    die(fmt::format("entries {} to {} were asked for, but the log begins at {}", first, last,
                    extent.first_index));
  }
  if (last > extent.last_index) {
    die(fmt::format("entries {} to {} were asked for, {} are synced", first, last,
                    extent.last_index));
  }
  size_t bytes = 0;
  for (raft::Index index = first; index <= last; ++index) {
    const raft::Entry& entry = entries_[index - extent.first_index];
    if (damaged_.contains(index)) die(fmt::format("log entry {} is damaged", index));
    if (index > first && bytes + entry.bytes() > bytes_limit) return;
    bytes += entry.bytes();
    out.push_back(entry);
  }
}

LogStoreStats MemoryLogStore::stats() const {
  const LogExtent& extent = synced_.extent();
  return {.bytes_on_disk = bytes_,
          .first_index = extent.empty() ? raft::Index{0} : extent.first_index,
          .last_index = extent.last_index};
}

}  // namespace raftkv::storage
