// The digest of a dataset, entry by entry: the order does not matter, so that it can be gathered
// from a walk as well as from a cut.
#pragma once

#include "storage/data/keyspace.h"

namespace raftkv::data {

class DigestSum {
 public:
  // Only what is live at `now`, the same for all entries, belongs to it.
  explicit DigestSum(TimeMs now) : now_(now) {}

  void add(const Entry& entry);
  const Keyspace::Digest& sum() const { return sum_; }

 private:
  TimeMs now_;
  Keyspace::Digest sum_;
};

}  // namespace raftkv::data
