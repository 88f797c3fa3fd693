#include "client/check/zones.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>

namespace raftkv::client::check {
namespace {

struct Cluster {
  int64_t write_call = kNever;  // kNever: no write is known yet
  int64_t first_return = kNever;
  int64_t last_call = kAlways;

  void add(int64_t call, int64_t returned) {
    first_return = std::min(first_return, returned);
    last_call = std::max(last_call, call);
  }
  [[nodiscard]] bool forward() const { return first_return < last_call; }
};

using Clusters = absl::flat_hash_map<CellId, Cluster>;

bool add_write(Clusters& clusters, CellId value, int64_t call, int64_t returned) {
  Cluster& cluster = clusters[value];
  if (cluster.write_call != kNever) return false;  // written twice
  cluster.write_call = call;
  cluster.add(call, returned);
  return true;
}

// Forward zones may not overlap, and no backward zone may lie inside a forward one.
bool zones_are_apart(const Clusters& clusters) {
  std::vector<Cluster> forward;
  for (const auto& [value, cluster] : clusters) {
    if (cluster.forward()) forward.push_back(cluster);
  }
  std::sort(forward.begin(), forward.end(),
            [](const Cluster& a, const Cluster& b) { return a.first_return < b.first_return; });
  for (size_t i = 1; i < forward.size(); ++i) {
    if (forward[i].first_return < forward[i - 1].last_call) return false;
  }
  for (const auto& [value, cluster] : clusters) {
    if (cluster.forward()) continue;
    // The last forward zone that begins before this one; those before it also end before it.
    auto place = std::lower_bound(
        forward.begin(), forward.end(), cluster.last_call,
        [](const Cluster& zone, int64_t call) { return zone.first_return < call; });
    if (place == forward.begin()) continue;
    if (cluster.first_return < (--place)->last_call) return false;
  }
  return true;
}

}  // namespace

std::optional<bool> zones_linearizable(const Problem& problem) {
  if (problem.keys.size() != 1) return std::nullopt;
  const History& history = *problem.history;
  Clusters clusters;
  add_write(clusters, history.initial[problem.keys[0]], kAlways, kAlways);
  for (const Entry& entry : problem.entries) {
    const auto actions = history.actions_of(*entry.operation);
    if (actions.size() != 1) return std::nullopt;
    if (actions[0].kind == ActionKind::kGet) continue;
    if (actions[0].kind != ActionKind::kSet ||
        !add_write(clusters, actions[0].value, entry.call, entry.returned)) {
      return std::nullopt;
    }
  }
  for (const Entry& entry : problem.entries) {
    const Action& action = history.actions_of(*entry.operation)[0];
    if (action.kind != ActionKind::kGet || is_idle(history, entry)) continue;
    const auto cluster = clusters.find(action.value);
    if (cluster == clusters.end() || entry.returned < cluster->second.write_call) return false;
    cluster->second.add(entry.call, entry.returned);
  }
  // A write that may have had no effect had none if nobody saw it, and else stands with its reads.
  return zones_are_apart(clusters);
}

}  // namespace raftkv::client::check
