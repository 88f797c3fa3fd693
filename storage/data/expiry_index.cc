#include "storage/data/expiry_index.h"

#include <algorithm>
#include <iterator>

namespace raftkv::data {

void ExpiryIndex::add(TimeMs expiry, Entry* entry) {
  if (expiry == kNoExpiry) return;
  check(set_.emplace(expiry, entry).second, "an entry is indexed once");
  sum_ += expiry;
}

void ExpiryIndex::remove(TimeMs expiry, Entry* entry) {
  if (expiry == kNoExpiry) return;
  check(set_.erase({expiry, entry}) == 1, "an entry with a deadline is indexed");
  sum_ -= expiry;
}

TimeMs ExpiryIndex::average_ttl(TimeMs now) const {
  if (set_.empty()) return 0;
  const auto average = static_cast<TimeMs>(sum_ / static_cast<__int128>(set_.size()));
  return std::max<TimeMs>(average - now, 0);
}

void ExpiryIndex::drain(size_t count) {
  const auto end = std::next(set_.begin(), static_cast<ptrdiff_t>(std::min(count, set_.size())));
  set_.erase(set_.begin(), end);
}

}  // namespace raftkv::data
