#include "tests/sim/sim_totals.h"

#include <fmt/format.h>

#include <iterator>
#include <utility>

namespace raftkv::sim {

namespace {

using Totals = SimCluster::Totals;

struct Count {
  uint64_t Totals::*value;
  const char* name;
};
// A line each.
constexpr Count kClients[] = {
    {&Totals::acknowledged, "commands acknowledged"},
    {&Totals::unknown, "of unknown outcome"},
    {&Totals::refused, "refused"},
    {&Totals::once_retries, "retries in sessions"},
    {&Totals::once_duplicates, "answered from what was kept"},
    {&Totals::judged, "operations judged as a history"},
    {&Totals::undecided, "histories undecided"},
};
constexpr Count kCluster[] = {
    {&Totals::leaders, "leaders"},
    {&Totals::snapshots, "snapshots taken"},
    {&Totals::installs, "installed"},
    {&Totals::log_cuts, "log cuts"},
    {&Totals::changes, "memberships"},
    {&Totals::repairs, "repairs"},
    {&Totals::transfers, "hand-overs asked for"},
    {&Totals::digest_checks, "digests compared"},
};
constexpr Count kMessages[] = {
    {&Totals::messages, "messages"},
    {&Totals::lost, "lost"},
    {&Totals::duplicated, "duplicated"},
    {&Totals::reordered, "out of order"},
    {&Totals::late, "late by election timeouts"},
    {&Totals::cut_off, "behind a partition"},
    {&Totals::partitions, "partitions"},
    {&Totals::one_way, "one-way"},
    {&Totals::hunts, "that followed the leader"},
    {&Totals::forsakings, "leaders deaf after a hand-over"},
    {&Totals::coups, "leaders whose followers forgot them"},
    {&Totals::stuns, "leaders cut off and stopped"},
    {&Totals::returns, "hand-overs to who led before"},
};
constexpr Count kProcesses[] = {
    {&Totals::crashes, "crashes"},
    {&Totals::crashes_at_write, "at a write"},
    {&Totals::pauses, "pauses"},
    {&Totals::clock_jumps, "jumps of wall clocks"},
};
constexpr Count kDisks[] = {
    {&Totals::full_disks, "full disks"},
    {&Totals::disk_hangs, "hung disks"},
    {&Totals::failed_syncs, "failed syncs"},
    {&Totals::flipped_bits, "flipped bits"},
    {&Totals::damaged_files, "damaged snapshots met"},
    {&Totals::lost_files, "broken transfers of snapshots"},
    {&Totals::flipped_files, "damaged on the way"},
    {&Totals::wipes, "disks gone for good"},
};

template <typename Do>
void for_each_count(Do&& act) {
  for (const auto& count : kClients) act(count);
  for (const auto& count : kCluster) act(count);
  for (const auto& count : kMessages) act(count);
  for (const auto& count : kProcesses) act(count);
  for (const auto& count : kDisks) act(count);
}

constexpr size_t kTimes = 2;  // simulated_us and states
static_assert((std::size(kClients) + std::size(kCluster) + std::size(kMessages) +
               std::size(kProcesses) + std::size(kDisks) + kTimes) *
                      sizeof(uint64_t) ==
                  sizeof(Totals),
              "a count is missing");

template <size_t N>
std::string line(const char* head, const Count (&counts)[N], const Totals& totals) {
  std::string text = head;
  const char* separator = ": ";
  for (const Count& count : counts) {
    text += fmt::format("{}{} {}", std::exchange(separator, ", "), totals.*count.value, count.name);
  }
  return text + "\n";
}

}  // namespace

void add(SimCluster::Totals& sum, const SimCluster::Totals& totals) {
  sum.simulated_us += totals.simulated_us;
  sum.states += totals.states;
  for_each_count([&](const Count& count) { sum.*count.value += totals.*count.value; });
}

std::string to_text(const SimCluster::Totals& totals) {
  return fmt::format("{:.2f} simulated hours, {} states checked\n",
                     static_cast<double>(totals.simulated_us) / 3.6e9, totals.states) +
         line("clients", kClients, totals) + line("cluster", kCluster, totals) +
         line("network", kMessages, totals) + line("processes", kProcesses, totals) +
         line("disks", kDisks, totals);
}

}  // namespace raftkv::sim
