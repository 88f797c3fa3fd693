// The log as the core sees it: the terms of all entries, and the entries themselves as far back as
// memory allows. Older ones are durable and come from the host's LogReader.
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

  Index last_index() const { return last_index_; }
  Term last_term() const { return term_starts_.empty() ? 0 : term_starts_.back().term; }
  uint64_t last_time_us() const { return last_time_us_; }

  // The term of an entry of this log; 0 for index 0. `index` is at most last_index().
  Term term_at(Index index) const;
  // Whether there is an entry at `index` and it has this term. Every log matches at index 0.
  bool matches(Index index, Term term) const {
    return index <= last_index_ && term_at(index) == term;
  }
  // The last index that is at most `index` and whose term is at most `term`; 0 if there is none.
  Index last_with_term_at_most(Index index, Term term) const;

  // Appends entries; they follow each other, and the first may stand anywhere from 1 to
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
  // Drops entries up to `index`, which must be durable, until no more than `bytes_max` are left.
  void trim(Index index, size_t bytes_max);

  std::span<const TermStart> term_starts() const { return term_starts_; }

 private:
  struct Slot {
    Entry entry;
    uint64_t bytes_end;  // of all entries ever appended up to this one: differences are sizes
  };

  void truncate_from(Index index);

  const LogReader& reader_;
  std::vector<TermStart> term_starts_;
  std::deque<Slot> tail_;
  Index tail_first_;
  uint64_t bytes_before_tail_ = 0;
  Index last_index_;
  uint64_t last_time_us_;
};

}  // namespace raftkv::raft
