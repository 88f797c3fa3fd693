// The table of sessions alone: what is executed, what is kept, what is forgotten and when.
#include "server/replica/once_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

namespace raftkv::server {
namespace {

using Verdict = OnceTable::Verdict;

constexpr uint64_t kSecond = 1'000'000;

class Once : public testing::Test {
 protected:
  SessionOpening opening{.ttl_s = 10,
                         .protocol = resp::Protocol::kResp2,
                         .replies_max = 3,
                         .reply_bytes_max = 100,
                         .sessions_max = 2};
  OnceTable table;
  uint64_t now = 1'700'000'000 * kSecond;

  uint64_t open() { return table.open(opening, now).value(); }
  // Sends a command. True if it was executed, with this reply.
  bool execute(uint64_t id, uint64_t sequence, std::string_view reply = ":1\r\n",
               uint64_t lowest = 0) {
    if (table.arrived(id, sequence, lowest, now).verdict != Verdict::kFresh) return false;
    table.executed(id, sequence, reply);
    return true;
  }
  Verdict ask(uint64_t id, uint64_t sequence) {
    return table.arrived(id, sequence, 0, now).verdict;
  }
};

TEST_F(Once, ACommandIsExecutedOnceAndItsRetryGetsTheFirstReply) {
  const uint64_t id = open();
  EXPECT_TRUE(execute(id, 1, ":7\r\n"));
  EXPECT_FALSE(execute(id, 1, ":8\r\n"));
  const OnceTable::Answer again = table.arrived(id, 1, 0, now);
  EXPECT_EQ(again.verdict, Verdict::kKept);
  EXPECT_EQ(again.reply, ":7\r\n");
}

TEST_F(Once, SessionsDoNotShareNumbers) {
  const uint64_t one = open();
  const uint64_t two = open();
  EXPECT_NE(one, two);
  EXPECT_TRUE(execute(one, 1));
  EXPECT_TRUE(execute(two, 1));
}

TEST_F(Once, NumbersGrowWithTimeAndAreNeverGivenTwice) {
  const uint64_t one = open();
  EXPECT_GE(one, now);
  EXPECT_TRUE(table.close(one, now));
  EXPECT_GT(open(), one);
  now += 100 * kSecond;
  EXPECT_GE(open(), now);
}

TEST_F(Once, ACommandThatOvertookAnotherDoesNotMakeItADuplicate) {
  const uint64_t id = open();
  EXPECT_TRUE(execute(id, 5, ":5\r\n"));
  EXPECT_TRUE(execute(id, 2, ":2\r\n"));
  EXPECT_TRUE(execute(id, 4, ":4\r\n"));
  EXPECT_FALSE(execute(id, 2));
  EXPECT_TRUE(execute(id, 1));
  EXPECT_TRUE(execute(id, 3));
  for (uint64_t sequence = 1; sequence <= 5; ++sequence) EXPECT_FALSE(execute(id, sequence));
  EXPECT_EQ(table.list(0, 1, now)[0].executed, 5u);
}

TEST_F(Once, TheLastRepliesAreKeptByNumberAndOfOthersItIsKnownThatTheyWereExecuted) {
  const uint64_t id = open();
  for (uint64_t sequence = 1; sequence <= 5; ++sequence) EXPECT_TRUE(execute(id, sequence));
  EXPECT_EQ(ask(id, 1), Verdict::kReplyGone);
  EXPECT_EQ(ask(id, 2), Verdict::kReplyGone);
  EXPECT_EQ(ask(id, 3), Verdict::kKept);
  EXPECT_EQ(ask(id, 5), Verdict::kKept);
  EXPECT_EQ(ask(id, 6), Verdict::kFresh);
}

TEST_F(Once, TheLastExecutedAreKeptNotTheHighest) {
  const uint64_t id = open();
  for (const uint64_t sequence : {10, 11, 12, 1}) EXPECT_TRUE(execute(id, sequence));
  EXPECT_EQ(ask(id, 1), Verdict::kKept);
  EXPECT_EQ(ask(id, 10), Verdict::kReplyGone);
}

TEST_F(Once, TheLastRepliesAreKeptByBytes) {
  const uint64_t id = open();
  EXPECT_TRUE(execute(id, 1, std::string(60, 'a')));
  EXPECT_TRUE(execute(id, 2, std::string(40, 'b')));
  EXPECT_EQ(ask(id, 1), Verdict::kKept);
  EXPECT_TRUE(execute(id, 3, "c"));
  EXPECT_EQ(ask(id, 1), Verdict::kReplyGone);
  EXPECT_EQ(ask(id, 2), Verdict::kKept);
}

TEST_F(Once, AReplyThatIsLargerThanTheLimitIsNotKeptAndCostsNoOtherItsPlace) {
  const uint64_t id = open();
  EXPECT_TRUE(execute(id, 1));
  EXPECT_TRUE(execute(id, 2, std::string(101, 'x')));
  EXPECT_EQ(ask(id, 1), Verdict::kKept);
  EXPECT_EQ(ask(id, 2), Verdict::kReplyGone);
}

TEST_F(Once, WhatTheClientNeedsNoMoreIsForgotten) {
  const uint64_t id = open();
  EXPECT_TRUE(execute(id, 1));
  EXPECT_TRUE(execute(id, 3));
  const size_t before = table.bytes();
  EXPECT_TRUE(execute(id, 4, ":4\r\n", 4));
  EXPECT_EQ(ask(id, 1), Verdict::kAcked);
  EXPECT_EQ(ask(id, 2), Verdict::kAcked);
  EXPECT_EQ(ask(id, 3), Verdict::kAcked);
  EXPECT_EQ(table.arrived(id, 3, 0, now).acked, 4u);
  EXPECT_EQ(ask(id, 4), Verdict::kKept);
  EXPECT_LT(table.bytes(), before);
  // A late, older word changes nothing.
  EXPECT_EQ(table.arrived(id, 2, 1, now).verdict, Verdict::kAcked);
}

TEST_F(Once, AckWithinAGapLeavesItsUpperPart) {
  const uint64_t id = open();
  EXPECT_TRUE(execute(id, 10));
  EXPECT_TRUE(execute(id, 8, ":8\r\n", 5));
  EXPECT_EQ(ask(id, 4), Verdict::kAcked);
  EXPECT_TRUE(execute(id, 5));
  EXPECT_FALSE(execute(id, 10));
}

TEST_F(Once, GapsAreLimitedAndARefusedCommandIsNotExecuted) {
  const uint64_t id = open();
  uint64_t sequence = 0;
  for (size_t i = 0; i < OnceTable::kGapsMax; ++i) EXPECT_TRUE(execute(id, sequence += 4));
  EXPECT_EQ(ask(id, sequence + 2), Verdict::kTooManyGaps);
  EXPECT_EQ(ask(id, 2), Verdict::kTooManyGaps);  // it would split one
  EXPECT_TRUE(execute(id, sequence + 1));        // leaves none
  EXPECT_TRUE(execute(id, 1));                   // makes one smaller
  EXPECT_TRUE(execute(id, 3));
  EXPECT_EQ(ask(id, sequence + 3), Verdict::kTooManyGaps);
  EXPECT_TRUE(execute(id, 2));  // closes one
  EXPECT_TRUE(execute(id, sequence + 3));
  // With ACK there is room again.
  EXPECT_TRUE(execute(id, sequence + 5, ":1\r\n", sequence + 5));
}

TEST_F(Once, ASessionExpiresByTheTimeSinceItsLastUse) {
  const uint64_t id = open();
  now += 10 * kSecond - 1;
  EXPECT_TRUE(execute(id, 1));
  now += 10 * kSecond - 1;
  EXPECT_EQ(ask(id, 1), Verdict::kKept);
  now += 10 * kSecond;
  EXPECT_EQ(ask(id, 1), Verdict::kNoSession);
  EXPECT_EQ(ask(id, 2), Verdict::kNoSession);
  EXPECT_FALSE(table.close(id, now));
  EXPECT_TRUE(table.list(0, 10, now).empty());
  EXPECT_EQ(table.count(), 1u);  // until it is cleared away
  table.expire(now, 100);
  EXPECT_EQ(table.count(), 0u);
  EXPECT_EQ(table.bytes(), 0u);
}

TEST_F(Once, ExpiryIsDoneInSlicesEarliestFirst) {
  opening.sessions_max = 10;
  const uint64_t first = open();
  ++now;
  const uint64_t second = open();
  now += 10 * kSecond;
  table.expire(now, 1);
  EXPECT_EQ(table.count(), 1u);
  EXPECT_FALSE(table.close(first, now));
  table.expire(now, 1);
  EXPECT_EQ(table.count(), 0u);
  EXPECT_FALSE(table.close(second, now));
}

TEST_F(Once, SessionsAreLimitedAndAnExpiredOneMakesRoom) {
  open();
  now += kSecond;
  const uint64_t second = open();
  EXPECT_EQ(table.open(opening, now), std::nullopt);
  now += 9 * kSecond;
  const auto third = table.open(opening, now);
  ASSERT_TRUE(third);
  EXPECT_EQ(table.open(opening, now), std::nullopt);
  EXPECT_TRUE(table.close(second, now));
  EXPECT_TRUE(table.open(opening, now));
}

TEST_F(Once, UnknownSessionsAreNeverMade) {
  EXPECT_EQ(ask(12345, 1), Verdict::kNoSession);
  EXPECT_EQ(table.count(), 0u);
  const uint64_t id = open();
  EXPECT_TRUE(table.close(id, now));
  EXPECT_FALSE(table.close(id, now));
  EXPECT_EQ(ask(id, 1), Verdict::kNoSession);
  EXPECT_EQ(table.bytes(), 0u);
}

TEST_F(Once, LimitsAreThoseOfTheOpening) {
  const uint64_t one = open();
  opening.replies_max = 1;
  const uint64_t two = open();
  for (const uint64_t id : {one, two}) {
    EXPECT_TRUE(execute(id, 1));
    EXPECT_TRUE(execute(id, 2));
  }
  EXPECT_EQ(ask(one, 1), Verdict::kKept);
  EXPECT_EQ(ask(two, 1), Verdict::kReplyGone);
}

TEST_F(Once, ListTellsOfSessionsFromANumberOn) {
  const uint64_t one = open();
  now += kSecond;
  const uint64_t two = open();
  execute(two, 3);
  ASSERT_EQ(table.list(0, 10, now).size(), 2u);
  EXPECT_EQ(table.list(0, 1, now)[0].id, one);
  const OnceTable::Facts facts = table.list(one + 1, 10, now)[0];
  EXPECT_EQ(facts.id, two);
  EXPECT_EQ(facts.executed, 1u);
  EXPECT_EQ(facts.next, 4u);
  EXPECT_EQ(facts.replies, 1u);
  EXPECT_EQ(facts.reply_bytes, 4u);
  EXPECT_EQ(facts.used_us, now);
}

// --- as bytes
// -------------------------------------------------------------------------------------

TEST_F(Once, SurvivesItsEncoding) {
  opening.protocol = resp::Protocol::kResp3;
  const uint64_t id = open();
  for (const uint64_t sequence : {1, 2, 9, 5}) {
    execute(id, sequence, ":" + std::to_string(sequence) + "\r\n", 2);
  }
  open();
  auto copy = OnceTable::decode(table.encode());
  ASSERT_TRUE(copy.has_value()) << copy.error();
  EXPECT_EQ(copy->encode(), table.encode());
  EXPECT_EQ(copy->digest(), table.digest());
  EXPECT_EQ(copy->bytes(), table.bytes());
  // It also goes on alike: numbers, replies, what is dropped next, and expiry.
  const OnceTable::Answer kept = copy->arrived(id, 5, 0, now);
  EXPECT_EQ(kept.verdict, Verdict::kKept);
  EXPECT_EQ(kept.reply, ":5\r\n");
  EXPECT_EQ(kept.protocol, resp::Protocol::kResp3);
  for (OnceTable* each : {&table, &*copy}) {
    EXPECT_EQ(each->arrived(id, 7, 0, now).verdict, Verdict::kFresh);
    each->executed(id, 7, ":7\r\n");
    each->expire(now + 10 * kSecond, 1);
    EXPECT_TRUE(each->open(opening, now));
  }
  EXPECT_EQ(copy->encode(), table.encode());
}

TEST_F(Once, AnEmptyTableSurvivesItsEncodingToo) {
  EXPECT_EQ(OnceTable::decode(table.encode())->encode(), table.encode());
  // Numbers that were given stay given.
  table.close(open(), now);
  auto copy = OnceTable::decode(table.encode());
  EXPECT_EQ(copy->open(opening, now), table.open(opening, now));
}

TEST_F(Once, RefusesEveryCutAndStrangeBytes) {
  const uint64_t id = open();
  for (const uint64_t sequence : {1, 5, 300}) execute(id, sequence);
  const std::string bytes = table.encode();
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(OnceTable::decode(bytes.substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(OnceTable::decode(bytes + '\0').has_value());
  std::string later = bytes;
  later[0] = 2;
  const auto refused = OnceTable::decode(later);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error(), testing::HasSubstr("version 2"));
}

TEST_F(Once, NoDamageOfOneByteIsTakenForATableThatCanNotGoOn) {
  const uint64_t id = open();
  for (const uint64_t sequence : {1, 5, 300}) execute(id, sequence);
  const std::string bytes = table.encode();
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const int flip : {1, 0x80, 0xff}) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      auto read = OnceTable::decode(damaged);
      if (!read) continue;
      EXPECT_EQ(OnceTable::decode(read->encode())->encode(), read->encode());
      for (uint64_t sequence = 1; sequence < 12; ++sequence) {
        if (read->arrived(id, sequence, 0, now).verdict == Verdict::kFresh) {
          read->executed(id, sequence, ":1\r\n");
        }
      }
    }
  }
}

