// One node's snapshots: choosing the node, having one taken, and what it says of the newest.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/cluster_client.h"

namespace raftkv::client {

struct SnapshotFacts {
  uint64_t node = 0;
  uint64_t index = 0;  // 0: the node has none
  uint64_t term = 0;
  uint64_t time_ms = 0;  // of its last entry, since 1970
  uint64_t bytes = 0;
};

// Keys written, and keys in all.
using SaveProgress = std::function<void(uint64_t, uint64_t)>;

struct SnapshotPlan {
  std::vector<Address> nodes;
  std::string node;   // which one to ask, by its id or its address; empty: the leader
  Deadline deadline;  // until it must be done
  // How long to wait for a leader, or for the node to answer.
  std::chrono::milliseconds find_timeout{5000};
};

struct TakenSnapshot {
  Address node;
  SnapshotFacts facts;
};

// Has a node take a snapshot of now or later, waits until it is durable there, and asks which is
// the newest. The leader's has every write that was acknowledged before; so has that of a node
// which was named, unless it is cut off or answers stale reads. Costs nothing if there is nothing
// new. `progress` is called by a thread of its own, for as long as this takes; it may be empty. The
// error is a sentence for people; nothing is ever in doubt.
std::expected<TakenSnapshot, std::string> take_snapshot(const SnapshotPlan& plan,
                                                        const SaveProgress& progress);

}  // namespace raftkv::client
