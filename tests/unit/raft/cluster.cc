#include "tests/unit/raft/cluster.h"

#include <algorithm>

namespace raftkv::raft::test {

Cluster::Cluster(size_t size, const std::function<void(Options&)>& adjust) : adjust_(adjust) {
  std::vector<NodeId> voters;
  for (NodeId id = 1; id <= size; id++) voters.push_back(id);
  for (NodeId id : voters) {
    Options options = options_for(id, voters);
    if (adjust) adjust(options);
    hosts_.push_back(std::make_unique<Host>(options, now_));
  }
}

NodeId Cluster::join() {
  Options options = options_for(size() + 1, {});
  if (adjust_) adjust_(options);
  hosts_.push_back(std::make_unique<Host>(options, now_));
  return size();
}

Cluster& Cluster::change(const std::vector<MemberChange>& changes) {
  Host& host = (*this)[leader()];
  const auto index = host.change(changes);
  EXPECT_TRUE(index) << change_error_text(index.error());
  settle();
  EXPECT_TRUE(host->membership_settled());
  return *this;
}

Cluster& Cluster::cut(NodeId from, NodeId to) {
  cut_.insert({from, to});
  return *this;
}

Cluster& Cluster::isolate(NodeId id) {
  for (NodeId other = 1; other <= size(); other++) {
    if (other != id) cut(id, other).cut(other, id);
  }
  return *this;
}

Cluster& Cluster::heal() {
  cut_.clear();
  return *this;
}

Cluster& Cluster::restart(NodeId id) {
  (*this)[id].restart();
  return *this;
}

Cluster& Cluster::stop(NodeId id) {
  stopped_.insert(id);
  return *this;
}

Cluster& Cluster::resume(NodeId id) {
  stopped_.erase(id);
  (*this)[id].tick_to(now_);
  return *this;
}

bool Cluster::passes(const Message& message) const {
  return !cut_.contains({message.from, message.to}) && !stopped_.contains(message.to);
}

void Cluster::send_snapshot(Host& from, NodeId to) {
  const SnapshotMeta meta = from.disk().snapshot();
  const bool arrives = passes({.from = from.id(), .to = to, .term = 0, .body = TimeoutNow{}});
  const bool installed = arrives && (*this)[to].restore(meta);
  from->snapshot_sent(to, installed ? meta.index : 0);
}

Cluster& Cluster::settle() {
  for (bool busy = true; busy;) {
    busy = false;
    for (auto& host : hosts_) {
      if (stopped_.contains(host->id())) continue;
      host->pump();
      for (Message& message : host->take_sent()) {
        busy = true;
        if (!passes(message)) continue;
        (*this)[message.to].hears(message.from, message.term, std::move(message.body));
      }
      for (const SnapshotRequest& request : host->take_snapshot_requests()) {
        send_snapshot(*host, request.to);
      }
    }
  }
  return *this;
}

Cluster& Cluster::run(uint64_t us) {
  const MonotonicUs end = now_ + us;
  settle();
  while (now_ < end) {
    MonotonicUs next = end;
    for (auto& host : hosts_) {
      if (!stopped_.contains(host->id())) next = std::min(next, host->node().next_deadline());
    }
    now_ = std::max(now_, next);
    for (auto& host : hosts_) {
      if (!stopped_.contains(host->id())) host->tick_to(now_);
    }
    settle();
  }
  return *this;
}

NodeId Cluster::leader() const {
  NodeId found = 0;
  Term term = 0;
  for (const auto& host : hosts_) {
    if (stopped_.contains(host->id()) || !host->node().is_leader()) continue;
    if (host->node().term() > term) {
      found = host->id();
      term = host->node().term();
    }
  }
  return found;
}

NodeId Cluster::elect(uint64_t us) {
  for (const MonotonicUs end = now_ + us; now_ < end; run(kHeartbeat)) {
    const NodeId found = leader();
    if (found == 0) continue;
    const auto& voters = (*this)[found]->membership().membership.voters;
    const auto followers = std::count_if(voters.begin(), voters.end(), [&](NodeId id) {
      return !stopped_.contains(id) && (*this)[id]->leader() == found;
    });
    if (static_cast<size_t>(followers) > voters.size() / 2) return found;
  }
  return 0;
}

Cluster& Cluster::make_leader(NodeId id) {
  const NodeId current = elect();
  if (current == id) return *this;
  EXPECT_TRUE((*this)[current]->transfer(id));
  settle();
  EXPECT_EQ(leader(), id);
  return *this;
}

}  // namespace raftkv::raft::test
