// When a node does what all nodes of its cluster do alike. They apply the same log, so flushes of
// it and snapshots would come at the same moment everywhere, and no majority would be quick just
// then: each node begins at another part of the period instead.
#pragma once

#include <cstdint>

#include "raft/types.h"

namespace raftkv::server {

// A part of `whole`, by the node's id: the fractional parts of the multiples of the golden ratio
// lie apart from each other for any number of consecutive ids (Knuth, The Art of Computer
// Programming, volume 3, section 6.4).
constexpr uint64_t staggered(raft::NodeId id, uint64_t whole) {
  constexpr uint64_t kGoldenRatio = 0x9E3779B97F4A7C15;  // its fraction, in units of 2^-64
  using Wide = unsigned __int128;
  return static_cast<uint64_t>(Wide{id * kGoldenRatio} * whole >> 64);
}

}  // namespace raftkv::server
