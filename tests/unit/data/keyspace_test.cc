// The keyspace's promises one by one: values, time, clearing, memory, digest.
#include "storage/data/keyspace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace raftkv::data {
namespace {

constexpr TimeMs kNow = 1'000'000;

const Entry* find(const Keyspace& keyspace, std::string_view key, TimeMs now = kNow) {
  Clock clock = Clock::at(now);
  return keyspace.find(key, clock);
}

std::string get(const Keyspace& keyspace, std::string_view key, TimeMs now = kNow) {
  const Entry* entry = find(keyspace, key, now);
  if (entry == nullptr) return "(absent)";
  IntBuffer buffer;
  return std::string(Keyspace::string_of(*entry, buffer));
}

std::string encoding(const Keyspace& keyspace, std::string_view key) {
  const Entry* entry = find(keyspace, key);
  return entry == nullptr ? "(absent)" : Keyspace::encoding_of(*entry);
}

// --- values ------------------------------------------------------------------------------------

TEST(KeyspaceStrings, AStringInCanonicalIntegerFormIsKeptAsAnInteger) {
  Keyspace keyspace(1);
  for (const char* text : {"0", "7", "-1", "42", "9223372036854775807", "-9223372036854775808"}) {
    keyspace.set_string("k", text);
    EXPECT_EQ(encoding(keyspace, "k"), "int") << text;
    EXPECT_EQ(get(keyspace, "k"), text);
    EXPECT_EQ(Keyspace::integer_of(*find(keyspace, "k")), std::stoll(text));
    EXPECT_EQ(Keyspace::string_length(*find(keyspace, "k")), std::string_view(text).size());
  }
}

TEST(KeyspaceStrings, OtherNumbersAreText) {
  Keyspace keyspace(1);
  for (const char* text :
       {"", "-", "+1", "-0", "00", "007", "-01", " 1", "1 ", "1.0", "1e3", "0x10", "12a",
        "9223372036854775808", "-9223372036854775809", "123456789012345678901"}) {
    keyspace.set_string("k", text);
    EXPECT_EQ(encoding(keyspace, "k"), "embstr") << text;
    EXPECT_EQ(get(keyspace, "k"), text);
    EXPECT_EQ(Keyspace::integer_of(*find(keyspace, "k")), std::nullopt);
  }
}

TEST(KeyspaceStrings, UpTo44BytesAreEmbstrAndLongerOnesRaw) {
  Keyspace keyspace(1);
  for (const size_t length : {1U, 44U}) {
    keyspace.set_string("k", std::string(length, 'x'));
    EXPECT_EQ(encoding(keyspace, "k"), "embstr");
  }
  for (const size_t length : {45U, 384U, 385U, 100'000U}) {
    keyspace.set_string("k", std::string(length, 'x'));
    EXPECT_EQ(encoding(keyspace, "k"), "raw");
  }
}

TEST(KeyspaceStrings, WhatWasWrittenIntoIsRawUntilItIsSetAgain) {
  Keyspace keyspace(1);
  keyspace.set_string("k", "12");
  EXPECT_EQ(keyspace.write_range("k", 2, "3"), 3U);
  EXPECT_EQ(get(keyspace, "k"), "123");
  EXPECT_EQ(encoding(keyspace, "k"), "raw");
  keyspace.rename("k", "other");
  EXPECT_EQ(encoding(keyspace, "other"), "raw");
  keyspace.copy("other", "k");
  EXPECT_EQ(encoding(keyspace, "k"), "raw");
  keyspace.replace_integer("k", 124);
  EXPECT_EQ(encoding(keyspace, "k"), "int");
  keyspace.set_string("other", "abc");
  EXPECT_EQ(encoding(keyspace, "other"), "embstr");
}

TEST(KeyspaceStrings, ALongIntegerBecomesTheStartOfALongString) {
  Keyspace keyspace(1);
  const std::string text = "-9223372036854775808";
  for (const size_t offset : {20U, 500U}) {
    keyspace.set_string("k", text);
    EXPECT_EQ(keyspace.write_range("k", offset, std::string(1000, 'x')), offset + 1000);
    EXPECT_EQ(get(keyspace, "k"), text + std::string(offset - 20, '\0') + std::string(1000, 'x'));
  }
}

TEST(KeyspaceStrings, AWriteBehindTheEndFillsTheGapWithZeros) {
  Keyspace keyspace(1);
  EXPECT_EQ(keyspace.write_range("new", 3, "x"), 4U);
  EXPECT_EQ(get(keyspace, "new"), std::string("\0\0\0x", 4));
  // What an earlier, longer value left in memory may not shine through.
  keyspace.set_string("k", std::string(40, 'o'));
  keyspace.set_string("k", "short");
  keyspace.write_range("k", 30, "end");
  EXPECT_EQ(get(keyspace, "k"), "short" + std::string(25, '\0') + "end");
  keyspace.write_range("k", 1000, "end");
  EXPECT_EQ(get(keyspace, "k").substr(28),
            std::string("\0\0end", 5) + std::string(967, '\0') + "end");
}

TEST(KeyspaceStrings, AWriteInsideKeepsWhatIsAroundIt) {
  Keyspace keyspace(1);
  for (const size_t length : {20U, 2000U}) {
    std::string expected(length, 'a');
    keyspace.set_string("k", expected);
    expected.replace(7, 3, "xyz");
    EXPECT_EQ(keyspace.write_range("k", 7, "xyz"), length);
    EXPECT_EQ(get(keyspace, "k"), expected);
  }
}

TEST(KeyspaceStrings, AValueOf100MegabytesIsKeptAndAppendedTo) {
  Keyspace keyspace(1);
  const size_t baseline = keyspace.memory_used();
  std::string value(100'000'000, 'x');
  value.back() = 'y';
  keyspace.set_string("k", value);
  ASSERT_EQ(Keyspace::string_length(*find(keyspace, "k")), value.size());
  // No room is wasted on a value that was set, not grown.
  EXPECT_LT(keyspace.memory_used(), value.size() + 10'000);
  EXPECT_EQ(keyspace.write_range("k", value.size(), "tail"), value.size() + 4);
  IntBuffer buffer;
  EXPECT_TRUE(Keyspace::string_of(*find(keyspace, "k"), buffer) == value + "tail");
  EXPECT_TRUE(keyspace.erase("k"));
  EXPECT_EQ(keyspace.memory_used(), baseline);
}

TEST(KeyspaceStrings, ManyAppendsCopyEachByteAFewTimesOnly) {
  // Each time the string moves its room has grown by half at least, so it moves rarely.
  Keyspace keyspace(1);
  keyspace.set_string("k", "start");
  std::string expected = "start";
  size_t moves = 0;
  const char* last_place = nullptr;
  for (int i = 0; i < 100'000; ++i) {
    keyspace.write_range("k", expected.size(), "0123456789");
    expected += "0123456789";
    IntBuffer buffer;
    const char* place = Keyspace::string_of(*find(keyspace, "k"), buffer).data();
    if (std::exchange(last_place, place) != place) ++moves;
  }
  EXPECT_EQ(get(keyspace, "k"), expected);
  EXPECT_LT(moves, 40U);
}

TEST(KeyspaceStrings, OverwritingWithAValueOfTheSameSizeStaysInPlace) {
  Keyspace keyspace(1);
  for (const size_t length : {1U, 64U, 300U, 5000U}) {
    keyspace.set_string("k", std::string(length, 'a'));
    const Entry* entry = find(keyspace, "k");
    IntBuffer buffer;
    const char* place = Keyspace::string_of(*entry, buffer).data();
    keyspace.set_string("k", std::string(length, 'b'));
    EXPECT_EQ(find(keyspace, "k"), entry);
    EXPECT_EQ(Keyspace::string_of(*entry, buffer).data(), place);
    EXPECT_EQ(get(keyspace, "k"), std::string(length, 'b'));
  }
}

TEST(KeyspaceKeys, AnyBytesAreAKey) {
  Keyspace keyspace(1);
  const std::vector<std::string> keys = {
      "",         std::string(1, '\0'),       std::string(2, '\0'),
      "a",        std::string("a\0", 2),      std::string("a\0b", 3),
      "\xff\xfe", std::string(1'000'000, 'k')};
  for (size_t i = 0; i < keys.size(); ++i) keyspace.set_integer(keys[i], static_cast<int64_t>(i));
  EXPECT_EQ(keyspace.size(), keys.size());
  for (size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(get(keyspace, keys[i]), std::to_string(i));
}

TEST(KeyspaceKeys, RenameMovesValueAndDeadlineOverWhatWasThere) {
  Keyspace keyspace(1);
  for (const size_t length : {5U, 5000U}) {
    const std::string value(length, 'v');
    keyspace.set_string("from", value, kNow + 5);
    keyspace.set_string("to", "old", kNow + 1);
    keyspace.rename("from", "to");
    EXPECT_EQ(get(keyspace, "from"), "(absent)");
    EXPECT_EQ(get(keyspace, "to"), value);
    EXPECT_EQ(Keyspace::expiry_of(*find(keyspace, "to")), kNow + 5);
    EXPECT_EQ(keyspace.size(), 1U);
    EXPECT_EQ(keyspace.size_with_expiry(), 1U);
    keyspace.rename("to", "to");
    EXPECT_EQ(get(keyspace, "to"), value);
  }
}

TEST(KeyspaceKeys, ACopyIsIndependent) {
  Keyspace keyspace(1);
  for (const size_t length : {5U, 5000U}) {
    keyspace.set_string("from", std::string(length, 'v'), kNow + 5);
    keyspace.copy("from", "to");
    keyspace.write_range("from", 0, "changed");
    EXPECT_EQ(get(keyspace, "to"), std::string(length, 'v'));
    EXPECT_EQ(Keyspace::expiry_of(*find(keyspace, "to")), kNow + 5);
    EXPECT_EQ(keyspace.size_with_expiry(), 2U);
    keyspace.copy("to", "to");
    EXPECT_EQ(get(keyspace, "to"), std::string(length, 'v'));
  }
}

TEST(KeyspaceKeys, PrefetchingChangesNothing) {
  Keyspace keyspace(1);
  std::vector<std::string> keys;
  for (int i = 0; i < 100; ++i) keys.push_back("k" + std::to_string(i));
  for (int i = 0; i < 50; ++i) keyspace.set_integer(keys[i], i);
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  keyspace.prefetch(views);
  keyspace.prefetch({});
  for (int i = 0; i < 50; ++i) EXPECT_EQ(get(keyspace, keys[i]), std::to_string(i));
}

// --- time --------------------------------------------------------------------------------------

TEST(KeyspaceExpiry, AKeyIsLastSeenTheMillisecondBeforeItsDeadline) {
  Keyspace keyspace(1);
  keyspace.set_string("k", "v", 100);
  EXPECT_EQ(get(keyspace, "k", 99), "v");
  EXPECT_EQ(get(keyspace, "k", 100), "(absent)");
  EXPECT_EQ(get(keyspace, "k", 101), "(absent)");
}

TEST(KeyspaceExpiry, ADeadlineThatIsDueButNotSettledIsReported) {
  Keyspace keyspace(1);
  keyspace.set_string("k", "v", 100);
  Clock live{.settled = 90, .now = 99};
  EXPECT_NE(keyspace.find("k", live), nullptr);
  EXPECT_FALSE(live.unsettled);
  Clock between{.settled = 99, .now = 100};
  EXPECT_EQ(keyspace.find("k", between), nullptr);
  EXPECT_TRUE(between.unsettled);
  Clock settled{.settled = 100, .now = 105};
  EXPECT_EQ(keyspace.find("k", settled), nullptr);
  EXPECT_FALSE(settled.unsettled);
  // It is sticky: one such key among others is enough to make a reply wait.
  keyspace.set_string("other", "v");
  EXPECT_NE(keyspace.find("other", between), nullptr);
  EXPECT_TRUE(between.unsettled);
}

TEST(KeyspaceExpiry, ADueKeyIsStillThereUntilItIsDeleted) {
  Keyspace keyspace(1);
  keyspace.set_string("k", "v", 100);
  EXPECT_EQ(keyspace.size(), 1U);
  EXPECT_FALSE(keyspace.erase_if_due("k", 99));
  EXPECT_TRUE(keyspace.erase_if_due("k", 100));
  EXPECT_FALSE(keyspace.erase_if_due("k", 100));
  EXPECT_EQ(keyspace.size(), 0U);
  keyspace.set_string("eternal", "v");
  EXPECT_FALSE(keyspace.erase_if_due("eternal", 1'000'000'000));
}

TEST(KeyspaceExpiry, SettingADueKeyStartsAfresh) {
  Keyspace keyspace(1);
  keyspace.set_string("k", "old", 100);
  keyspace.set_string("k", "new");
  EXPECT_EQ(get(keyspace, "k", 200), "new");
  EXPECT_EQ(keyspace.size_with_expiry(), 0U);
}

TEST(KeyspaceExpiry, ChangesOfTheValueKeepTheDeadline) {
  Keyspace keyspace(1);
  keyspace.set_string("k", "1", kNow + 5);
  keyspace.replace_integer("k", 2);
  keyspace.write_range("k", 1, std::string(30, 'x'));
  keyspace.write_range("k", 1, std::string(3000, 'x'));
  keyspace.replace_integer("k", 3);
  EXPECT_EQ(Keyspace::expiry_of(*find(keyspace, "k")), kNow + 5);
  EXPECT_EQ(keyspace.earliest_expiry(), kNow + 5);
  EXPECT_TRUE(keyspace.set_expiry("k", kNoExpiry));
  EXPECT_EQ(keyspace.earliest_expiry(), kNoExpiry);
  EXPECT_FALSE(keyspace.set_expiry("absent", kNow));
}

TEST(KeyspaceExpiry, DueKeysGoEarliestFirstAndNoMoreThanAsked) {
  Keyspace keyspace(1);
  std::vector<TimeMs> deadlines;
  for (TimeMs i = 1; i <= 1000; ++i) deadlines.push_back(i);
  std::shuffle(deadlines.begin(), deadlines.end(), std::mt19937_64(5));
  for (const TimeMs deadline : deadlines) {
    keyspace.set_string(std::to_string(deadline), "v", deadline);
  }
  keyspace.set_string("eternal", "v");
  std::vector<std::string> gone;
  const auto note = [&](std::string_view key) { gone.emplace_back(key); };
  EXPECT_EQ(keyspace.expire_due(500, 100, note), 100U);
  EXPECT_EQ(keyspace.earliest_expiry(), 101);
  EXPECT_EQ(keyspace.expire_due(500, 1000, note), 400U);
  EXPECT_EQ(keyspace.expire_due(500, 1000, note), 0U);
  EXPECT_EQ(keyspace.expire_due(2000, 1000), 500U);
  EXPECT_EQ(keyspace.size(), 1U);
  ASSERT_EQ(gone.size(), 500U);
  for (size_t i = 0; i < gone.size(); ++i) EXPECT_EQ(gone[i], std::to_string(i + 1));
}

TEST(KeyspaceExpiry, TheAverageTimeToLiveIsOverKeysWithADeadline) {
  Keyspace keyspace(1);
  EXPECT_EQ(keyspace.average_ttl(100), 0);
  keyspace.set_string("eternal", "v");
  keyspace.set_string("a", "v", 200);
  keyspace.set_string("b", "v", 400);
  EXPECT_EQ(keyspace.average_ttl(100), 200);
  EXPECT_EQ(keyspace.average_ttl(1000), 0);
  // Deadlines near the end of time do not overflow the sum.
  const TimeMs far = std::numeric_limits<TimeMs>::max();
  for (int i = 0; i < 10; ++i) keyspace.set_string("far" + std::to_string(i), "v", far);
  EXPECT_GT(keyspace.average_ttl(100), far / 2);
}

// --- clearing and memory -----------------------------------------------------------------------

TEST(KeyspaceClear, ClearingIsSeenAtOnceAndFreedInSlices) {
  Keyspace keyspace(1);
  const size_t baseline = keyspace.memory_used();
  for (int i = 0; i < 50'000; ++i) keyspace.set_string("k" + std::to_string(i), "v", kNow + i + 1);
  const size_t full = keyspace.memory_used();
  keyspace.clear();
  EXPECT_EQ(keyspace.size(), 0U);
  EXPECT_EQ(keyspace.size_with_expiry(), 0U);
  EXPECT_EQ(keyspace.earliest_expiry(), kNoExpiry);
  EXPECT_EQ(get(keyspace, "k1"), "(absent)");
  EXPECT_GE(keyspace.memory_used(), full);
  // One step gives back a few entries and what held them, not the whole table or index.
  const size_t before = keyspace.memory_used();
  EXPECT_TRUE(keyspace.work_slice(1));
  EXPECT_LT(keyspace.memory_used(), before);
  EXPECT_LT(before - keyspace.memory_used(), 40'000U);
  size_t slices = 0;
  while (keyspace.work_slice(100)) {
    // What is written meanwhile is not touched by the freeing.
    if (slices++ == 3) keyspace.set_string("k1", "new", kNow + 1);
  }
  EXPECT_GT(slices, 50U);
  EXPECT_EQ(get(keyspace, "k1"), "new");
  EXPECT_TRUE(keyspace.erase("k1"));
  EXPECT_EQ(keyspace.memory_used(), baseline);
}

TEST(KeyspaceClear, SeveralClearingsMayWaitToBeFreed) {
  Keyspace keyspace(1);
  const size_t baseline = keyspace.memory_used();
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 1000; ++i) keyspace.set_string("k" + std::to_string(i), "v");
    keyspace.clear();
  }
  EXPECT_FALSE(keyspace.work_slice(1'000'000));
  EXPECT_EQ(keyspace.memory_used(), baseline);
}

TEST(KeyspaceMemory, ErasingAllReturnsToTheBaseline) {
  Keyspace keyspace(1);
  const size_t baseline = keyspace.memory_used();
  std::mt19937_64 random(3);
  const auto key = [](int i) { return "k" + std::to_string(i); };
  for (int i = 0; i < 20'000; ++i) {
    keyspace.set_string(key(i), std::string(random() % 2000, 'x'),
                        random() % 2 == 0 ? kNow + i : kNoExpiry);
    if (i % 3 == 0) keyspace.write_range(key(i), random() % 500, std::string(random() % 500, 'y'));
    if (i % 5 == 0) keyspace.set_expiry(key(i), kNow);
    if (i % 7 == 0) keyspace.rename(key(i), key(i / 2));
    if (i % 11 == 0) keyspace.copy(key(i / 2), key(i));
    if (i % 13 == 0) keyspace.set_integer(key(i), i);
  }
  for (int i = 0; i < 20'000; ++i) keyspace.erase(key(i));
  EXPECT_EQ(keyspace.size(), 0U);
  EXPECT_EQ(keyspace.memory_used(), baseline);
}

TEST(KeyspaceMemory, SmallStringsCostLessThan40BytesMoreThanTheyAre) {
  Keyspace keyspace(1);
  constexpr size_t kKeys = 100'000;
  size_t payload = 0;
  for (size_t i = 0; i < kKeys; ++i) {
    const std::string key = "user:" + std::to_string(i);
    const std::string value(i % 60, 'v');
    keyspace.set_string(key, value);
    payload += key.size() + value.size();
  }
  EXPECT_LT(keyspace.memory_used(), payload + 40 * kKeys);
}

TEST(KeyspaceMemory, ALargeValueThatIsReplacedByASmallOneIsGivenBack) {
  Keyspace keyspace(1);
  for (const size_t length : {380U, 5000U, 1'000'000U}) {
    keyspace.set_string("k", "small");
    const size_t small = keyspace.memory_used();
    keyspace.set_string("k", std::string(length, 'x'));
    EXPECT_GT(keyspace.memory_used(), small + length / 2);
    keyspace.set_string("k", "small");
    EXPECT_LE(keyspace.memory_used(), small + 64);
  }
}

TEST(KeyspaceMemory, AShorterLongValueDoesNotKeepTheRoomOfAMuchLongerOne) {
  Keyspace keyspace(1);
  keyspace.set_string("k", std::string(1'000'000, 'x'));
  keyspace.set_string("k", std::string(1000, 'x'));
  EXPECT_LT(keyspace.memory_used(), 3000U);
}

TEST(KeyspaceMemory, AKeyspaceCanBeMoved) {
  Keyspace keyspace(1);
  keyspace.set_string("k", "v");
  Keyspace other(std::move(keyspace));
  EXPECT_EQ(get(other, "k"), "v");
  keyspace = Keyspace(2);
  keyspace.set_string("k", "w");
  other = std::move(keyspace);
  EXPECT_EQ(get(other, "k"), "w");
}

// --- walking -----------------------------------------------------------------------------------

TEST(KeyspaceWalk, ScanForEachAndRandomMeetTheSameKeys) {
  Keyspace keyspace(1);
  EXPECT_EQ(keyspace.random_entry(1), nullptr);
  for (int i = 0; i < 1000; ++i) keyspace.set_integer("k" + std::to_string(i), i);
  std::map<std::string, int> met;
  keyspace.for_each([&](const Entry& entry) { ++met[std::string(Keyspace::key_of(entry))]; });
  uint64_t cursor = 0;
  do {
    cursor = keyspace.scan(
        cursor, 10, [&](const Entry& entry) { ++met[std::string(Keyspace::key_of(entry))]; });
  } while (cursor != 0);
  EXPECT_EQ(met.size(), 1000U);
  for (const auto& [key, times] : met) EXPECT_EQ(times, 2) << key;
  for (uint64_t i = 0; i < 1000; ++i) {
    EXPECT_TRUE(met.contains(std::string(Keyspace::key_of(*keyspace.random_entry(i)))));
  }
}

// --- digest ------------------------------------------------------------------------------------

TEST(KeyspaceDigest, DoesNotDependOnHashSeedOrHistory) {
  Keyspace straight(1);
  Keyspace crooked(2);
  for (int i = 0; i < 1000; ++i) {
    straight.set_string("k" + std::to_string(i), "v" + std::to_string(i), kNow + 1 + i);
  }
  for (int i = 1999; i >= 0; --i) crooked.set_string("k" + std::to_string(i), "other", kNow + 3);
  for (int i = 0; i < 1000; ++i) {
    const std::string key = "k" + std::to_string(i);
    crooked.set_string(key, "v");
    crooked.write_range(key, 1, std::to_string(i));
    crooked.set_expiry(key, kNow + 1 + i);
    crooked.erase("k" + std::to_string(1000 + i));
  }
  EXPECT_EQ(straight.digest(kNow), crooked.digest(kNow));
}

TEST(KeyspaceDigest, AnyChangeShows) {
  const auto digest_after = [](const auto& change) {
    Keyspace keyspace(1);
    keyspace.set_string("a", "1", kNow + 1);
    keyspace.set_string("b", "2");
    keyspace.set_string("long", std::string(5000, 'x'));
    change(keyspace);
    return keyspace.digest(kNow);
  };
  using K = Keyspace;
  const std::vector<Keyspace::Digest> digests = {
      digest_after([](K&) {}),
      digest_after([](K& k) { k.set_string("a", "2", kNow + 1); }),
      digest_after([](K& k) { k.set_string("a", "1", kNow + 2); }),
      digest_after([](K& k) { k.set_string("a", "1"); }),
      digest_after([](K& k) { k.set_string("b", ""); }),
      digest_after([](K& k) { k.rename("b", "c"); }),
      digest_after([](K& k) { k.copy("b", "c"); }),
      digest_after([](K& k) { k.erase("b"); }),
      digest_after([](K& k) { k.write_range("long", 4999, "y"); }),
      digest_after([](K& k) { k.write_range("long", 5000, "x"); }),
      digest_after([](K& k) { k.set_string("", ""); }),
      // The same bytes, divided otherwise between key and value.
      digest_after([](K& k) { k.set_string("ab", "c"); }),
      digest_after([](K& k) { k.set_string("a", "bc"); }),
      // Two values swapped.
      digest_after([](K& k) {
        k.set_string("a", "2", kNow + 1);
        k.set_string("b", "1");
      }),
      digest_after([](K& k) { k.clear(); }),
  };
  for (size_t i = 0; i < digests.size(); ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_FALSE(digests[i] == digests[j]) << i << " and " << j;
  }
}

TEST(KeyspaceDigest, KeysThatAreDueDoNotCountWhetherDeletedOrNot) {
  Keyspace keyspace(1);
  keyspace.set_string("k", "v");
  const Keyspace::Digest without = keyspace.digest(kNow);
  keyspace.set_string("due", "v", kNow);
  EXPECT_EQ(keyspace.digest(kNow), without);
  EXPECT_FALSE(keyspace.digest(kNow - 1) == without);
  keyspace.expire_due(kNow, 10);
  EXPECT_EQ(keyspace.digest(kNow), without);
}

TEST(KeyspaceDigest, AnIntegerAndItsTextAreTheSameValue) {
  Keyspace keyspace(1);
  keyspace.set_integer("k", 12);
  const Keyspace::Digest digest = keyspace.digest(kNow);
  keyspace.set_string("k", "1");
  keyspace.write_range("k", 1, "2");
  EXPECT_EQ(keyspace.digest(kNow), digest);
}

}  // namespace
}  // namespace raftkv::data
