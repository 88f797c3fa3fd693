// The check that replicas agree, as the leader sees it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/digest_check.h"

namespace raftkv {
namespace {

using server::Digest;
using server::DigestReport;
using test::Client;
using test::digest_options;
using test::kDigestIntervalMs;
using test::OneNode;
using test::pass_digest_interval;
using test::report_digest;
using testing::HasSubstr;
using testing::StartsWith;

// A leader that took itself out told another one to lead, which does not come.
void wait_for_a_successor_in_vain(OneNode& leader) {
  for (int i = 0; i < 20 && !leader.replica().may_be_discarded(); ++i) {
    leader.pass_ms(50);
    leader.settle();
  }
}

class DigestLeader : public testing::Test {
 protected:
  DigestLeader() : node(digest_options(), 3), client(node) { client.call("SET a 1"); }

  void pass_interval() { pass_digest_interval(node); }
  const server::DigestStatus& status() { return node.replica().digest_status(); }
  void report(raft::NodeId from, const Digest& digest, raft::Index index = 0) {
    if (index == 0) index = status().last_index;
    report_digest(node, from, {index, digest});
    node.settle();
  }
  Digest own() { return status().last_value; }
  Digest other() { return {.low = own().low, .high = own().high ^ 1}; }
  raft::Index last() { return node.replica().node().last_index(); }

  OneNode node;
  Client client;
};

TEST_F(DigestLeader, ProposesACheckWhenSomethingIsNew) {
  const raft::Index before = last();
  pass_interval();
  EXPECT_EQ(last(), before + 1);
  EXPECT_EQ(status().last_index, before + 1);
  EXPECT_EQ(own(), node.replica().state().digest());
  pass_interval();
  EXPECT_EQ(last(), before + 1) << "nothing was written since";
  client.call("SET a 2");
  pass_interval();
  EXPECT_EQ(status().last_index, before + 3);
}

TEST_F(DigestLeader, WithoutAnIntervalThereIsNoCheck) {
  OneNode off({}, 3);
  Client there(off);
  there.call("SET a 1");
  const raft::Index before = off.replica().node().last_index();
  for (uint64_t ms = 0; ms <= 2 * kDigestIntervalMs; ms += 300) {
    off.pass_ms(300);
    off.settle();
  }
  EXPECT_EQ(off.replica().node().last_index(), before);
}

TEST_F(DigestLeader, WhoIsAloneChecksNothing) {
  OneNode alone(digest_options(), 1);
  Client there(alone);
  there.call("SET a 1");
  const raft::Index before = alone.replica().node().last_index();
  alone.pass_ms(2 * kDigestIntervalMs);
  alone.settle();
  EXPECT_EQ(alone.replica().node().last_index(), before);
}

TEST_F(DigestLeader, ACheckDoesNotMoveTheLogsClock) {
  const uint64_t before = node.replica().state().log_time_us();
  pass_interval();
  ASSERT_NE(status().last_index, 0U);
  EXPECT_EQ(node.replica().state().log_time_us(), before)
      << "a WATCH may have been decided by an earlier time, and waits to be proposed";
}

TEST_F(DigestLeader, SessionsAreLeftOutWhenTheyAreTooMuchForOneGo) {
  server::ReplicaOptions large = digest_options();
  large.once.reply_bytes_max = size_t{64} << 20;
  OneNode leader(large, 3);
  Client there(leader);
  ASSERT_EQ(there.call("SET big " + std::string(1 << 20, 'x')), "+OK\r\n");
  std::string id = there.call("RAFT.SESSION OPEN").substr(1);
  id.resize(id.size() - 2);
  for (int i = 1; i <= 17; ++i) {
    there.call("RAFT.ONCE " + id + " " + std::to_string(i) + " GETEX big PERSIST");
  }
  const auto digest_of_check = [&] {
    pass_digest_interval(leader);
    return leader.replica().digest_status().last_value;
  };
  const server::StateMachine& state = leader.replica().state();
  EXPECT_EQ(digest_of_check(), state.keyspace().digest(0));
  EXPECT_NE(digest_of_check(), state.digest());
  there.call("RAFT.SESSION CLOSE " + id);
  EXPECT_EQ(digest_of_check(), state.digest());
  EXPECT_NE(digest_of_check(), state.keyspace().digest(0)) << "the number of the next session";
}

// The first check was proposed, something is new, and the next check is due in 100 ms.
class DigestLeaderBeforeACheck : public DigestLeader {
 protected:
  DigestLeaderBeforeACheck() {
    const raft::Index none_yet = last();
    while (last() == none_yet) pass(50);
    client.call("SET a 2");
    for (uint64_t ms = 0; ms < kDigestIntervalMs - 100; ms += 100) pass(100);
    before = last();
  }
  void pass(uint64_t ms) {
    node.pass_ms(ms);
    node.settle();
  }

