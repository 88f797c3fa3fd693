#include "storage/data/cut.h"

#include <utility>

#include "storage/data/check.h"

namespace raftkv::data {

void Cut::begin(Table& table, std::function<void(const Entry&)> on_entry) {
  check(idle(), "a cut begins when the one before it has been cleaned up");
  static_assert(Entry::kMarkBits > static_cast<unsigned>(CutKind::kDigest));
  table_ = &table;
  place_ = 0;
  cleaning_ = false;
  on_entry_ = std::move(on_entry);
}

bool Cut::advance(size_t entries) {
  check(!idle(), "a cut that is over does not go on");
  size_t passed = 0;
  do {
    ++passed;
    place_ = table_->walk(place_, [&](Entry& entry) {
      ++passed;
      if ((entry.marks() & mark_) != 0) {
        entry.set_marks(entry.marks() & ~mark_);
      } else if (!cleaning_) {
        on_entry_(entry);
      }
    });
  } while (place_ != 0 && passed < entries);
  if (place_ == 0) forget_table();
  return !idle();
}

void Cut::abandon() {
  cleaning_ = true;
  on_entry_ = nullptr;
}

void Cut::forget_table() {
  table_ = nullptr;
  on_entry_ = nullptr;
}

void Cut::before_change(Entry& entry, uint64_t hash) {
  if (passed(hash) || (entry.marks() & mark_) != 0) return;
  on_entry_(entry);
  entry.set_marks(entry.marks() | mark_);
}

void Cut::created(Entry& entry, uint64_t hash) {
  if (!passed(hash)) entry.set_marks(entry.marks() | mark_);
}

}  // namespace raftkv::data
