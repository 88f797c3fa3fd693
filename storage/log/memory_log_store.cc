#include "storage/log/memory_log_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "storage/log/die.h"

namespace raftkv::storage {

std::expected<raft::Restored, std::string> MemoryLogStore::recover() {
  if (recovered_) die("recover() was called twice in one life of the process");
  if (!damaged_.empty()) {
    return std::unexpected(fmt::format("log entry {} is damaged", *damaged_.begin()));
  }
  RestoredLog log;
  for (const raft::Entry& entry : entries_) {
    if (!log.add(entry)) return std::unexpected(log.error());
  }
  staged_extent_ = {.last_index = log.last_index(), .last_term = log.last_term()};
  commit_hint_ = hard_state_.commit;
  recovered_ = true;
  return std::move(log).finish(hard_state_);
}

std::expected<void, std::string> MemoryLogStore::write(
    std::span<const raft::Persist* const> batch) {
  for (const raft::Persist* persist : batch) stage(*persist);
  return sync();
}

void MemoryLogStore::stage(const raft::Persist& persist) {
  if (!recovered_) die("a write came before recover()");
  check_fits(persist, staged_extent_);
  if (!persist.entries.empty()) {
    const raft::Entry& back = persist.entries.back();
    staged_extent_ = {.last_index = back.index, .last_term = back.term};
  }
  staged_.push_back({.token = persist.token,
                     .hard_state = persist.hard_state,
                     .entries = persist.entries,
                     .sealed = {}});
}

std::expected<void, std::string> MemoryLogStore::sync() {
  return sync_through(staged_.empty() ? 0 : staged_.back().token.sequence);
}

std::expected<void, std::string> MemoryLogStore::sync_through(uint64_t sequence) {
  if (failed_) return std::unexpected("nothing is written after a sync that failed");
  if (fail_next_sync_) {
    fail_next_sync_ = false;
    failed_ = true;
    return std::unexpected("the sync failed, as it was told to");
  }
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
  if (persist.entries.empty()) return;

  const size_t kept = persist.entries.front().index - 1;
  for (size_t i = kept; i < entries_.size(); ++i) bytes_ -= entries_[i].bytes();
  entries_.resize(kept);
  damaged_.erase(damaged_.upper_bound(kept), damaged_.end());
  for (const raft::Entry& entry : persist.entries) {
    bytes_ += entry.bytes();
    entries_.push_back(entry);
  }
}

void MemoryLogStore::crash(size_t survivors, bool keep_hint) {
  if (survivors > staged_.size()) {
    die(fmt::format("{} of {} staged writes were to survive", survivors, staged_.size()));
  }
  for (size_t i = 0; i < survivors; ++i) apply(staged_[i]);
  if (keep_hint) hard_state_.commit = std::max(hard_state_.commit, commit_hint_);
  staged_.clear();
  recovered_ = false;
  fail_next_sync_ = false;
  failed_ = false;
}

void MemoryLogStore::damage(raft::Index index) {
  if (index == 0 || index > entries_.size()) {
    die(fmt::format("entry {} was to be damaged, the log has {}", index, entries_.size()));
  }
  damaged_.insert(index);
}

void MemoryLogStore::read(raft::Index first, raft::Index last, size_t bytes_limit,
                          std::vector<raft::Entry>& out) const {
  if (first == 0 || first > last) die(fmt::format("entries {} to {} were asked for", first, last));
  if (last > entries_.size()) {
    die(fmt::format("entries {} to {} were asked for, {} are synced", first, last,
                    entries_.size()));
  }
  size_t bytes = 0;
  for (raft::Index index = first; index <= last; ++index) {
    const raft::Entry& entry = entries_[index - 1];
    if (damaged_.contains(index)) die(fmt::format("log entry {} is damaged", index));
    if (index > first && bytes + entry.bytes() > bytes_limit) return;
    bytes += entry.bytes();
    out.push_back(entry);
  }
}

LogStoreStats MemoryLogStore::stats() const {
  return {.bytes_on_disk = bytes_,
          .first_index = entries_.empty() ? raft::Index{0} : entries_.front().index,
          .last_index = entries_.size()};
}

}  // namespace raftkv::storage
