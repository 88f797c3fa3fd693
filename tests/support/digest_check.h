// What the tests of the check that replicas agree have in common.
#pragma once

#include <cstdint>
#include <string>

#include "server/replica/digest_codec.h"
#include "tests/support/one_node.h"

namespace raftkv::test {

constexpr uint64_t kDigestIntervalMs = 600'000;

inline server::ReplicaOptions digest_options(uint64_t slice_us = 500) {
  server::ReplicaOptions options;
  options.digest_interval_us = kDigestIntervalMs * 1000;
  options.digest_slice_us = slice_us;
  return options;
}

// In steps, so that a leader hears of its followers meanwhile.
inline void pass_digest_interval(OneNode& node) {
  for (uint64_t ms = 0; ms <= kDigestIntervalMs; ms += 300) {
    node.pass_ms(300);
    node.settle();
  }
}

// The report of another member reaches the leader.
inline void report_digest(OneNode& leader, raft::NodeId from, const server::DigestReport& report) {
  leader.replica().step({.from = from,
                         .to = 1,
                         .term = leader.replica().node().term(),
                         .body = raft::HostNote{.bytes = server::encode_digest_report(report)}});
}

}  // namespace raftkv::test
