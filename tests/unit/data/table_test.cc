// Growing, shrinking, scanning and drawing from the hash table.
#include "storage/data/table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

namespace raftkv::data {
namespace {

std::string key_of(size_t number) {
  return "key:" + std::to_string(number);
}

void put(Table& table, const std::string& key) {
  table.insert(Entry::create(key, Entry::kIntegerRoom, false), table.hash(key));
}

void drop(Table& table, const std::string& key) {
  Entry* entry = table.take(key, table.hash(key));
  ASSERT_NE(entry, nullptr);
  Entry::destroy(entry);
}

bool has(Table& table, const std::string& key) {
  return table.find(key, table.hash(key)) != nullptr;
}

TEST(Table, FindsWhatIsInItAndNothingElse) {
  Table table(1);
  for (size_t i = 0; i < 10'000; ++i) put(table, key_of(i));
  for (size_t i = 0; i < 10'000; ++i) {
    Entry** slot = table.find(key_of(i), table.hash(key_of(i)));
    ASSERT_NE(slot, nullptr);
    ASSERT_EQ((*slot)->key(), key_of(i));
  }
  for (size_t i = 10'000; i < 20'000; ++i) ASSERT_FALSE(has(table, key_of(i)));
  EXPECT_EQ(table.take("absent", table.hash("absent")), nullptr);
}

// No call may pay for a whole resize: the number of buckets moves by one at most.
TEST(Table, GrowsAndShrinksByAtMostOneBucketACall) {
  constexpr size_t kKeys = 1'000'000;
  Table table(2);
  size_t buckets = table.bucket_count();
  const size_t buckets_empty = buckets;
  for (size_t i = 0; i < kKeys; ++i) {
    put(table, key_of(i));
    ASSERT_LE(table.bucket_count(), buckets + 1);
    buckets = table.bucket_count();
  }
  // Four to five entries a bucket: about 15 bytes an entry, overflow buckets included.
  EXPECT_GT(buckets, kKeys / 5);
  EXPECT_LT(buckets, kKeys / 4);
  EXPECT_LT(table.memory(), kKeys * 17);
  for (size_t i = 0; i < kKeys; ++i) {
    drop(table, key_of(i));
    ASSERT_GE(table.bucket_count() + 1, buckets);
    buckets = table.bucket_count();
    ASSERT_LE(buckets, std::max<size_t>(table.size(), buckets_empty));
  }
  EXPECT_EQ(table.size(), 0U);
  EXPECT_EQ(buckets, buckets_empty);
}

TEST(Table, GivesBackAllMemoryThatItGrewBy) {
  Table table(3);
  const size_t memory_empty = table.memory();
  EXPECT_LT(memory_empty, 512U);
  for (size_t round = 0; round < 3; ++round) {
    for (size_t i = 0; i < 60'000; ++i) put(table, key_of(i));
    EXPECT_GT(table.memory(), 60'000U * 10);
    for (size_t i = 0; i < 60'000; ++i) drop(table, key_of(i));
    EXPECT_EQ(table.memory(), memory_empty);
  }
}

TEST(Table, ASizeThatSwingsDoesNotMakeTheTableSwing) {
  Table table(4);
  for (size_t i = 0; i < 100; ++i) {
    put(table, key_of(i));
    put(table, "swinging");
    const size_t buckets = table.bucket_count();
    drop(table, "swinging");
    ASSERT_EQ(table.bucket_count(), buckets);
    put(table, "swinging");
    ASSERT_EQ(table.bucket_count(), buckets);
    drop(table, "swinging");
  }
}

TEST(Table, AReplacedEntryIsFoundInstead) {
  Table table(5);
  put(table, "key");
  Entry** slot = table.find("key", table.hash("key"));
  Entry* fresh = Entry::create("key", Entry::kIntegerRoom, false);
  fresh->set_integer(7);
  Entry::destroy(std::exchange(*slot, fresh));
  EXPECT_EQ((*table.find("key", table.hash("key")))->integer(), 7);
}

TEST(Table, DrainFreesEverythingInSlices) {
  Table table(6);
  size_t bytes = 0;
  for (size_t i = 0; i < 20'000; ++i) put(table, key_of(i));
  table.for_each([&](const Entry& entry) { bytes += entry.memory(); });
  size_t freed = 0;
  size_t slices = 0;
  while (!table.drained()) {
    const size_t before = table.size();
    freed += table.drain(10);
    ++slices;
    ASSERT_LE(before - table.size(), 10U * 40);
  }
  EXPECT_EQ(freed, bytes);
  EXPECT_EQ(table.size(), 0U);
  EXPECT_GT(slices, 400U);
}

// --- scan --------------------------------------------------------------------------------------

std::vector<std::string> scan_all(const Table& table, size_t count) {
  std::vector<std::string> keys;
  uint64_t cursor = 0;
  do {
    cursor = table.scan(cursor, count, [&](const Entry& entry) { keys.emplace_back(entry.key()); });
  } while (cursor != 0);
  return keys;
}

TEST(TableScan, VisitsEachEntryOnceWhileNothingChanges) {
  for (const size_t size : {0U, 1U, 17U, 18U, 19U, 100U, 5000U}) {
    Table table(7);
    for (size_t i = 0; i < size; ++i) put(table, key_of(i));
    const auto keys = scan_all(table, 10);
    const std::unordered_set<std::string> distinct(keys.begin(), keys.end());
    EXPECT_EQ(keys.size(), size);
    EXPECT_EQ(distinct.size(), size);
  }
}

TEST(TableScan, ACallVisitsAboutAsManyAsItWasAskedFor) {
  Table table(8);
  for (size_t i = 0; i < 100'000; ++i) put(table, key_of(i));
  uint64_t cursor = 0;
  do {
    size_t visited = 0;
    cursor = table.scan(cursor, 10, [&](const Entry&) { ++visited; });
    ASSERT_TRUE(cursor == 0 || visited >= 10);
    ASSERT_LE(visited, 60U);
  } while (cursor != 0);
}

TEST(TableScan, ACursorFromNowhereIsHarmless) {
  Table table(9);
  for (size_t i = 0; i < 1000; ++i) put(table, key_of(i));
  std::mt19937_64 random(9);
  for (int i = 0; i < 1000; ++i) {
    uint64_t cursor = random();
    size_t calls = 0;
    do {
      cursor = table.scan(cursor, 100, [](const Entry&) {});
      ASSERT_LE(++calls, 1000U);
    } while (cursor != 0);
  }
}

// The promise of SCAN. Some keys stay all the time; others come and go between the calls, so that
// the table grows or shrinks through several levels, to and fro, while the cursor is on its way.
TEST(TableScan, VisitsWhatStaysAllTheTimeHoweverTheTableGrowsAndShrinks) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    Table table(seed);
    const size_t staying = 1 + random() % 300;
    for (size_t i = 0; i < staying; ++i) put(table, "stays:" + std::to_string(i));
    size_t others = 0;
    const size_t others_max = 1 + random() % 8000;
    const auto resize_to = [&](size_t target) {
      while (others < target) put(table, key_of(others++));
      while (others > target) drop(table, key_of(--others));
    };
    resize_to(random() % others_max);

    std::unordered_set<std::string> seen;
    uint64_t cursor = 0;
    size_t calls = 0;
    do {
      cursor = table.scan(cursor, 1 + random() % 20,
                          [&](const Entry& entry) { seen.emplace(entry.key()); });
      if (++calls % (1 + random() % 4) == 0) resize_to(random() % others_max);
    } while (cursor != 0);
    for (size_t i = 0; i < staying; ++i) {
      ASSERT_TRUE(seen.contains("stays:" + std::to_string(i)));
    }
  }
}

// --- random ------------------------------------------------------------------------------------

TEST(TableRandom, AnEmptyTableHasNone) {
  const Table table(10);
  EXPECT_EQ(table.random(123), nullptr);
}

TEST(TableRandom, EveryEntryHasTheSameChance) {
  // 1500 entries: some buckets are split already, others still hold twice as many.
  constexpr size_t kKeys = 1500;
  constexpr size_t kDraws = 600'000;
  Table table(11);
  for (size_t i = 0; i < kKeys; ++i) put(table, key_of(i));
  std::map<std::string, size_t> drawn;
  for (size_t i = 0; i < kDraws; ++i) ++drawn[std::string(table.random(i)->key())];
  ASSERT_EQ(drawn.size(), kKeys);
  const double mean = static_cast<double>(kDraws) / kKeys;
  double chi_square = 0;
  for (const auto& [key, count] : drawn) {
    const double deviation = static_cast<double>(count) - mean;
    chi_square += deviation * deviation / mean;
  }
  // With n - 1 degrees of freedom it is n - 1 on the average, with a deviation of sqrt(2n).
  EXPECT_LT(chi_square, kKeys + 6 * std::sqrt(2.0 * kKeys));
}

TEST(TableRandom, DrawsTheOnlyOneOfAShrunkTable) {
  Table table(12);
  for (size_t i = 0; i < 10'000; ++i) put(table, key_of(i));
  for (size_t i = 1; i < 10'000; ++i) drop(table, key_of(i));
  for (uint64_t i = 0; i < 100; ++i) EXPECT_EQ(table.random(i)->key(), key_of(0));
}

}  // namespace
}  // namespace raftkv::data
