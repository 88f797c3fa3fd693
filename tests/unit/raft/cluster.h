// A whole group on a network that delivers everything at once, unless the test cuts a link.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/raft/host.h"

namespace raftkv::raft::test {

class Cluster {
 public:
  explicit Cluster(size_t size, const std::function<void(Options&)>& adjust = {});

  // A node of the next id that knows nobody and waits to be told.
  NodeId join();

  // --- the world ---
  Cluster& cut(NodeId from, NodeId to);  // one direction
  Cluster& isolate(NodeId id);
  Cluster& heal();
  Cluster& restart(NodeId id);
  // A stopped node neither hears nor ticks.
  Cluster& stop(NodeId id);
  Cluster& resume(NodeId id);

  // Delivers until nobody has anything to say.
  Cluster& settle();
  // Time passes in steps small enough for every deadline.
  Cluster& run(uint64_t us);
  // Time passes until there is a leader whom a majority follows; 0 after `us` without one.
  NodeId elect(uint64_t us = 20 * kTimeout);
  // Lets the leader change the membership, and waits until that is finished.
  Cluster& change(const std::vector<MemberChange>& changes);
  // Makes one node campaign first, and win if the others let it.
  Cluster& make_leader(NodeId id);

  // --- questions ---
  Host& operator[](NodeId id) { return *hosts_.at(id - 1); }
  size_t size() const { return hosts_.size(); }
  NodeId leader() const;  // of the highest term; 0 if there is none
  MonotonicUs now() const { return now_; }

 private:
  bool passes(const Message& message) const;
  void send_snapshot(Host& from, NodeId to);

  std::function<void(Options&)> adjust_;

  std::vector<std::unique_ptr<Host>> hosts_;
  std::set<std::pair<NodeId, NodeId>> cut_;
  std::set<NodeId> stopped_;
  MonotonicUs now_ = kStart;
};

}  // namespace raftkv::raft::test
