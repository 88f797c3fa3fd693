#include "storage/log/log_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "raft/codec.h"
#include "storage/log/die.h"

namespace raftkv::storage {
namespace {

using Terms = std::vector<raft::TermStart>;
using Snapshots = std::vector<raft::SnapshotMeta>;

constexpr size_t kSnapshotsMax = 2;

void check_order(const std::vector<raft::Entry>& entries) {
  for (size_t i = 1; i < entries.size(); ++i) {
    const raft::Entry& before = entries[i - 1];
    const raft::Entry& entry = entries[i];
    if (entry.index != before.index + 1) {
      die(fmt::format("entry {} was to be written behind entry {}", entry.index, before.index));
    }
    if (entry.term < before.term) {
      die(fmt::format("entry {} of term {} was to follow an entry of term {}", entry.index,
                      entry.term, before.term));
    }
  }
}

}  // namespace

LogState::LogState() : LogState(LogExtent{}, {}, {}) {}

LogState::LogState(const LogExtent& extent, Terms terms, Snapshots snapshots)
    : extent_(extent),
      terms_(std::make_shared<const Terms>(std::move(terms))),
      snapshots_(std::make_shared<const Snapshots>(std::move(snapshots))) {}

void LogState::apply(const raft::Persist& persist) {
  const bool begins_anew = persist.cut && persist.cut->replaces_log;
  if (begins_anew) cut(*persist.cut);
  if (!persist.entries.empty()) append(persist.entries);
  if (persist.cut && !begins_anew) cut(*persist.cut);
  if (extent_.last_index >= extent_.lost_up_to) extent_.lost_up_to = 0;
}

raft::Term LogState::term_at(raft::Index index) const {
  if (index + 1 == extent_.first_index) return extent_.base_term;
  if (index < extent_.first_index || index > extent_.last_index) {
    die(fmt::format("the term of entry {} was asked for, the log has {} to {}", index,
                    extent_.first_index, extent_.last_index));
  }
  const auto behind = std::ranges::upper_bound(*terms_, index, {}, &raft::TermStart::first_index);
  return std::prev(behind)->term;
}

void LogState::cut(const raft::LogCut& cut) {
  const raft::SnapshotMeta& snapshot = cut.snapshot;
  if (snapshot.index == 0) die("the log was to be cut behind no snapshot");
  if (snapshot.index < snapshot_index()) {
    die(fmt::format("a snapshot at {} was to follow one at {}", snapshot.index, snapshot_index()));
  }
  if (cut.first_index > snapshot.index + 1) {
    die(fmt::format("the log was to begin at {} behind a snapshot at {}", cut.first_index,
                    snapshot.index));
  }
  if (cut.replaces_log) {
    if (cut.first_index != snapshot.index + 1) {
      die(fmt::format("a log that begins anew behind a snapshot at {} was to begin at {}",
                      snapshot.index, cut.first_index));
    }
    extent_ = {.first_index = snapshot.index + 1,
               .base_term = snapshot.term,
               .last_index = snapshot.index,
               .last_term = snapshot.term,
               .lost_up_to = extent_.lost_up_to};
    terms_ = std::make_shared<const Terms>();
  } else {
    if (snapshot.index + 1 < extent_.first_index || snapshot.index > extent_.last_index) {
      die(fmt::format("a snapshot at {} was to stand for a part of the log, which has {} to {}",
                      snapshot.index, extent_.first_index, extent_.last_index));
    }
    if (term_at(snapshot.index) != snapshot.term) {
      die(fmt::format("a snapshot at {} has term {}, but the entry has term {}", snapshot.index,
                      snapshot.term, term_at(snapshot.index)));
    }
    // An earlier cut is not undone.
    if (cut.first_index > extent_.first_index) drop_before(cut.first_index);
  }
  record(snapshot);
}

void LogState::drop_before(raft::Index first_index) {
  extent_.base_term = term_at(first_index - 1);
  extent_.first_index = first_index;
  Terms left;
  if (!extent_.empty()) {
    left.push_back({.term = term_at(first_index), .first_index = first_index});
    std::ranges::copy_if(*terms_, std::back_inserter(left), [first_index](const auto& start) {
      return start.first_index > first_index;
    });
  }
  terms_ = std::make_shared<const Terms>(std::move(left));
}

void LogState::record(const raft::SnapshotMeta& snapshot) {
  Snapshots recorded = *snapshots_;
  if (recorded.empty() || recorded.front().index != snapshot.index) {
    recorded.insert(recorded.begin(), snapshot);
  } else {
    recorded.front() = snapshot;
  }
  if (recorded.size() > kSnapshotsMax) recorded.resize(kSnapshotsMax);
  snapshots_ = std::make_shared<const Snapshots>(std::move(recorded));
}

void LogState::append(const std::vector<raft::Entry>& entries) {
  const raft::Entry& front = entries.front();
  if (front.index == 0) die("an entry with index 0 was given to the log");
  if (front.index > extent_.last_index + 1) {
    die(fmt::format("a gap in the log was to be written: it ends at {} and the next entry is {}",
                    extent_.last_index, front.index));
  }
  if (front.index < extent_.first_index) {
    die(fmt::format("entry {} was to be written into a log that begins at {}", front.index,
                    extent_.first_index));
  }
  const raft::Term term_before = term_at(front.index - 1);
  if (front.term < term_before) {
    die(fmt::format("entry {} of term {} was to follow an entry of term {}", front.index,
                    front.term, term_before));
  }
  check_order(entries);

  const raft::Entry& back = entries.back();
  const bool same_term =
      front.index == extent_.last_index + 1 && !extent_.empty() && back.term == extent_.last_term;
  if (!same_term) note_terms(entries);
  extent_.last_index = back.index;
  extent_.last_term = back.term;
}

void LogState::note_terms(const std::vector<raft::Entry>& entries) {
  Terms terms = *terms_;
  while (!terms.empty() && terms.back().first_index >= entries.front().index) terms.pop_back();
  for (const raft::Entry& entry : entries) {
    if (!terms.empty() && terms.back().term == entry.term) continue;
    terms.push_back({.term = entry.term, .first_index = entry.index});
  }
  terms_ = std::make_shared<const Terms>(std::move(terms));
}

bool needs_sync(const raft::Persist& persist, const raft::HardState& stored) {
  if (!persist.entries.empty() || persist.cut) return true;
  if (!persist.hard_state) return false;
  return persist.hard_state->term != stored.term || persist.hard_state->vote != stored.vote;
}

RestoredLog::RestoredLog(const LogExtent& extent) {
  restored_.first_index = extent.first_index;
  restored_.base_term = extent.base_term;
  restored_.last_index = extent.first_index - 1;
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
  if (entry.kind == raft::EntryKind::kMembership) {
    auto membership = raft::decode_membership(entry.payload ? *entry.payload : std::string_view());
    if (!membership) {
      error_ = fmt::format("the membership in log entry {} makes no sense: {}", entry.index,
                           membership.error());
      error_is_damage_ = false;
      return false;
    }
    restored_.memberships.push_back({.index = entry.index, .membership = *std::move(membership)});
  }
  if (restored_.term_starts.empty() || entry.term != last_term()) {
    restored_.term_starts.push_back({.term = entry.term, .first_index = entry.index});
  }
  restored_.last_index = entry.index;
  restored_.last_time_us = entry.time_us;
  return true;
}

raft::Restored RestoredLog::finish(const raft::HardState& hard_state, const LogState& state) && {
  restored_.hard_state = hard_state;
  if (!state.snapshots().empty()) restored_.snapshot = state.snapshots().front();
  if (restored_.term_starts.empty()) restored_.last_time_us = restored_.snapshot.time_us;
  restored_.lost_up_to = state.extent().lost_up_to;
  return std::move(restored_);
}

}  // namespace raftkv::storage
