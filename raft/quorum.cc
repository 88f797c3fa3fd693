#include "raft/quorum.h"

#include <algorithm>
#include <functional>

namespace raftkv::raft {

uint64_t majority_value(std::span<uint64_t> values) {
  // In descending order, the element in the middle is reached by itself and by all before it; of an
  // even number that must be one more than half.
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end(), std::greater<>());
  return *middle;
}

Tally tally_votes(size_t voters, size_t granted, size_t refused) {
  const size_t needed = voters / 2 + 1;
  if (granted >= needed) return Tally::kWon;
  if (voters - refused < needed) return Tally::kLost;
  return Tally::kPending;
}

Tally joint_tally(Tally incoming, Tally outgoing) {
  if (incoming == Tally::kLost || outgoing == Tally::kLost) return Tally::kLost;
  return incoming == Tally::kWon && outgoing == Tally::kWon ? Tally::kWon : Tally::kPending;
}

}  // namespace raftkv::raft
