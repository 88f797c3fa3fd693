// Latencies in buckets whose width grows with the value, so that a percentile is right to within 1
// % whatever the range, in fixed memory.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace raftkv::client {

class LatencyHistogram {
 public:
  LatencyHistogram();

  void add(std::chrono::nanoseconds latency, uint64_t times = 1);
  void merge(const LatencyHistogram& other);

  uint64_t count() const { return count_; }
  // The latency that `share` (0 to 1) of all did not exceed; 0 if there were none.
  std::chrono::nanoseconds percentile(double share) const;

 private:
  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
};

}  // namespace raftkv::client
