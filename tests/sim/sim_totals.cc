#include "tests/sim/sim_totals.h"

#include <fmt/format.h>

namespace raftkv::sim {

void add(SimCluster::Totals& sum, const SimCluster::Totals& totals) {
  using Totals = SimCluster::Totals;
  constexpr uint64_t Totals::*kCounts[] = {
      &Totals::acknowledged,    &Totals::unknown,       &Totals::refused,    &Totals::leaders,
      &Totals::crashes,         &Totals::partitions,    &Totals::pauses,     &Totals::messages,
      &Totals::snapshots,       &Totals::installs,      &Totals::log_cuts,   &Totals::changes,
      &Totals::repairs,         &Totals::damaged_files, &Totals::full_disks, &Totals::once_retries,
      &Totals::once_duplicates, &Totals::digest_checks,
  };
  static_assert(std::size(kCounts) * sizeof(uint64_t) == sizeof(Totals), "a count is missing");
  for (uint64_t Totals::*count : kCounts) sum.*count += totals.*count;
}

std::string to_text(const SimCluster::Totals& t) {
  return fmt::format(
      "{} commands acknowledged, {} unknown, {} refused, {} leaders, {} crashes, {} partitions, {} "
      "pauses, {} retries in sessions, {} answered from what was kept\n"
      "{} snapshots taken, {} installed, {} log cuts, {} changes of members, {} repairs, {} "
      "damaged "
      "files, {} full disks, {} digests compared\n",
      t.acknowledged, t.unknown, t.refused, t.leaders, t.crashes, t.partitions, t.pauses,
      t.once_retries, t.once_duplicates, t.snapshots, t.installs, t.log_cuts, t.changes, t.repairs,
      t.damaged_files, t.full_disks, t.digest_checks);
}

}  // namespace raftkv::sim
