// What one call of the dataset costs, and one key in memory, beside absl::flat_hash_map<string,
// string> in the same run:
//
//   data_bench [keys] [value bytes]
//
// Keys are met in random order, so that at a million of them each lookup misses the caches. Times
// are of the processor, not of the wall clock, so that other programs disturb less (they still
// share caches and memory). "slowest" is the longest single call: it shows that no call pays for a
// whole resize.
#include <absl/container/flat_hash_map.h>
#include <absl/strings/string_view.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "storage/data/keyspace.h"

namespace {

using raftkv::data::Clock;
using raftkv::data::CutKind;
using raftkv::data::Entry;
using raftkv::data::IntBuffer;
using raftkv::data::Keyspace;
using raftkv::data::TimeMs;

constexpr TimeMs kNow = 1'700'000'000'000;
constexpr size_t kBatch = 16;
constexpr size_t kCutSlice = 64;
constexpr size_t kBlockBytes = size_t{256} << 10;

volatile size_t sink;  // what is computed for nothing goes here, so that it is computed

// Keys of one length, one behind the other in the order of their use: reading them costs nothing.
class Keys {
 public:
  Keys(std::string_view prefix, const std::vector<uint32_t>& numbers) {
    for (const uint32_t number : numbers) bytes_ += fmt::format("{}{:012}", prefix, number);
    length_ = bytes_.size() / numbers.size();
  }
  std::string_view operator[](size_t i) const { return {bytes_.data() + i * length_, length_}; }
  size_t length() const { return length_; }

 private:
  std::string bytes_;
  size_t length_ = 0;
};

std::vector<uint32_t> shuffled(size_t count, uint64_t seed) {
  std::vector<uint32_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  std::shuffle(numbers.begin(), numbers.end(), std::mt19937_64(seed));
  return numbers;
}

struct Workload {
  Workload(size_t key_count, size_t value_bytes)
      : count(key_count),
        inserted("key:", shuffled(key_count, 1)),
        used("key:", shuffled(key_count, 2)),
        erased("key:", shuffled(key_count, 3)),
        absent("not:", shuffled(key_count, 4)),
        value(value_bytes, 'v'),
        other_value(value_bytes, 'w') {}

  size_t count;
  Keys inserted;
  Keys used;
  Keys erased;
  Keys absent;
  std::string value;
  std::string other_value;
};

double processor_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  size_t total_pages = 0;
  size_t resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return resident_pages * 4096;
}

// Runs `call(i)` for each i below `calls`, and prints the mean over `keys` keys.
template <typename Call>
void measure(std::string_view name, size_t calls, size_t keys, Call call) {
  const double start = processor_ns();
  for (size_t i = 0; i < calls; ++i) call(i);
  fmt::print("  {:<28} {:8.1f} ns\n", name, (processor_ns() - start) / static_cast<double>(keys));
}

template <typename Call>
void measure_slowest(std::string_view name, size_t calls, Call call) {
  double slowest = 0;
  for (size_t i = 0; i < calls; ++i) {
    const double start = processor_ns();
    call(i);
    slowest = std::max(slowest, processor_ns() - start);
  }
  fmt::print("  {:<28} {:8.1f} us\n", name, slowest / 1000);
}

void print_memory(size_t resident_before, const Workload& load) {
  const double bytes =
      static_cast<double>(resident_bytes() - resident_before) / static_cast<double>(load.count);
  const auto payload = static_cast<double>(load.inserted.length() + load.value.size());
  fmt::print("  {:<28} {:8.1f} bytes a key, {:.1f} over key and value\n", "resident", bytes,
             bytes - payload);
}

void measure_lookups(const Workload& load, const Keyspace& keyspace) {
  const auto get = [&](std::string_view key) {
    Clock clock = Clock::at(kNow);
    const auto* entry = keyspace.find(key, clock);
    if (entry == nullptr) return;
    IntBuffer buffer;
    sink = sink + static_cast<unsigned char>(Keyspace::string_of(*entry, buffer).back());
  };
  const size_t n = load.count;
  measure("get, hit", n, n, [&](size_t i) { get(load.used[i]); });
  measure("get, hit, prefetched by 16", n / kBatch, n, [&](size_t batch) {
    std::string_view keys[kBatch];
    for (size_t i = 0; i < kBatch; ++i) keys[i] = load.used[kBatch * batch + i];
    keyspace.prefetch(keys);
    for (const std::string_view key : keys) get(key);
  });
  measure("get, miss", n, n, [&](size_t i) { get(load.absent[i]); });
  measure("random_entry", n / 10, n / 10,
          [&](size_t i) { sink = sink + Keyspace::key_of(*keyspace.random_entry(i)).size(); });
  measure("digest, per key", 1, n, [&](size_t) { sink = sink + keyspace.digest(kNow).low; });
}

