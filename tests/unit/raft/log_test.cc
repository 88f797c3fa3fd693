// The tail in memory and the log behind it, against a plain vector.
#include "raft/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/random.h"
#include "tests/unit/raft/host.h"

namespace raftkv::raft::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

std::vector<Index> read(const Log& log, Index first, Index last, size_t limit = SIZE_MAX) {
  std::vector<Entry> entries;
  log.read(first, last, limit, entries);
  std::vector<Index> indexes;
  for (const Entry& entry : entries) indexes.push_back(entry.index);
  return indexes;
}

void append(Log& log, const std::vector<Term>& terms, Index first) {
  auto entries = entries_of(terms, first);
  log.append(entries);
}

TEST(Log, KnowsTheTermOfEveryIndex) {
  FakeDisk disk;
  disk.hold({1, 1, 3}, {.term = 3, .vote = 0, .commit = 0});
  Log log(disk.restored(), disk);
  append(log, {3, 4}, 4);
  std::vector<Term> terms;
  for (Index i = 0; i <= 5; i++) terms.push_back(log.term_at(i));
  EXPECT_THAT(terms, ElementsAre(0, 1, 1, 3, 3, 4));
  EXPECT_TRUE(log.matches(0, 0));
  EXPECT_TRUE(log.matches(3, 3));
  EXPECT_FALSE(log.matches(3, 1));
  EXPECT_FALSE(log.matches(6, 4));
}

TEST(Log, FindsTheLastIndexOfASmallEnoughTerm) {
  FakeDisk disk;
  disk.hold({1, 1, 3, 3, 5}, {.term = 5, .vote = 0, .commit = 0});
  const Log log(disk.restored(), disk);
  EXPECT_EQ(log.last_with_term_at_most(5, 9), 5U);
  EXPECT_EQ(log.last_with_term_at_most(5, 4), 4U);
  EXPECT_EQ(log.last_with_term_at_most(4, 2), 2U);
  EXPECT_EQ(log.last_with_term_at_most(1, 2), 1U);
  EXPECT_EQ(log.last_with_term_at_most(5, 0), 0U);
  EXPECT_EQ(log.last_with_term_at_most(99, 3), 4U);
}

TEST(Log, ReadsAcrossTheEdgeOfMemory) {
  FakeDisk disk;
  disk.hold({1, 1, 1}, {.term = 1, .vote = 0, .commit = 0});
  Log log(disk.restored(), disk);
  append(log, {1, 1}, 4);
  EXPECT_EQ(log.first_in_memory(), 4U);
  EXPECT_THAT(read(log, 2, 5), ElementsAre(2, 3, 4, 5));
  EXPECT_THAT(read(log, 4, 4), ElementsAre(4));
  EXPECT_THAT(read(log, 1, 2), ElementsAre(1, 2));
}

TEST(Log, ReadsNoMoreThanTheLimitButOneEntryAtLeast) {
  FakeDisk disk;
  Log log({}, disk);
  append(log, {1, 1, 1}, 1);
  const size_t size = entries_of({1})[0].bytes();
  EXPECT_THAT(read(log, 1, 3, 1), ElementsAre(1));
  EXPECT_THAT(read(log, 1, 3, 2 * size), ElementsAre(1, 2));
  EXPECT_THAT(read(log, 1, 3, 2 * size - 1), ElementsAre(1));
}

TEST(Log, TrimsOnlyWhatMayGoAndIsTooMuch) {
  FakeDisk disk;
  Log log({}, disk);
  append(log, {1, 1, 1, 1}, 1);
  const size_t size = entries_of({1})[0].bytes();
  log.trim(4, 3 * size);
  EXPECT_EQ(log.first_in_memory(), 2U);
  log.trim(2, 0);
  EXPECT_EQ(log.first_in_memory(), 3U);
  EXPECT_EQ(log.bytes_after(0), 2 * size);
  EXPECT_EQ(log.bytes_after(3), size);
  EXPECT_EQ(log.bytes_after(4), 0U);
}

TEST(Log, WhatIsCutOffBelowMemoryLeavesAnEmptyTail) {
  FakeDisk disk;
  disk.hold({1, 1, 2, 2}, {.term = 2, .vote = 0, .commit = 0});
  Log log(disk.restored(), disk);
  append(log, {2}, 5);
  append(log, {3}, 3);
  EXPECT_EQ(log.last_index(), 3U);
  EXPECT_EQ(log.first_in_memory(), 3U);
  EXPECT_EQ(log.last_term(), 3U);
  EXPECT_THAT(log.term_starts(), ElementsAre(TermStart{1, 1}, TermStart{3, 3}));
}

TEST(Log, ThatIsCompactedKnowsTheTermBeforeItsFirstEntry) {
  FakeDisk disk;
  disk.hold({1, 1, 3, 3, 5}, {.term = 5, .vote = 0, .commit = 0});
  Log log(disk.restored(), disk);
  log.compact(4);
  EXPECT_EQ(log.first_index(), 4U);
  EXPECT_EQ(log.base_term(), 3U);
  EXPECT_THAT(log.term_starts(), ElementsAre(TermStart{3, 4}, TermStart{5, 5}));
  EXPECT_EQ(log.term_at(3), 3U);
  EXPECT_TRUE(log.matches(3, 3));
  EXPECT_FALSE(log.matches(2, 1)) << "it was so, but that is forgotten";
  EXPECT_FALSE(log.matches(0, 0));
  EXPECT_THAT(read(log, 4, 5), ElementsAre(4, 5));
  log.compact(2);
  EXPECT_EQ(log.first_index(), 4U) << "never undone";
}

