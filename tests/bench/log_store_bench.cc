// How many synced groups a second the log store writes, on the disk of the current directory:
//   mkdir -p /some/disk/bench && cd /some/disk/bench && log_store_bench
// The disk decides; compare with `fio --fsync=1` or a Redis with `appendfsync always` beside it.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "storage/log/rocks_log_store.h"

namespace raftkv::storage {
namespace {

constexpr char kDirectory[] = "log_store_bench.dir";

std::unique_ptr<RocksLogStore> open_store(const RocksLogOptions& options) {
  auto opened = RocksLogStore::open(kDirectory, options);
  if (!opened || !(*opened)->recover()) std::abort();
  return *std::move(opened);
}

raft::Payload random_payload(size_t bytes) {
  std::mt19937_64 random(1);
  std::string payload(bytes, '\0');
  for (char& byte : payload) byte = static_cast<char>(random());
  return std::make_shared<const std::string>(std::move(payload));
}

raft::Persist next_persist(raft::Index index, const raft::Payload& payload) {
  raft::Persist persist;
  persist.entries.push_back({.term = 1,
                             .index = index,
                             .time_us = index,
                             .kind = raft::EntryKind::kCommands,
                             .payload = payload});
  return persist;
}

double percentile(std::vector<double>& sorted_us, double share) {
  return sorted_us[static_cast<size_t>(share * static_cast<double>(sorted_us.size() - 1))];
}

// Arguments: bytes a group, spare write-ahead log files.
void synced_groups(benchmark::State& state) {
  std::filesystem::remove_all(kDirectory);
  const auto payload = random_payload(static_cast<size_t>(state.range(0)));
  auto store = open_store({.spare_wal_files = static_cast<size_t>(state.range(1))});
  std::vector<double> took_us;
  raft::Index index = 0;
  for (auto _ : state) {
    const auto begin = std::chrono::steady_clock::now();
    const raft::Persist persist = next_persist(++index, payload);
    const raft::Persist* group[] = {&persist};
    if (!store->write(group)) state.SkipWithError("the write failed");
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
    took_us.push_back(took.count());
  }
  std::ranges::sort(took_us);
  state.counters["p50_us"] = percentile(took_us, 0.5);
  state.counters["p99_us"] = percentile(took_us, 0.99);
  state.counters["p99.9_us"] = percentile(took_us, 0.999);
  state.counters["groups/s"] =
      benchmark::Counter(static_cast<double>(index), benchmark::Counter::kIsRate);
  state.SetBytesProcessed(state.iterations() * state.range(0));
  store.reset();
  std::filesystem::remove_all(kDirectory);
}
BENCHMARK(synced_groups)
    ->ArgNames({"bytes", "spares"})
    ->Args({200, 0})
    ->Args({200, 2})
    ->Args({6 << 10, 0})
    ->Args({6 << 10, 2})
    ->Args({64 << 10, 0})
    ->Args({64 << 10, 2})
    ->UseRealTime()
    ->MeasureProcessCPUTime()
    ->MinTime(4);

// A store of 400 MB: opening, and checking every record.
void recovery(benchmark::State& state) {
  std::filesystem::remove_all(kDirectory);
  {
    auto store = open_store({});
    const auto payload = random_payload(64 << 10);
    for (raft::Index index = 1; index <= 6400; index += 16) {
      raft::Persist persist;
      for (raft::Index i = index; i < index + 16; ++i) {
        persist.entries.push_back(next_persist(i, payload).entries.front());
      }
      const raft::Persist* group[] = {&persist};
      if (!store->write(group)) state.SkipWithError("the write failed");
    }
  }
  for (auto _ : state) benchmark::DoNotOptimize(open_store({}));
  state.SetBytesProcessed(state.iterations() * 6400 * (64 << 10));
  std::filesystem::remove_all(kDirectory);
}
BENCHMARK(recovery)->UseRealTime()->Unit(benchmark::kMillisecond);

// What a follower that fell behind costs: a megabyte of entries from the store's middle.
void read_a_megabyte(benchmark::State& state) {
  std::filesystem::remove_all(kDirectory);
  auto store = open_store({});
  const auto payload = random_payload(static_cast<size_t>(state.range(0)));
  const auto count = static_cast<raft::Index>((64 << 20) / state.range(0));
  for (raft::Index index = 1; index <= count;) {
    raft::Persist persist;
    for (int i = 0; i < 256 && index <= count; ++i, ++index) {
      persist.entries.push_back(next_persist(index, payload).entries.front());
    }
    const raft::Persist* group[] = {&persist};
    if (!store->write(group)) state.SkipWithError("the write failed");
  }
  for (auto _ : state) {
    std::vector<raft::Entry> out;
    store->read(count / 4, count, size_t{1} << 20, out);
    benchmark::DoNotOptimize(out);
  }
  state.SetBytesProcessed(state.iterations() << 20);
  store.reset();
  std::filesystem::remove_all(kDirectory);
}
BENCHMARK(read_a_megabyte)->ArgName("bytes")->Arg(200)->Arg(6 << 10)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace raftkv::storage

BENCHMARK_MAIN();