// The walk of a snapshot, in slices, with a copy of what it finds.
void measure_cut(size_t keys, Keyspace& keyspace) {
  std::string block;
  keyspace.begin_cut(CutKind::kSnapshot, [&](const Entry& entry) {
    IntBuffer buffer;
    if (block.size() >= kBlockBytes) block.clear();
    block += Keyspace::key_of(entry);
    block += Keyspace::string_of(entry, buffer);
  });
  measure("cut, per key", 1, keys, [&](size_t) {
    while (keyspace.advance_cut(CutKind::kSnapshot, kCutSlice)) {
    }
  });
  sink = sink + block.size();
}

void run_keyspace(const Workload& load) {
  fmt::print("keyspace\n");
  const size_t n = load.count;
  const size_t resident_before = resident_bytes();
  Keyspace keyspace(1);
  measure("set, new", n, n, [&](size_t i) { keyspace.set_string(load.inserted[i], load.value); });
  print_memory(resident_before, load);
  fmt::print("  {:<28} {:8.1f} bytes a key\n", "memory_used()",
             static_cast<double>(keyspace.memory_used()) / static_cast<double>(n));
  measure_lookups(load, keyspace);
  measure_cut(n, keyspace);
  measure("set, overwrite", n, n,
          [&](size_t i) { keyspace.set_string(load.used[i], load.other_value); });
  measure("set_expiry, first", n, n,
          [&](size_t i) { keyspace.set_expiry(load.used[i], kNow + 1 + static_cast<TimeMs>(i)); });
  print_memory(resident_before, load);
  measure("set, overwrite, new expiry", n, n, [&](size_t i) {
    keyspace.set_string(load.inserted[i], load.value, kNow + static_cast<TimeMs>(n + i));
  });
  measure("expire_due", n / 2 / kBatch, n / 2,
          [&](size_t) { keyspace.expire_due(kNow + static_cast<TimeMs>(2 * n), kBatch); });
  keyspace.clear();
  measure("clear, in slices", 1, n / 2, [&](size_t) {
    while (keyspace.work_slice(16)) {
    }
  });
  measure_slowest("slowest set, new", n,
                  [&](size_t i) { keyspace.set_string(load.inserted[i], load.value); });
  measure_slowest("slowest erase", n / 2, [&](size_t i) { keyspace.erase(load.erased[i]); });
  measure("erase", n - n / 2, n - n / 2, [&](size_t i) { keyspace.erase(load.erased[n / 2 + i]); });
}

void run_flat_hash_map(const Workload& load) {
  fmt::print("absl::flat_hash_map<string, string>\n");
  const size_t n = load.count;
  // Abseil may have been built with a string_view of its own.
  const auto to_absl = [](std::string_view key) {
    return absl::string_view(key.data(), key.size());
  };
  const size_t resident_before = resident_bytes();
  absl::flat_hash_map<std::string, std::string> map;
  measure("set, new", n, n,
          [&](size_t i) { map.insert_or_assign(to_absl(load.inserted[i]), load.value); });
  print_memory(resident_before, load);
  const auto get = [&](std::string_view key) {
    const auto found = map.find(to_absl(key));
    if (found != map.end()) sink = sink + static_cast<unsigned char>(found->second.back());
  };
  measure("get, hit", n, n, [&](size_t i) { get(load.used[i]); });
  measure("get, miss", n, n, [&](size_t i) { get(load.absent[i]); });
  measure("set, overwrite", n, n,
          [&](size_t i) { map.insert_or_assign(to_absl(load.used[i]), load.other_value); });
  map = {};
  measure_slowest("slowest set, new", n,
                  [&](size_t i) { map.insert_or_assign(to_absl(load.inserted[i]), load.value); });
  measure_slowest("slowest erase", n / 2, [&](size_t i) { map.erase(to_absl(load.erased[i])); });
  measure("erase", n - n / 2, n - n / 2,
          [&](size_t i) { map.erase(to_absl(load.erased[n / 2 + i])); });
}

}  // namespace

int main(int argc, char** argv) {
  const size_t keys = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  const size_t value_bytes = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 64;
  if (keys < 100 || keys > 100'000'000 || value_bytes == 0 || value_bytes > 1'000'000) {
    fmt::print(stderr, "usage: data_bench [keys, 100 to 100000000] [value bytes, 1 to 1000000]\n");
    return 1;
  }
  const Workload load(keys, value_bytes);
  fmt::print("{} keys of {} bytes, values of {} bytes\n", keys, load.inserted.length(),
             value_bytes);
  run_keyspace(load);  // first, while the heap is fresh
  run_flat_hash_map(load);
  return 0;
}
