#include "storage/log/log_state.h"

#include <fmt/format.h>

#include <utility>

#include "storage/log/die.h"

namespace raftkv::storage {

void check_fits(const raft::Persist& persist, const LogExtent& extent) {
  if (persist.entries.empty()) return;
  const raft::Entry& front = persist.entries.front();
  if (front.index == 0) die("an entry with index 0 was given to the log");
  if (front.index > extent.last_index + 1) {
    die(fmt::format("a gap in the log was to be written: it ends at {} and the next entry is {}",
                    extent.last_index, front.index));
  }
  if (front.index == extent.last_index + 1 && front.term < extent.last_term) {
    die(fmt::format("entry {} of term {} was to follow an entry of term {}", front.index,
                    front.term, extent.last_term));
  }
  for (size_t i = 1; i < persist.entries.size(); ++i) {
    const raft::Entry& before = persist.entries[i - 1];
    const raft::Entry& entry = persist.entries[i];
    if (entry.index != before.index + 1) {
      die(fmt::format("entry {} was to be written behind entry {}", entry.index, before.index));
    }
    if (entry.term < before.term) {
      die(fmt::format("entry {} of term {} was to follow an entry of term {}", entry.index,
                      entry.term, before.term));
    }
  }
}

bool needs_sync(const raft::Persist& persist, const raft::HardState& stored) {
  if (!persist.entries.empty()) return true;
  if (!persist.hard_state) return false;
  return persist.hard_state->term != stored.term || persist.hard_state->vote != stored.vote;
}

bool RestoredLog::add(const raft::Entry& entry) {
  if (entry.index != restored_.last_index + 1) {
    error_ = restored_.last_index + 2 == entry.index
                 ? fmt::format("log entry {} is missing", restored_.last_index + 1)
                 : fmt::format("log entries {} to {} are missing", restored_.last_index + 1,
                               entry.index - 1);
    return false;
  }
  if (entry.term < last_term()) {
    error_ = fmt::format("log entry {} has term {}, but the entry before it has term {}",
                         entry.index, entry.term, last_term());
    return false;
  }
  if (restored_.term_starts.empty() || entry.term != last_term()) {
    restored_.term_starts.push_back({.term = entry.term, .first_index = entry.index});
  }
  restored_.last_index = entry.index;
  restored_.last_time_us = entry.time_us;
  return true;
}

raft::Restored RestoredLog::finish(const raft::HardState& hard_state) && {
  restored_.hard_state = hard_state;
  return std::move(restored_);
}

}  // namespace raftkv::storage
