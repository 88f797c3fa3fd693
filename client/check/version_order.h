// Whether versions of one register can be put into one order that keeps to several partial orders.
#pragma once

#include <cstdint>
#include <vector>

#include "client/check/operation.h"

namespace raftkv::client::check {

class VersionOrder {
 public:
  explicit VersionOrder(uint32_t versions) : versions_(versions), edges_(versions) {}

  struct Sighting {
    const Operation* operation = nullptr;
    uint32_t version = 0;
  };

  // Of two sightings of which one returned before the other was called, the first one's version is
  // not the newer one.
  void add_by_time(std::vector<Sighting> sightings);

  // Sightings that contradict each other, shortest circle from its version on; empty: all is well.
  [[nodiscard]] std::vector<Sighting> contradiction() const;

 private:
  struct Edge {
    uint32_t to = 0;
    Sighting seen;  // at its version's end; no operation between two points in time
  };

  [[nodiscard]] std::vector<uint32_t> components() const;
  [[nodiscard]] std::vector<Sighting> path(uint32_t from, uint32_t to) const;

  uint32_t versions_;                     // the first nodes; points in time follow
  std::vector<std::vector<Edge>> edges_;  // by node
};

}  // namespace raftkv::client::check
