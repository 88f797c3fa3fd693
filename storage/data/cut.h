// A walk over the table as it is at one moment, in slices, while writes go on.
//
// The walk goes through the places of the hashes in order (Table::walk), so whether it has passed a
// key follows from the key's hash alone, however the table grows or shrinks. A change of a key that
// it has not passed hands over the old state first, and marks the entry: what the walk will find
// there later is not of the moment. So are entries marked that are made at a place not yet passed.
// The walk skips a marked entry and takes its mark away.
//
// Hence: no entry is marked while no cut runs, and during one only entries that lie before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "storage/data/entry.h"
#include "storage/data/keyspace.h"
#include "storage/data/table.h"

namespace raftkv::data {

class Cut {
 public:
  explicit Cut(CutKind kind) : mark_(1u << static_cast<unsigned>(kind)) {}
  Cut(const Cut&) = delete;
  Cut& operator=(const Cut&) = delete;

  bool idle() const { return table_ == nullptr; }
  bool runs() const { return !idle() && !cleaning_; }
  bool cleans() const { return !idle() && cleaning_; }
  // Whether changes of this table have to be told to the cut.
  bool watches(const Table& table) const { return table_ == &table && !cleaning_; }
  // Whether the table may not be freed yet.
  bool needs(const Table& table) const { return table_ == &table; }

  // Must be idle. `table` must outlive the cut: see needs().
  void begin(Table& table, std::function<void(const Entry&)> on_entry);
  // True while there is more to walk; idle afterwards.
  bool advance(size_t entries);
  // Only the marks are still to be taken away, by advance().
  void abandon();
  // The table is to be destroyed without having been walked: its marks don't matter any more.
  void forget_table();

  // --- only while it watches the table ----------------------------------------------------------
  // `entry`, of this table or just taken out of it, is about to be changed or destroyed.
  void before_change(Entry& entry, uint64_t hash);
  // `entry` comes into the table.
  void created(Entry& entry, uint64_t hash);

 private:
  bool passed(uint64_t hash) const { return Table::place_of(hash) < place_; }

  const unsigned mark_;
  Table* table_ = nullptr;
  uint64_t place_ = 0;  // everything below has been passed
  bool cleaning_ = false;
  std::function<void(const Entry&)> on_entry_;
};

}  // namespace raftkv::data
