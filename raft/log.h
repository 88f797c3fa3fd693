// The log as the core sees it: the terms of all entries, and the entries themselves as far back as
// memory allows. Older ones are durable and come from the host's LogReader. The log begins behind
// what was compacted, of which only the last entry's term is still known.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "raft/log_reader.h"
#include "raft/node.h"
#include "raft/types.h"

namespace raftkv::raft {

class Log {
 public:
  // `reader` must outlive the log.
  Log(const Restored& restored, const LogReader& reader);

  Index first_index() const { return base_index_ + 1; }  // last_index() + 1 if the log is empty
  // The entry before the first one: 0 and 0 if nothing was ever compacted.
  Index base_index() const { return base_index_; }
  Term base_term() const { return base_term_; }
  Index last_index() const { return last_index_; }
  Term last_term() const { return term_starts_.empty() ? base_term_ : term_starts_.back().term; }
  uint64_t last_time_us() const { return last_time_us_; }

  // The term of an entry of this log or of the one before it; 0 for index 0. `index` is from
  // base_index() to last_index().
  Term term_at(Index index) const;
  // Whether an entry at `index` is known to have this term. A log that begins at 1 matches at 0.
  bool matches(Index index, Term term) const {
    return index >= base_index_ && index <= last_index_ && term_at(index) == term;
  }
  // The last index that is at most `index` and whose term is, as far as this log knows, at most
  // `term`. Before the log everything is possible: an `index` that lies there is the answer.
  Index last_with_term_at_most(Index index, Term term) const;

  // Appends entries; they follow each other, and the first may stand anywhere from first_index() to
  // last_index() + 1: what the log held from there on is dropped.
  void append(std::span<Entry> entries);
  void append(Entry entry) { append(std::span<Entry>(&entry, 1)); }

  // Adds the entries from `first` to at most `last` to `out`: no more than `bytes_limit`, but at
  // least one. What is not in memory is read from the host.
  void read(Index first, Index last, size_t bytes_limit, std::vector<Entry>& out) const;

  Index first_in_memory() const { return tail_first_; }  // last_index() + 1 if there is none
  bool in_memory(Index index) const { return index >= tail_first_; }
  // What the entries behind `index` add up to, as far as they are in memory.
  size_t bytes_after(Index index) const;
  // Drops entries up to `index`, which must be durable, from memory until no more than `bytes_max`
  // are left.
  void trim(Index index, size_t bytes_max);

  // Forgets the entries before `first`, which is at most last_index() + 1. Never undone: a smaller
  // one than first_index() changes nothing.
  void compact(Index first);
  // Begins anew, empty, behind the entry of a snapshot.
  void reset(Index index, Term term, uint64_t time_us);

  std::span<const TermStart> term_starts() const { return term_starts_; }

 private:
  struct Slot {
    Entry entry;
    uint64_t bytes_end;  // of all entries ever appended up to this one: differences are sizes
  };

  void truncate_from(Index index);
  void drop_first_in_memory();

  const LogReader& reader_;
  Index base_index_;
  Term base_term_;
  std::vector<TermStart> term_starts_;
  std::deque<Slot> tail_;
  Index tail_first_;
  uint64_t bytes_before_tail_ = 0;
  Index last_index_;
  uint64_t last_time_us_;
};

}  // namespace raftkv::raft
