// Adds up what happened in several simulated clusters, and says it.
#pragma once

#include <string>

#include "tests/sim/sim_cluster.h"

namespace raftkv::sim {

void add(SimCluster::Totals& sum, const SimCluster::Totals& totals);
// A few lines.
std::string to_text(const SimCluster::Totals& totals);

}  // namespace raftkv::sim
