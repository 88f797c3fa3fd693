#include "client/check/version_order.h"

#include <algorithm>
#include <deque>

namespace raftkv::client::check {

// A chain of points in time keeps the number of edges linear: a version leads to the point at which
// it was seen, and each point to what was called later.
void VersionOrder::add_by_time(std::vector<Sighting> sightings) {
  std::sort(sightings.begin(), sightings.end(), [](const Sighting& a, const Sighting& b) {
    return a.operation->returned < b.operation->returned;
  });
  const auto base = static_cast<uint32_t>(edges_.size());
  edges_.resize(base + sightings.size());
  for (uint32_t i = 0; i < sightings.size(); ++i) {
    if (sightings[i].operation->returned != kNever) {
      edges_[sightings[i].version].push_back({.to = base + i, .seen = sightings[i]});
    }
    if (i > 0) edges_[base + i - 1].push_back({.to = base + i, .seen = {}});
    const auto later = std::lower_bound(
        sightings.begin(), sightings.end(), sightings[i].operation->call,
        [](const Sighting& seen, int64_t call) { return seen.operation->returned < call; });
    if (later == sightings.begin()) continue;
    const auto point = base + static_cast<uint32_t>(later - sightings.begin()) - 1;
    edges_[point].push_back({.to = sightings[i].version, .seen = sightings[i]});
  }
}

// Tarjan's strongly connected components, without recursion.
std::vector<uint32_t> VersionOrder::components() const {
  constexpr uint32_t kUnseen = UINT32_MAX;
  const size_t count = edges_.size();
  std::vector<uint32_t> index(count, kUnseen), low(count), component(count, kUnseen), open;
  struct Visit {
    uint32_t node;
    size_t edge;
  };
  std::vector<Visit> visits;
  uint32_t next = 0, found = 0;
  for (uint32_t root = 0; root < count; ++root) {
    if (index[root] == kUnseen) visits.push_back({root, 0});
    while (!visits.empty()) {
      const uint32_t node = visits.back().node;
      if (visits.back().edge == 0 && index[node] == kUnseen) {
        index[node] = low[node] = next++;
        open.push_back(node);
      }
      if (visits.back().edge < edges_[node].size()) {
        const uint32_t to = edges_[node][visits.back().edge++].to;
        if (index[to] == kUnseen) {
          visits.push_back({to, 0});
        } else if (component[to] == kUnseen) {
          low[node] = std::min(low[node], index[to]);
        }
        continue;
      }
      if (low[node] == index[node]) {
        while (component[node] == kUnseen) {
          component[open.back()] = found;
          open.pop_back();
        }
        ++found;
      }
      visits.pop_back();
      if (!visits.empty()) {
        uint32_t& above = low[visits.back().node];
        above = std::min(above, low[node]);
      }
    }
  }
  return component;
}

std::vector<VersionOrder::Sighting> VersionOrder::path(uint32_t from, uint32_t to) const {
  std::vector<std::pair<uint32_t, const Edge*>> came(edges_.size(), {0, nullptr});
  std::deque<uint32_t> queue = {from};
  while (!queue.empty() && came[to].second == nullptr) {
    const uint32_t node = queue.front();
    queue.pop_front();
    for (const Edge& edge : edges_[node]) {
      if (came[edge.to].second != nullptr) continue;
      came[edge.to] = {node, &edge};
      queue.push_back(edge.to);
    }
  }
  std::vector<Sighting> sightings;
  for (uint32_t node = to; came[node].second != nullptr;) {
    if (came[node].second->seen.operation != nullptr) {
      sightings.push_back(came[node].second->seen);
    }
    node = came[node].first;
    if (node == from) break;
  }
  std::reverse(sightings.begin(), sightings.end());
  return sightings;
}

std::vector<VersionOrder::Sighting> VersionOrder::contradiction() const {
  const std::vector<uint32_t> component = components();
  std::vector<uint32_t> first(edges_.size(), UINT32_MAX);  // version by component
  for (uint32_t version = 0; version < versions_; ++version) {
    uint32_t& other = first[component[version]];
    if (other == UINT32_MAX) {
      other = version;
      continue;
    }
    std::vector<Sighting> circle = path(other, version);
    const std::vector<Sighting> back = path(version, other);
    circle.insert(circle.end(), back.begin(), back.end());
    return circle;
  }
  return {};
}

}  // namespace raftkv::client::check
