#include "client/latency_histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace raftkv::client {
namespace {

using std::chrono::hours;
using std::chrono::nanoseconds;

TEST(LatencyHistogram, IsZeroWhenEmpty) {
  EXPECT_EQ(LatencyHistogram().percentile(0.5).count(), 0);
}

TEST(LatencyHistogram, IsExactForSmallValues) {
  LatencyHistogram histogram;
  for (int i = 1; i <= 100; ++i) histogram.add(nanoseconds(i));
  EXPECT_EQ(histogram.percentile(0.0).count(), 1);
  EXPECT_EQ(histogram.percentile(0.5).count(), 50);
  EXPECT_EQ(histogram.percentile(0.99).count(), 99);
  EXPECT_EQ(histogram.percentile(1.0).count(), 100);
}

TEST(LatencyHistogram, IsWithinOnePercentOfASortedListOverTheWholeRange) {
  std::mt19937_64 random(1);
  std::vector<int64_t> sorted;
  LatencyHistogram one;
  LatencyHistogram two;
  for (int i = 0; i < 20'000; ++i) {
    const auto value = static_cast<int64_t>(
        std::exp(std::uniform_real_distribution<double>(0, std::log(3.6e12))(random)));
    sorted.push_back(value);
    (i % 2 == 0 ? one : two).add(nanoseconds(value));
  }
  one.merge(two);
  EXPECT_EQ(one.count(), sorted.size());
  std::sort(sorted.begin(), sorted.end());
  for (const double share : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999}) {
    const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(sorted.size())));
    const auto truth = static_cast<double>(sorted[rank - 1]);
    EXPECT_NEAR(static_cast<double>(one.percentile(share).count()), truth, truth * 0.01) << share;
  }
}

TEST(LatencyHistogram, CountsRepeatedValuesAndClampsWhatIsOutOfRange) {
  LatencyHistogram histogram;
  histogram.add(nanoseconds(-5), 3);
  histogram.add(hours(1000));
  EXPECT_EQ(histogram.count(), 4U);
  EXPECT_EQ(histogram.percentile(0.75).count(), 0);
  EXPECT_GT(histogram.percentile(1.0), hours(1));
}

}  // namespace
}  // namespace raftkv::client