  raft::Index before = 0;
};

TEST_F(DigestLeaderBeforeACheck, ItComesWhenItIsDue) {
  pass(99);
  EXPECT_EQ(last(), before);
  pass(1);
  EXPECT_EQ(last(), before + 1);
}

TEST_F(DigestLeaderBeforeACheck, ItWaitsForRoomOnTheDisk) {
  node.fill_disk(true);
  for (int i = 0; i < 10; ++i) pass(100);
  ASSERT_FALSE(node.replica().transferring()) << "nobody took over from it";
  EXPECT_EQ(last(), before);
  node.fill_disk(false);
  node.settle();
  EXPECT_EQ(last(), before + 1);
}

TEST_F(DigestLeaderBeforeACheck, NoHandOverWaitsForIt) {
  node.stop_followers_disks();
  client.send("SET a 3");
  node.settle();
  ASSERT_EQ(last(), before + 1);
  ASSERT_TRUE(node.replica().transfer(2));
  pass(200);
  ASSERT_TRUE(node.replica().transferring()) << "what was written is not there yet";
  EXPECT_EQ(last(), before + 1);
}

TEST(DigestLeaderInSlices, OneCheckAtATime) {
  server::ReplicaOptions often = digest_options(0);
  often.digest_interval_us = 1'000'000;
  OneNode node(often, 3);
  Client client(node);
  for (int i = 0; i < 2000; ++i) client.send("SET key:" + std::to_string(i) + " value");
  node.settle();
  const server::DigestStatus& status = node.replica().digest_status();
  const raft::Index before = node.replica().node().last_index();
  const auto turn = [&] {
    node.pass_ms(300);
    node.turn();
    node.finish_writes();
    node.deliver_answers();
  };
  for (int i = 0; !status.in_progress; ++i) {
    ASSERT_LT(i, 10);
    turn();
  }
  client.send("SET key:1 another");
  raft::Index last = 0;
  int turns = 0;
  for (; status.in_progress; ++turns) {
    last = node.replica().node().last_index();
    turn();
  }
  EXPECT_GT(turns, 10) << "the next one was due several times";
  EXPECT_EQ(last, before + 2) << "the check, and the write";
  EXPECT_EQ(status.skipped, 0U);
}

TEST_F(DigestLeader, AMajorityWithItselfIsTheVerdict) {
  pass_interval();
  const raft::Index check = last();
  EXPECT_EQ(status().checks, 0U) << "its own word is no majority";
  report(2, own());
  EXPECT_EQ(last(), check + 1);
  EXPECT_EQ(status().checks, 1U);
  EXPECT_EQ(status().last_ok_index, check);
  report(3, other());
  EXPECT_EQ(last(), check + 1) << "there is one verdict; node 3 sees it";
  EXPECT_TRUE(node.differences.empty());
}

TEST_F(DigestLeader, AStrangersReportCountsForNothing) {
  pass_interval();
  const raft::Index check = last();
  report(9, own());
  report(2, own(), check - 1);
  EXPECT_EQ(last(), check);
  EXPECT_EQ(status().checks, 0U);
}

TEST_F(DigestLeader, WhenAllDifferItSaysSoAndLeadsOn) {
  pass_interval();
  const raft::Index check = last();
  report(2, other());
  EXPECT_EQ(last(), check);
  report(3, {.low = 5, .high = 5});
  EXPECT_THAT(node.undecided, testing::ElementsAre(check));
  EXPECT_EQ(client.call("SET a 2"), "+OK\r\n");
}

TEST_F(DigestLeader, ALeaderInTheMinorityServesNothingAndHandsOver) {
  pass_interval();
  Client reader(node);
  report(2, other());
  report(3, other());
  ASSERT_EQ(node.differences.size(), 1U);
  EXPECT_THAT(node.told_to_lead, testing::Contains(testing::AnyOf(2U, 3U)));
  EXPECT_FALSE(node.replica().may_be_discarded()) << "its successor is not there yet";
  EXPECT_THAT(reader.call("GET a"), HasSubstr("-LOADING"));
  node.depose();
  node.settle();
  EXPECT_TRUE(node.replica().may_be_discarded());
}

TEST_F(DigestLeader, WhatStandsBehindTheVerdictIsNotAnsweredFromTheWrongData) {
  pass_interval();
  client.take();
  report(2, other());
  // The verdict enters the log first, then the write: both are committed together.
  node.stop_followers_disks();
  report(3, other());
  EXPECT_TRUE(client.send("INCR a"));
  node.settle();
  node.wake_followers();
  node.pass_ms(60);
  node.settle();
  ASSERT_EQ(node.differences.size(), 1U);
  EXPECT_EQ(client.take(), "") << "nothing is answered";
  node.depose();
  node.settle();
  EXPECT_THAT(client.take(), StartsWith("-UNKNOWN"));
}

TEST_F(DigestLeader, WhatHasNotEnteredTheLogBeforeTheVerdictDoesNotAfterIt) {
  server::ReplicaOptions narrow = digest_options();
  narrow.entries_inflight_max = 1;
  OneNode leader(narrow, 3);
  Client first(leader);
  Client second(leader);
  first.call("SET a 1");
  pass_digest_interval(leader);
  const Digest own = leader.replica().digest_status().last_value;
  const Digest theirs{.low = own.low ^ 1, .high = own.high};
  leader.stop_followers_disks();
  first.send("INCR a");
  leader.settle();
  for (const raft::NodeId from : {2, 3}) {
    report_digest(leader, from, {leader.replica().digest_status().last_index, theirs});
  }
  second.send("INCR b");
  leader.settle();
  const raft::Index verdict = leader.replica().node().last_index();
  leader.wake_followers();
  leader.pass_ms(60);
  leader.settle();
  ASSERT_EQ(leader.differences.size(), 1U);
  EXPECT_EQ(first.take(), ":2\r\n") << "it stands before the verdict";
  wait_for_a_successor_in_vain(leader);
  EXPECT_EQ(leader.replica().node().last_index(), verdict);
  leader.depose();
  leader.settle();
  EXPECT_THAT(second.take(), StartsWith("-MOVED"));
}

class DigestLeaderWithShortLog : public testing::Test {
 protected:
  static server::ReplicaOptions short_log() {
    server::ReplicaOptions how = digest_options();
    how.snapshots.limits.log_bytes = 0;
    how.snapshots.limits.log_entries = 20;
    how.snapshots.limits.tail_entries = 0;
    return how;
  }
  // Follower 3 was away for longer than the log goes back.
  DigestLeaderWithShortLog() : node(short_log(), 3), client(node) {
    node.silence_follower(3);
    for (int i = 0; i < 50; ++i) client.call("INCR a");
  }
  void follower_3_comes_back() {
    node.wake_follower(3);
    for (int i = 0; i < 10; ++i) {
      node.pass_ms(100);
      node.settle();
    }
  }