TEST(Log, ThatIsCompactedWhollyGoesOnBehindIt) {
  FakeDisk disk;
  Log log({}, disk);
  append(log, {1, 2, 2}, 1);
  log.compact(4);
  EXPECT_EQ(log.first_index(), 4U);
  EXPECT_EQ(log.last_index(), 3U);
  EXPECT_EQ(log.last_term(), 2U);
  EXPECT_EQ(log.last_time_us(), 3U);
  EXPECT_EQ(log.first_in_memory(), 4U);
  EXPECT_THAT(log.term_starts(), IsEmpty());
  append(log, {2, 3}, 4);
  EXPECT_THAT(log.term_starts(), ElementsAre(TermStart{2, 4}, TermStart{3, 5}));
  EXPECT_THAT(read(log, 4, 5), ElementsAre(4, 5));
}

TEST(Log, BeginsAnewBehindASnapshot) {
  FakeDisk disk;
  Log log({}, disk);
  append(log, {1, 1, 1}, 1);
  log.reset(10, 4, 77);
  EXPECT_EQ(log.first_index(), 11U);
  EXPECT_EQ(log.last_index(), 10U);
  EXPECT_EQ(log.last_term(), 4U);
  EXPECT_EQ(log.last_time_us(), 77U);
  EXPECT_EQ(log.bytes_after(0), 0U);
  append(log, {4}, 11);
  EXPECT_EQ(log.bytes_after(10), entries_of({4}, 11)[0].bytes());
  EXPECT_THAT(log.term_starts(), ElementsAre(TermStart{4, 11}));
}

TEST(Log, LooksForASmallTermNoFurtherThanItKnows) {
  FakeDisk disk;
  disk.hold(snapshot_of(10, 4, members({1})), {5, 6}, {.term = 6, .vote = 0, .commit = 10});
  const Log log(disk.restored(), disk);
  EXPECT_EQ(log.last_with_term_at_most(12, 5), 11U);
  EXPECT_EQ(log.last_with_term_at_most(12, 4), 10U);
  EXPECT_EQ(log.last_with_term_at_most(12, 3), 9U) << "perhaps";
  EXPECT_EQ(log.last_with_term_at_most(7, 1), 7U) << "perhaps";
}

TEST(Log, BehavesLikeAPlainVector) {
  for (uint64_t seed = 0; seed < 50; seed++) {
    Random random(seed);
    FakeDisk disk;
    Log log({}, disk);
    std::vector<Entry> model;
    Term term = 1;
    for (int step = 0; step < 200; step++) {
      if (random.below(5) == 0) term++;
      const Index first = log.first_index() +
                          (random.below(4) == 0 ? random.below(model.size() + 2 - log.first_index())
                                                : model.size() + 1 - log.first_index());
      // Replacing entries by ones of the same term does not happen in Raft.
      const std::vector<Term> terms(1 + random.below(3), first <= model.size() ? ++term : term);
      model.resize(first - 1);
      for (Entry& entry : entries_of(terms, first)) model.push_back(std::move(entry));
      append(log, terms, first);
      // All of it is on the disk, so anything may be trimmed.
      std::vector<Term> all;
      for (const Entry& entry : model) all.push_back(entry.term);
      disk.hold(all, {});
      if (random.below(20) == 0) log.compact(1 + random.below(model.size() + 1));
      log.trim(random.below(model.size() + 1), random.below(1000));

      ASSERT_EQ(log.last_index(), model.size());
      ASSERT_EQ(log.last_term(), model.back().term);
      if (log.first_index() > model.size()) continue;
      const Index from = log.first_index() + random.below(model.size() + 1 - log.first_index());
      const Index to = from + random.below(model.size() - from + 1);
      std::vector<Entry> entries;
      log.read(from, to, SIZE_MAX, entries);
      for (Index i = from, at = 0; at < entries.size(); i++, at++) {
        ASSERT_EQ(entries[at].index, i);
        ASSERT_EQ(entries[at].term, model[i - 1].term);
        ASSERT_EQ(log.term_at(i), model[i - 1].term);
      }
      size_t bytes = 0;
      for (Index i = log.first_in_memory(); i <= model.size(); i++) bytes += model[i - 1].bytes();
      ASSERT_EQ(log.bytes_after(0), bytes);
    }
  }
}

TEST(LogDeathTest, RefusesAGapAndAHostThatContradictsItself) {
  FakeDisk disk;
  disk.hold({1, 1}, {.term = 1, .vote = 0, .commit = 0});
  Log log(disk.restored(), disk);
  EXPECT_DEATH(append(log, {1}, 4), "would leave a gap");
  disk.hold({7, 7}, {});
  EXPECT_DEATH(read(log, 1, 2), "the host's log has index 1 term 7 in place of index 1 term 1");
}

}  // namespace
}  // namespace raftkv::raft::test