TEST_F(Once, TheDigestTellsTablesApart) {
  const uint64_t id = open();
  execute(id, 1, ":1\r\n");
  auto other = OnceTable::decode(table.encode());
  EXPECT_EQ(other->digest(), table.digest());
  execute(id, 2, ":2\r\n");
  EXPECT_NE(other->digest(), table.digest());
  other->arrived(id, 2, 0, now);
  other->executed(id, 2, ":3\r\n");
  EXPECT_NE(other->digest(), table.digest());
}

// --- against a model
// ------------------------------------------------------------------------------

// A session that remembers everything, in the plainest form.
struct Model {
  std::set<uint64_t> executed;
  std::vector<std::pair<uint64_t, std::string>> kept;  // in the order of execution
  uint64_t acked = 1;

  Verdict arrived(uint64_t sequence, uint64_t lowest, std::string* reply) {
    acked = std::max(acked, lowest);
    std::erase_if(kept, [this](const auto& one) { return one.first < acked; });
    if (sequence < acked) return Verdict::kAcked;
    if (!executed.contains(sequence)) return Verdict::kFresh;
    for (const auto& [number, text] : kept) {
      if (number != sequence) continue;
      *reply = text;
      return Verdict::kKept;
    }
    return Verdict::kReplyGone;
  }
  void done(uint64_t sequence, const std::string& reply, const SessionOpening& limits) {
    executed.insert(sequence);
    if (reply.size() > limits.reply_bytes_max) return;
    kept.emplace_back(sequence, reply);
    const auto bytes = [this] {
      size_t sum = 0;
      for (const auto& one : kept) sum += one.second.size();
      return sum;
    };
    while (kept.size() > limits.replies_max || bytes() > limits.reply_bytes_max) {
      kept.erase(kept.begin());
    }
  }
};

