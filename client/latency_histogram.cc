#include "client/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace raftkv::client {
namespace {

// Each power of two is cut into this many equal buckets: the middle of one is off by less than
// 1/256 of its value.
constexpr int kSubBits = 7;
constexpr uint64_t kSubBuckets = uint64_t{1} << kSubBits;
constexpr int kRangeBits = 42;  // 2^42 ns is over an hour; what took longer counts as that
constexpr uint64_t kValueMax = (uint64_t{1} << kRangeBits) - 1;
constexpr size_t kBuckets = (kRangeBits - kSubBits + 1) * kSubBuckets;

// How many low bits the bucket of `value` leaves out.
int coarseness(uint64_t value) {
  return std::max(0, static_cast<int>(std::bit_width(value)) - kSubBits - 1);
}

size_t bucket_of(uint64_t value) {
  const int shift = coarseness(value);
  return static_cast<size_t>(shift) * kSubBuckets + (value >> shift);
}

uint64_t middle_of(size_t bucket) {
  if (bucket < 2 * kSubBuckets) return bucket;
  const size_t shift = bucket / kSubBuckets - 1;
  const uint64_t low = (bucket - shift * kSubBuckets) << shift;
  return low + (uint64_t{1} << shift) / 2;
}

}  // namespace

LatencyHistogram::LatencyHistogram() : buckets_(kBuckets) {}

void LatencyHistogram::add(std::chrono::nanoseconds latency, uint64_t times) {
  const auto value = static_cast<uint64_t>(std::max<int64_t>(latency.count(), 0));
  buckets_[bucket_of(std::min(value, kValueMax))] += times;
  count_ += times;
}

void LatencyHistogram::merge(const LatencyHistogram& other) {
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
}

std::chrono::nanoseconds LatencyHistogram::percentile(double share) const {
  if (count_ == 0) return {};
  const double rank = std::clamp(share, 0.0, 1.0) * static_cast<double>(count_);
  const uint64_t wanted = std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(rank)));
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= wanted) return std::chrono::nanoseconds(middle_of(i));
  }
  return std::chrono::nanoseconds(kValueMax);
}

}  // namespace raftkv::client
