// The arithmetic of majorities, and nothing else. Commit, read rounds, leases and check-quorum all
// ask the same question: which value has a majority of the voters reached? In a joint phase every
// decision needs a majority of both sets (thesis 4.3): of two values the smaller counts, a vote is
// won when it is won twice, and lost when it is lost once.
#pragma once

#include <algorithm>
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
Tally joint_tally(Tally incoming, Tally outgoing);

// `value_of(NodeId)` is asked for each voter, once for each set it is in. Somebody must be known.
template <typename ValueOf>
uint64_t majority_reached(const Configuration& config, ValueOf value_of) {
  const auto of_set = [&](std::span<const NodeId> voters) {
    std::array<uint64_t, Configuration::kVotersMax> values;
    size_t count = 0;
    for (NodeId voter : voters) values[count++] = value_of(voter);
    return majority_value({values.data(), count});
  };
  const uint64_t incoming = of_set(config.voters());
  return config.joint() ? std::min(incoming, of_set(config.outgoing_voters())) : incoming;
}

// `vote_of(NodeId)` is asked for each voter, once for each set it is in.
template <typename VoteOf>
Tally tally(const Configuration& config, VoteOf vote_of) {
  const auto of_set = [&](std::span<const NodeId> voters) {
    size_t granted = 0;
    size_t refused = 0;
    for (NodeId voter : voters) {
      const Vote vote = vote_of(voter);
      if (vote == Vote::kGranted) granted++;
      if (vote == Vote::kRefused) refused++;
    }
    return tally_votes(voters.size(), granted, refused);
  };
  const Tally incoming = of_set(config.voters());
  return config.joint() ? joint_tally(incoming, of_set(config.outgoing_voters())) : incoming;
}

}  // namespace raftkv::raft