TEST_F(Once, DoesAsASimpleModelDoes) {
  opening.replies_max = 6;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&random](uint64_t bound) { return random() % bound; };
    table = OnceTable();
    const uint64_t id = open();
    Model model;
    uint64_t front = 1;
    for (int step = 0; step < 3000; ++step) {
      front += below(3);
      const uint64_t back = std::min<uint64_t>(front - 1, below(30));
      const uint64_t sequence = std::max<uint64_t>(front - back, 1);
      const uint64_t lowest = below(20) == 0 ? sequence - std::min(sequence - 1, below(10)) : 0;
      std::string reply;
      const Verdict expected = model.arrived(sequence, lowest, &reply);
      const OnceTable::Answer answer = table.arrived(id, sequence, lowest, now);
      ASSERT_EQ(answer.verdict, expected) << seed << " " << step << " " << sequence;
      ASSERT_EQ(answer.reply, reply);
      if (expected == Verdict::kFresh) {
        const std::string fresh(below(40) == 0 ? 101 : below(50), 'x');
        table.executed(id, sequence, fresh);
        model.done(sequence, fresh, opening);
      }
      if (below(100) == 0) {
        auto copy = OnceTable::decode(table.encode());
        ASSERT_TRUE(copy.has_value()) << copy.error();
        ASSERT_EQ(copy->bytes(), table.bytes());
        table = *std::move(copy);
      }
    }
    ASSERT_EQ(table.list(0, 1, now)[0].executed, model.executed.size());
    table.close(id, now);
    ASSERT_EQ(table.bytes(), 0u);
  }
}

}  // namespace
}  // namespace raftkv::server