  OneNode node;
  Client client;
};

TEST_F(DigestLeaderWithShortLog, SendsItsSnapshot) {
  follower_3_comes_back();
  EXPECT_THAT(node.snapshots_wanted, testing::ElementsAre(3U));
}

TEST_F(DigestLeaderWithShortLog, SendsNoneOfWhatDiffers) {
  pass_digest_interval(node);
  const Digest own = node.replica().digest_status().last_value;
  const DigestReport theirs{node.replica().digest_status().last_index, {own.low ^ 1, own.high}};
  for (const raft::NodeId from : {2, 3}) report_digest(node, from, theirs);
  node.settle();
  ASSERT_EQ(node.differences.size(), 1U);
  wait_for_a_successor_in_vain(node);
  follower_3_comes_back();
  EXPECT_THAT(node.snapshots_wanted, testing::IsEmpty());
}

TEST_F(DigestLeader, ALeaderThatNobodyTakesOverFromDoesNotWaitForEver) {
  pass_interval();
  client.call("SET a 3");
  report(2, other());
  report(3, other());
  ASSERT_EQ(node.differences.size(), 1U);
  wait_for_a_successor_in_vain(node);
  EXPECT_TRUE(node.replica().may_be_discarded());
  EXPECT_THAT(client.call("SET a 2"), StartsWith("-LOADING"));
  const raft::Index verdict = last();
  pass_interval();
  EXPECT_EQ(last(), verdict) << "it asks nobody any more";
}

}  // namespace
}  // namespace raftkv
