// The arithmetic of majorities, and nothing else. Commit, read rounds, leases and check-quorum all
// ask the same question: which value has a majority of the voters reached?
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "raft/membership.h"

namespace raftkv::raft {

enum class Vote : uint8_t { kUnknown, kGranted, kRefused };
enum class Tally : uint8_t { kPending, kWon, kLost };

// The largest number that more than half of `values` reach. Reorders `values`, which are not empty.
uint64_t majority_value(std::span<uint64_t> values);
Tally tally_votes(size_t voters, size_t granted, size_t refused);

// `value_of(NodeId)` is asked once for each voter.
template <typename ValueOf>
uint64_t majority_reached(const Configuration& config, ValueOf value_of) {
  std::array<uint64_t, Configuration::kVotersMax> values;
  size_t count = 0;
  for (NodeId voter : config.voters()) values[count++] = value_of(voter);
  return majority_value({values.data(), count});
}

// `vote_of(NodeId)` is asked once for each voter.
template <typename VoteOf>
Tally tally(const Configuration& config, VoteOf vote_of) {
  size_t granted = 0;
  size_t refused = 0;
  for (NodeId voter : config.voters()) {
    const Vote vote = vote_of(voter);
    if (vote == Vote::kGranted) granted++;
    if (vote == Vote::kRefused) refused++;
  }
  return tally_votes(config.voters().size(), granted, refused);
}

}  // namespace raftkv::raft
