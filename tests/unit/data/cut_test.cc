// Cuts: a walk over the contents of one moment, while they change.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage/data/digest.h"
#include "storage/data/keyspace.h"

namespace raftkv::data {
namespace {

using Value = std::pair<std::string, TimeMs>;
using Contents = std::map<std::string, Value>;

Value value_of(const Entry& entry) {
  IntBuffer buffer;
  return {std::string(Keyspace::string_of(entry, buffer)), Keyspace::expiry_of(entry)};
}

Contents contents_of(const Keyspace& keyspace) {
  Contents contents;
  keyspace.for_each([&](const Entry& entry) {
    contents[std::string(Keyspace::key_of(entry))] = value_of(entry);
  });
  return contents;
}

// What a cut hands over; a key that comes twice fails the test.
class Collector {
 public:
  void begin(Keyspace& keyspace, CutKind kind) {
    seen_.clear();
    keyspace.begin_cut(kind, [this](const Entry& entry) {
      const std::string key(Keyspace::key_of(entry));
      EXPECT_TRUE(seen_.emplace(key, value_of(entry)).second) << key << " came twice";
    });
  }
  const Contents& seen() const { return seen_; }

 private:
  Contents seen_;
};

Contents finish(Keyspace& keyspace, CutKind kind, const Collector& collector) {
  while (keyspace.advance_cut(kind, 16)) {
  }
  return collector.seen();
}

std::string key(size_t i) {
  return "key:" + std::to_string(i);
}

void fill(Keyspace& keyspace, size_t count) {
  for (size_t i = 0; i < count; ++i) keyspace.set_string(key(i), "old" + std::to_string(i));
}

constexpr CutKind kKinds[] = {CutKind::kSnapshot, CutKind::kDigest};

TEST(Cut, WithoutChangesItIsTheContents) {
  for (const CutKind kind : kKinds) {
    for (const size_t count : {0, 1, 5, 18, 1000}) {
      Keyspace keyspace(count);
      fill(keyspace, count);
      Collector collector;
      collector.begin(keyspace, kind);
      EXPECT_EQ(finish(keyspace, kind, collector), contents_of(keyspace));
      EXPECT_FALSE(keyspace.cut_runs(kind));
      EXPECT_TRUE(keyspace.cut_may_begin(kind));
    }
  }
}

TEST(Cut, IsWalkedInSlicesOfTheGivenSize) {
  Keyspace keyspace(1);
  fill(keyspace, 10'000);
  Collector collector;
  collector.begin(keyspace, CutKind::kSnapshot);
  EXPECT_EQ(collector.seen().size(), 0u);
  size_t before = 0;
  size_t slices = 0;
  while (keyspace.advance_cut(CutKind::kSnapshot, 100)) {
    EXPECT_LE(collector.seen().size() - before, 150u);
    before = collector.seen().size();
    ++slices;
  }
  EXPECT_GE(slices, 50u);
  EXPECT_EQ(collector.seen().size(), 10'000u);
}

TEST(Cut, EachWayOfChangingAKeyHandsOverTheOldState) {
  struct Change {
    const char* name;
    void (*make)(Keyspace&);
  };
  const Change changes[] = {
      {"overwrite in place", [](Keyspace& k) { k.set_string("a", "new"); }},
      {"overwrite by something larger",
       [](Keyspace& k) { k.set_string("a", std::string(3000, 'n')); }},
      {"overwrite by a number", [](Keyspace& k) { k.set_integer("a", 77); }},
      {"replace a number", [](Keyspace& k) { k.replace_integer("number", 8); }},
      {"append", [](Keyspace& k) { k.write_range("a", 5, "tail"); }},
      {"append to a long string", [](Keyspace& k) { k.write_range("long", 1000, "tail"); }},
      {"append much", [](Keyspace& k) { k.write_range("a", 5, std::string(2000, 't')); }},
      {"give a deadline", [](Keyspace& k) { k.set_expiry("a", 99); }},
      {"change a deadline", [](Keyspace& k) { k.set_expiry("mortal", 99); }},
      {"take a deadline away", [](Keyspace& k) { k.set_expiry("mortal", kNoExpiry); }},
      {"erase", [](Keyspace& k) { k.erase("a"); }},
      {"erase what is due", [](Keyspace& k) { k.erase_if_due("mortal", 50); }},
      {"expire", [](Keyspace& k) { k.expire_due(50, 10); }},
      {"rename", [](Keyspace& k) { k.rename("a", "b"); }},
      {"rename a long string", [](Keyspace& k) { k.rename("long", "b"); }},
      {"rename onto a key", [](Keyspace& k) { k.rename("a", "long"); }},
      {"copy onto a key", [](Keyspace& k) { k.copy("a", "long"); }},
      {"copy to a new key", [](Keyspace& k) { k.copy("a", "b"); }},
      {"create", [](Keyspace& k) { k.set_string("b", "new"); }},
      {"create by appending", [](Keyspace& k) { k.write_range("b", 0, "new"); }},
      {"erase and create", [](Keyspace& k) { k.erase("a"), k.set_string("a", "new"); }},
      {"change twice", [](Keyspace& k) { k.set_string("a", "x"), k.set_string("a", "y"); }},
      {"grow, then change",
       [](Keyspace& k) { k.set_string("a", std::string(300, 'x')), k.set_string("a", "y"); }},
      {"clear", [](Keyspace& k) { k.clear(); }},
      {"clear and create", [](Keyspace& k) { k.clear(), k.set_string("a", "new"); }},
      {"change, then clear", [](Keyspace& k) { k.set_string("a", "new"), k.clear(); }},
      {"clear twice", [](Keyspace& k) { k.clear(), k.set_string("a", "new"), k.clear(); }},
  };
  for (const Change& change : changes) {
    for (const CutKind kind : kKinds) {
      SCOPED_TRACE(change.name);
      Keyspace keyspace(5);
      keyspace.set_string("a", "value");
      keyspace.set_integer("number", 7);
      keyspace.set_string("long", std::string(1000, 'l'));
      keyspace.set_string("mortal", "soon", 50);
      const Contents before = contents_of(keyspace);
      Collector collector;
      collector.begin(keyspace, kind);
      change.make(keyspace);
      const Contents after = contents_of(keyspace);
      EXPECT_EQ(finish(keyspace, kind, collector), before);
      // The marks are gone: the next cut sees everything again.
      Collector next;
      next.begin(keyspace, kind);
      EXPECT_EQ(finish(keyspace, kind, next), after);
    }
  }
}

TEST(Cut, WhatWasClearedIsKeptUntilTheCutHasWalkedIt) {
  Keyspace keyspace(1);
  fill(keyspace, 2000);
  const size_t full = keyspace.memory_used();
  const Contents before = contents_of(keyspace);
  Collector collector;
  collector.begin(keyspace, CutKind::kSnapshot);
  keyspace.advance_cut(CutKind::kSnapshot, 500);
  keyspace.clear();
  EXPECT_FALSE(keyspace.work_slice(1'000'000));  // nothing may be freed
  EXPECT_GE(keyspace.memory_used(), full);
  // A later one may, although one that is still needed stands before it.
  fill(keyspace, 100);
  keyspace.clear();
  EXPECT_FALSE(keyspace.work_slice(1'000'000));
  EXPECT_EQ(finish(keyspace, CutKind::kSnapshot, collector), before);
  EXPECT_TRUE(keyspace.work_slice(1));
  EXPECT_FALSE(keyspace.work_slice(1'000'000));
  EXPECT_EQ(keyspace.memory_used(), Keyspace(1).memory_used());
}

TEST(Cut, AfterAnAbandonedOneTheNextSeesEverything) {
  Keyspace keyspace(1);
  fill(keyspace, 1000);
  Collector collector;
  collector.begin(keyspace, CutKind::kSnapshot);
  keyspace.advance_cut(CutKind::kSnapshot, 300);
  for (size_t i = 0; i < 1100; i += 3) keyspace.set_string(key(i), "changed");
  keyspace.abandon_cut(CutKind::kSnapshot);
  const size_t handed_over = collector.seen().size();

  EXPECT_FALSE(keyspace.cut_runs(CutKind::kSnapshot));
  EXPECT_FALSE(keyspace.cut_may_begin(CutKind::kSnapshot));
  EXPECT_TRUE(keyspace.cut_may_begin(CutKind::kDigest));
  // Marks travel on while they are cleaned up, and new keys get none.
  while (keyspace.work_slice(10)) {
    const size_t i = keyspace.size();
    keyspace.set_string(key(i % 900), std::string(200, 'g'));
    keyspace.set_string(key(i), "new");
    if (i > 3000) break;
  }
  while (keyspace.work_slice(1000)) {
  }
  EXPECT_EQ(collector.seen().size(), handed_over);
  EXPECT_TRUE(keyspace.cut_may_begin(CutKind::kSnapshot));
  Collector next;
  next.begin(keyspace, CutKind::kSnapshot);
  EXPECT_EQ(finish(keyspace, CutKind::kSnapshot, next), contents_of(keyspace));
}

TEST(Cut, ClearingEndsTheCleaningUp) {
  Keyspace keyspace(1);
  fill(keyspace, 1000);
  Collector collector;
  collector.begin(keyspace, CutKind::kSnapshot);
  for (size_t i = 0; i < 1000; i += 3) keyspace.set_string(key(i), "changed");
  keyspace.abandon_cut(CutKind::kSnapshot);
  keyspace.clear();
  EXPECT_TRUE(keyspace.cut_may_begin(CutKind::kSnapshot));

  collector.begin(keyspace, CutKind::kSnapshot);  // and the other way round
  fill(keyspace, 100);
  keyspace.clear();
  keyspace.abandon_cut(CutKind::kSnapshot);
  EXPECT_TRUE(keyspace.cut_may_begin(CutKind::kSnapshot));
  while (keyspace.work_slice(1000)) {
  }
  EXPECT_EQ(keyspace.memory_used(), Keyspace(1).memory_used());
}

TEST(Cut, TheDigestOfACutIsThatOfItsMoment) {
  Keyspace keyspace(1);
  fill(keyspace, 1000);
  for (size_t i = 0; i < 1000; i += 10) keyspace.set_expiry(key(i), static_cast<TimeMs>(i));
  constexpr TimeMs kNow = 500;
  const Keyspace::Digest before = keyspace.digest(kNow);
  DigestSum sum(kNow);
  keyspace.begin_cut(CutKind::kDigest, [&](const Entry& entry) { sum.add(entry); });
  for (size_t i = 0; keyspace.advance_cut(CutKind::kDigest, 50); ++i) {
    keyspace.set_string(key(i * 31 % 1500), "changed");
    keyspace.expire_due(kNow, 3);
  }
  EXPECT_EQ(sum.sum(), before);
  EXPECT_NE(keyspace.digest(kNow), before);
}

TEST(Cut, AnActiveCutMovesWithTheKeyspace) {
  Keyspace keyspace(1);
  fill(keyspace, 1000);
  const Contents before = contents_of(keyspace);
  Collector collector;
  collector.begin(keyspace, CutKind::kSnapshot);
  Keyspace moved(std::move(keyspace));
  for (size_t i = 0; i < 1000; i += 7) moved.erase(key(i));
  EXPECT_EQ(finish(moved, CutKind::kSnapshot, collector), before);
}

// --- against a copy --------------------------------------------------------------------------

// Random changes, cuts of both kinds that begin, go on, and are abandoned, and a table that grows
// and shrinks by a lot meanwhile: what a cut hands over is the copy that was made as it began.
class RandomCuts {
 public:
  explicit RandomCuts(uint64_t seed) : random_(seed), keyspace_(seed * 31) {}

  void run(size_t steps) {
    for (size_t i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      if (draw(400) == 0) growing_ = !growing_;
      change();
      if (draw(4) == 0) keyspace_.work_slice(draw(20));
      for (const CutKind kind : kKinds) step(kind);
    }
  }
  size_t finished() const { return finished_; }
  size_t abandoned() const { return abandoned_; }

 private:
  uint64_t draw(uint64_t below) { return random_() % below; }
  std::string any_key() { return key(draw(growing_ ? 3000 : 300)); }
  std::string any_value() {
    if (draw(3) == 0) return std::to_string(random_());
    return std::string(draw(5) == 0 ? draw(1500) : draw(40), static_cast<char>('a' + draw(26)));
  }

  bool present(const std::string& k) {
    Clock clock = Clock::at(0);
    return keyspace_.find(k, clock) != nullptr;
  }

  void change() {
    now_ += static_cast<TimeMs>(draw(3));
    const std::string k = any_key();
    const std::string other = any_key();
    switch (draw(growing_ ? 9 : 14)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return keyspace_.set_string(k, any_value());
      case 4:
        return keyspace_.set_string(k, any_value(), now_ + 1 + static_cast<TimeMs>(draw(300)));
      case 5:
        keyspace_.write_range(k, draw(50), any_value());
        return;
      case 6:
        keyspace_.set_expiry(k, draw(2) == 0 ? kNoExpiry : now_ + static_cast<TimeMs>(draw(300)));
        return;
      case 7:
        if (present(k)) keyspace_.rename(k, other);
        return;
      case 8:
        if (present(k)) keyspace_.copy(k, other);
        return;
      case 9:
        keyspace_.expire_due(now_, draw(30));
        return;
      case 10:
        if (draw(100) == 0) keyspace_.clear();
        return;
      default:
        for (int i = 0; i < 8; ++i) keyspace_.erase(key(draw(3000)));
    }
  }

  void step(CutKind kind) {
    State& state = states_[static_cast<size_t>(kind)];
    if (keyspace_.cut_runs(kind)) {
      if (draw(60) == 0) {
        keyspace_.abandon_cut(kind);
        ++abandoned_;
      } else if (draw(3) != 0 && !keyspace_.advance_cut(kind, draw(120))) {
        ASSERT_EQ(state.collector.seen(), state.expected);
        ++finished_;
      }
    } else if (keyspace_.cut_may_begin(kind) && draw(5) == 0) {
      state.expected = contents_of(keyspace_);
      state.collector.begin(keyspace_, kind);
    }
  }

  struct State {
    Collector collector;
    Contents expected;
  };

  std::mt19937_64 random_;
  Keyspace keyspace_;
  State states_[2];
  TimeMs now_ = 1000;
  bool growing_ = true;
  size_t finished_ = 0;
  size_t abandoned_ = 0;
};

TEST(CutModel, ACutIsTheCopyThatWasMadeAsItBegan) {
  size_t finished = 0;
  size_t abandoned = 0;
  for (uint64_t seed = 1; seed <= 15; ++seed) {
    SCOPED_TRACE(seed);
    RandomCuts cuts(seed);
    cuts.run(12'000);
    if (HasFailure()) return;
    finished += cuts.finished();
    abandoned += cuts.abandoned();
  }
  EXPECT_GT(finished, 500u);
  EXPECT_GT(abandoned, 500u);
}

}  // namespace
}  // namespace raftkv::data
