// Linearizable reads: rounds of heartbeats, commits, leases.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/raft/cluster.h"

namespace raftkv::raft::test {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class Read : public testing::Test {
 protected:
  static Host leader(bool lease = false) {
    Options options = options_for(1, {1, 2, 3});
    options.lease_reads = lease;
    Host host(options, kStart);
    host.become_leader();
    return host;
  }
  static uint64_t last_round(Host& host) {
    const auto heartbeats = host.take<Heartbeat>(2);
    return heartbeats.empty() ? 0 : heartbeats.back().round;
  }
  static void answer(Host& host, NodeId from, uint64_t round) {
    host.hears(from, host->term(),
               HeartbeatReply{.round = round, .last_index = host->last_index()});
  }
};

TEST_F(Read, IsGrantedWhenAMajorityAnswersARoundThatLeftAfterIt) {
  Host host = leader();
  const uint64_t read = host.read();
  const uint64_t round = last_round(host);
  EXPECT_FALSE(host.granted(read));
  answer(host, 3, round);
  ASSERT_THAT(host.grants(), SizeIs(1));
  EXPECT_EQ(host.grants()[0].first, read);
  EXPECT_EQ(host.grants()[0].last, read);
  EXPECT_EQ(host.grants()[0].index, 1U);
}

TEST_F(Read, IsNotGrantedByAnAnswerToAnEarlierRound) {
  Host host = leader();
  host.advance(kHeartbeat);
  const uint64_t before = last_round(host);
  const uint64_t read = host.read();
  answer(host, 2, before);
  answer(host, 3, before);
  EXPECT_FALSE(host.granted(read));
  answer(host, 2, before + 1);
  EXPECT_TRUE(host.granted(read));
}

TEST_F(Read, IsNotGrantedByOneAnswerOfFive) {
  Host host(options_for(1, {1, 2, 3, 4, 5}), kStart);
  host.advance_to_deadline();
  for (NodeId id : {2, 3}) host.hears(id, 1, VoteReply{.pre = true, .granted = true});
  for (NodeId id : {2, 3}) host.hears(id, 1, VoteReply{.pre = false, .granted = true});
  for (NodeId id : {2, 3}) host.hears(id, 1, AppendReply{.accepted = true, .match = 1});
  host.take_sent();
  const uint64_t read = host.read();
  const uint64_t round = last_round(host);
  answer(host, 2, round);
  answer(host, 2, round);
  EXPECT_FALSE(host.granted(read));
  answer(host, 5, round);
  EXPECT_TRUE(host.granted(read));
}

TEST_F(Read, OfOneTurnShareARound) {
  Host host = leader();
  const uint64_t first = host->read();
  for (int i = 0; i < 99; i++) host->read();
  host.pump();
  const auto heartbeats = host.take<Heartbeat>(2);
  ASSERT_THAT(heartbeats, SizeIs(1));
  answer(host, 2, heartbeats[0].round);
  ASSERT_THAT(host.grants(), SizeIs(1));
  EXPECT_EQ(host.grants()[0].first, first);
  EXPECT_EQ(host.grants()[0].last, first + 99);
}

TEST_F(Read, MustSeeWhatWasCommittedWhenItCame) {
  Host host = leader();
  ASSERT_TRUE(host.propose("a"));
  host.hears(2, 1, AppendReply{.accepted = true, .match = 2});
  host.take_sent();
  const uint64_t read = host.read();
  answer(host, 2, last_round(host));
  ASSERT_TRUE(host.granted(read));
  EXPECT_EQ(host.grants()[0].index, 2U);
}

// TiKV #9239, RedisRaft #18 #19: before its own no-op is committed, a leader does not know what is.
TEST_F(Read, WaitsForTheTermsFirstCommitOnEveryPath) {
  for (const bool lease : {false, true}) {
    Options options = options_for(1, {1, 2, 3});
    options.lease_reads = lease;
    Host host(options, kStart, {1, 1}, {.term = 1, .vote = 0, .commit = 1});
    host.advance_to_deadline();
    host.hears(2, 2, VoteReply{.pre = true, .granted = true});
    host.take_sent();
    host.hears(2, 2, VoteReply{.pre = false, .granted = true});
    ASSERT_EQ(host->role(), Role::kLeader);
    const uint64_t read = host.read();
    const uint64_t round = last_round(host);
    answer(host, 2, round);
    answer(host, 3, round);
    EXPECT_FALSE(host.granted(read));
    EXPECT_FALSE(host->lease_valid());
    host.hears(2, 2, AppendReply{.accepted = true, .match = 2});
    EXPECT_FALSE(host.granted(read)) << "entry 2 is of the term before";
    host.hears(2, 2, AppendReply{.accepted = true, .match = 3});
    ASSERT_TRUE(host.granted(read));
    EXPECT_EQ(host.grants()[0].index, 3U);
  }
}

TEST_F(Read, IsGrantedByTheCommitOfAnEntryThatCameAfterIt) {
  Host host = leader();
  const uint64_t read = host->read();
  ASSERT_TRUE(host->propose(text("a"), 0));
  host.pump();
  EXPECT_FALSE(host.granted(read));
  host.hears(2, 1, AppendReply{.accepted = true, .match = 2});
  EXPECT_TRUE(host.granted(read)) << "nobody else was leader when the entry was accepted";
}

TEST_F(Read, IsNotGrantedByTheCommitOfAnEntryThatWasThereBefore) {
  Host host = leader();
  ASSERT_TRUE(host.propose("a"));
  const uint64_t read = host.read();
  host.hears(2, 1, AppendReply{.accepted = true, .match = 2});
  EXPECT_EQ(host->commit_index(), 2U);
  EXPECT_FALSE(host.granted(read)) << "it may have been accepted before another leader wrote";
}

TEST_F(Read, RoundsInFlightAreBoundedAndLaterReadsWaitForTheNext) {
  Host host = leader();
  std::vector<uint64_t> reads;
  for (int i = 0; i < 10; i++) reads.push_back(host.read());
  const auto heartbeats = host.take<Heartbeat>(2);
  ASSERT_THAT(heartbeats, SizeIs(2));
  EXPECT_FALSE(host->has_ready());
  answer(host, 2, heartbeats[0].round);
  EXPECT_TRUE(host.granted(reads[0]));
  EXPECT_FALSE(host.granted(reads[1]));
  const uint64_t third = last_round(host);
  EXPECT_EQ(third, heartbeats[1].round + 1) << "one for all that waited";
  answer(host, 2, third);
  EXPECT_TRUE(host.granted(reads[9]));
}

TEST_F(Read, ALostRoundIsRepeatedWithTheHeartbeat) {
  Host host = leader();
  const uint64_t read = host.read();
  host.take_sent();
  host.advance(kHeartbeat);
  answer(host, 2, last_round(host));
  EXPECT_TRUE(host.granted(read));
}

TEST_F(Read, AnswersOfAnotherTermOrToARoundThatNeverLeftAreIgnored) {
  Host host(options_for(1, {1, 2, 3}), kStart, {1}, {.term = 4, .vote = 0, .commit = 1});
  host.become_leader();
  const uint64_t read = host.read();
  const uint64_t round = last_round(host);
  host.hears(2, 4, HeartbeatReply{.round = round, .last_index = 2});
  host.hears(3, 4, HeartbeatReply{.round = round, .last_index = 2});
  EXPECT_FALSE(host.granted(read));
  answer(host, 2, round + 1);
  EXPECT_FALSE(host.granted(read));
  EXPECT_EQ(host->status().messages_ignored, 1U);
}

TEST_F(Read, OfADeposedLeaderIsNeverGranted) {
  Host host = leader();
  const uint64_t read = host.read();
  const uint64_t round = last_round(host);
  host.hears(3, 2, Heartbeat{.round = 1});
  answer(host, 2, round);
  host.hears(2, 1, HeartbeatReply{.round = round, .last_index = 1});
  EXPECT_FALSE(host.granted(read));
}

TEST_F(Read, IsNotTakenByAFollower) {
  Host host(options_for(1, {1, 2, 3}), kStart);
  EXPECT_EQ(host.read(), 0U);
}

TEST_F(Read, NumbersGoOnAcrossLeaderships) {
  Host host = leader();
  const uint64_t before = host.read();
  host.advance(5 * kTimeout);
  ASSERT_FALSE(host->is_leader());
  host.become_leader();
  EXPECT_EQ(host.read(), before + 1);
}

TEST_F(Read, IsGrantedAtOnceInAGroupOfOne) {
  Host host(options_for(1, {1}), kStart);
  host.pump();
  ASSERT_EQ(host->commit_index(), 1U);
  EXPECT_TRUE(host.granted(host.read()));
  host.set_autosync(false);
  ASSERT_TRUE(host.propose("a"));
  EXPECT_TRUE(host.granted(host.read())) << "what is not durable is not seen, and need not be";
  EXPECT_EQ(host.grants().back().index, 1U);
}

TEST_F(Read, IsGrantedInAWholeGroupWithoutAWrite) {
  Cluster cluster(5);
  const NodeId leader = cluster.elect();
  const uint64_t read = cluster[leader].read();
  cluster.settle();
  EXPECT_TRUE(cluster[leader].granted(read));
}

TEST_F(Read, OnAnIsolatedLeaderIsNotGranted) {
  Cluster cluster(3);
  const NodeId leader = cluster.elect();
  cluster.isolate(leader);
  const uint64_t read = cluster[leader].read();
  cluster.run(10 * kTimeout);
  EXPECT_FALSE(cluster[leader].granted(read));
}

// --- leases ------------------------------------------------------------------------------------

TEST_F(Read, UnderALeaseAsksNobody) {
  Host host = leader(true);
  host.advance(kHeartbeat);
  answer(host, 2, last_round(host));
  ASSERT_TRUE(host->lease_valid());
  const uint64_t read = host.read();
  EXPECT_TRUE(host.granted(read));
  EXPECT_THAT(host.take_sent(), IsEmpty());
}

TEST_F(Read, ALeaseCountsFromWhenTheRoundLeftAndAllowsForDrift) {
  Host host = leader(true);
  host.advance(kHeartbeat);
  const uint64_t round = last_round(host);
  const MonotonicUs left = host.now();
  host.advance(kHeartbeat / 2);
  answer(host, 2, round);
  host->tick(left + kTimeout * 9 / 10 - 1);
  EXPECT_TRUE(host->lease_valid());
  host->tick(left + kTimeout * 9 / 10);
  EXPECT_FALSE(host->lease_valid());
}

TEST_F(Read, AfterTheLeaseARoundIsNeeded) {
  Host host = leader(true);
  ASSERT_TRUE(host->lease_valid());
  host.advance(kTimeout - kMs);
  ASSERT_EQ(host->role(), Role::kLeader);
  ASSERT_FALSE(host->lease_valid());
  const uint64_t read = host.read();
  EXPECT_FALSE(host.granted(read));
  answer(host, 2, last_round(host));
  EXPECT_TRUE(host.granted(read));
}

TEST_F(Read, AnAnswerOfOneOfFiveIsNoLease) {
  Options options = options_for(1, {1, 2, 3, 4, 5});
  options.lease_reads = true;
  Host host(options, kStart);
  host.advance_to_deadline();
  for (NodeId id : {2, 3}) host.hears(id, 1, VoteReply{.pre = true, .granted = true});
  for (NodeId id : {2, 3}) host.hears(id, 1, VoteReply{.pre = false, .granted = true});
  for (NodeId id : {2, 3}) host.hears(id, 1, AppendReply{.accepted = true, .match = 1});
  answer(host, 2, 1);
  EXPECT_FALSE(host->lease_valid());
  answer(host, 4, 1);
  EXPECT_TRUE(host->lease_valid());
}

// openraft #1749: the others vote at once for whom the leader told to campaign.
TEST_F(Read, ALeaseEndsWithATransferForTheRestOfTheTerm) {
  Host host = leader(true);
  host.advance(kHeartbeat);
  answer(host, 2, last_round(host));
  ASSERT_TRUE(host->lease_valid());
  ASSERT_TRUE(host->transfer(2));
  EXPECT_FALSE(host->lease_valid());
  const uint64_t read = host.read();
  EXPECT_FALSE(host.granted(read));
  for (int i = 0; i < 20; i++) {
    host.advance(kHeartbeat);
    answer(host, 2, last_round(host));
  }
  ASSERT_EQ(host->role(), Role::kLeader);
  EXPECT_EQ(host->status().transfer_target, 0U);
  EXPECT_FALSE(host->lease_valid());
  EXPECT_TRUE(host.granted(read)) << "by a round";
}

TEST_F(Read, NoLeaseIsHeldUnlessItWasAskedFor) {
  Host host = leader(false);
  host.advance(kHeartbeat);
  answer(host, 2, last_round(host));
  EXPECT_FALSE(host->lease_valid());
}

}  // namespace
}  // namespace raftkv::raft::test
