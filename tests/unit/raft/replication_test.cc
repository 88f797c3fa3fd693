// How a leader replicates and commits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/raft/cluster.h"

namespace raftkv::raft::test {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// Node 1 of three; 2 and 3 are played by the test.
class Replication : public testing::Test {
 protected:
  static Host leader(const std::function<void(Options&)>& adjust = {},
                     const std::vector<Term>& terms = {}) {
    Options options = options_for(1, {1, 2, 3});
    if (adjust) adjust(options);
    const Term term = terms.empty() ? 0 : terms.back();
    Host host(options, kStart, terms, {.term = term, .vote = 0, .commit = 0});
    host.become_leader();
    return host;
  }
  // Elected, but nobody has answered its no-op.
  static Host fresh_leader(const std::vector<Term>& terms) {
    Host host(options_for(1, {1, 2, 3}), kStart, terms,
              {.term = terms.empty() ? 0 : terms.back(), .vote = 0, .commit = 0});
    host.advance_to_deadline();
    const Term term = host->term() + 1;
    host.hears(2, term, VoteReply{.pre = true, .granted = true});
    host.take_sent();
    host.hears(2, term, VoteReply{.pre = false, .granted = true});
    EXPECT_EQ(host->role(), Role::kLeader);
    return host;
  }
  static void ack(Host& host, NodeId from, Index match) {
    host.hears(from, host->term(), AppendReply{.accepted = true, .match = match});
  }
  static void refuse(Host& host, NodeId from, Index prev, Index hint, Term hint_term) {
    host.hears(from, host->term(),
               AppendReply{.rejected_prev = prev, .hint_index = hint, .hint_term = hint_term});
  }
  static std::vector<Index> indexes(const Append& append) {
    std::vector<Index> found;
    for (const Entry& entry : append.entries) found.push_back(entry.index);
    return found;
  }
  static PeerStatus peer(const Host& host, NodeId id) {
    for (const PeerStatus& status : host.node().status().peers) {
      if (status.id == id) return status;
    }
    return {};
  }
};

// --- commit ------------------------------------------------------------------------------------

TEST_F(Replication, AnEntryIsCommittedByAMajorityOfDisks) {
  Host host = leader();
  ASSERT_EQ(host.propose("a"), 2U);
  EXPECT_EQ(host->commit_index(), 1U);
  ack(host, 3, 2);
  EXPECT_EQ(host->commit_index(), 2U);
  EXPECT_THAT(host.commands(), ElementsAre("a"));
}

TEST_F(Replication, TheLeaderCountsItselfOnlyAfterItsOwnSync) {
  Host host = leader();
  host.set_autosync(false);
  ASSERT_TRUE(host.propose("a"));
  ack(host, 2, 2);
  EXPECT_EQ(host->commit_index(), 1U) << "one disk of three";
  host.sync();
  EXPECT_EQ(host->commit_index(), 2U);
}

TEST_F(Replication, TheOthersCanCommitWithoutTheLeadersDisk) {
  Host host = leader();
  host.set_autosync(false);
  ASSERT_TRUE(host.propose("a"));
  ack(host, 2, 2);
  ack(host, 3, 2);
  EXPECT_EQ(host->commit_index(), 2U);
  EXPECT_THAT(host.commands(), ElementsAre("a"));
}

TEST_F(Replication, AppendsLeaveInParallelWithTheLeadersOwnWrite) {
  Host host = leader();
  host.set_autosync(false);
  ASSERT_TRUE(host.propose("a"));
  EXPECT_THAT(host.take<Append>(), SizeIs(2));
  EXPECT_THAT(host.disk().pending(), SizeIs(1));
}

// Raft paper, Figure 8: an entry of an older term on a majority can still be lost.
TEST_F(Replication, EntriesOfOlderTermsAreNotCommittedByCounting) {
  Host host = fresh_leader({1, 2});
  host.set_autosync(false);  // the no-op, entry 3, is not durable here
  ASSERT_EQ(host->last_index(), 3U);
  ack(host, 2, 2);
  ack(host, 3, 2);
  EXPECT_EQ(host->commit_index(), 0U) << "entry 2 of term 2 is on all disks, but this is term 3";
  ack(host, 2, 3);
  ack(host, 3, 3);
  EXPECT_EQ(host->commit_index(), 3U) << "and is committed along with an entry of term 3";
}

TEST_F(Replication, Figure8EndsWithOneLog) {
  Cluster cluster(5);
  NodeId leader = cluster.elect();
  for (int round = 0; round < 20; round++) {
    // The leader gets an entry to one other at most, and is cut off.
    cluster.isolate(leader);
    (void)cluster[leader].propose("r" + std::to_string(round));
    cluster.settle().run(4 * kTimeout).heal();
    leader = cluster.elect();
    ASSERT_NE(leader, 0U);
  }
  cluster.run(4 * kTimeout);
  for (NodeId id = 2; id <= 5; id++) EXPECT_EQ(cluster[id].commands(), cluster[1].commands());
}

TEST_F(Replication, AnAnswerForMoreThanThereIsIsIgnored) {
  Host host = leader();
  ack(host, 2, 99);
  EXPECT_EQ(host->commit_index(), 1U);
  EXPECT_EQ(host->status().messages_ignored, 1U);
}

TEST_F(Replication, AnswersOfAnOlderTermAreIgnored) {
  Host host = fresh_leader({1, 1});
  host.hears(2, 1, AppendReply{.accepted = true, .match = 3});
  host.hears(3, 1, AppendReply{.accepted = true, .match = 3});
  EXPECT_EQ(host->commit_index(), 0U);
}

TEST_F(Replication, TheCommitIndexRidesOnAppendsAndOtherwiseOnHeartbeats) {
  Host host = leader();
  ASSERT_TRUE(host.propose("a"));
  host.take_sent();
  ack(host, 2, 2);
  EXPECT_THAT(host.take_sent(), IsEmpty()) << "no message for a commit alone";
  ASSERT_TRUE(host.propose("b"));
  EXPECT_EQ(host.take<Append>().at(0).commit, 2U);
  ack(host, 2, 3);
  host.take_sent();
  host.advance(kHeartbeat);
  EXPECT_EQ(host.take<Heartbeat>(2).at(0).commit, 3U);
}

TEST_F(Replication, AHeartbeatTellsAFollowerOnlyWhatItSurelyHas) {
  Host host = leader();
  ASSERT_TRUE(host.propose("a"));
  ack(host, 2, 2);
  host.take_sent();
  host.advance(kHeartbeat);
  EXPECT_EQ(host.take<Heartbeat>(3).at(0).commit, 1U) << "it acknowledged the no-op, no more";
}

// --- batches and windows -----------------------------------------------------------------------

TEST_F(Replication, ProposalsOfOneTurnShareAnAppend) {
  Host host = leader();
  for (int i = 0; i < 10; i++) ASSERT_TRUE(host->propose(text("x"), 0));
  host.pump();
  const auto appends = host.take<Append>(2);
  ASSERT_THAT(appends, SizeIs(1));
  EXPECT_THAT(appends[0].entries, SizeIs(10));
  EXPECT_THAT(host.disk().entries(), SizeIs(11));
}

TEST_F(Replication, AnAppendIsBoundedInBytesButHoldsOneEntryAtLeast) {
  Host host = leader([](Options& options) { options.append_bytes_max = 200; });
  for (const size_t size : {10, 10, 1000, 10}) {
    ASSERT_TRUE(host->propose(text(std::string(size, 'x')), 0));
  }
  host.pump();
  const auto appends = host.take<Append>(2);
  ASSERT_THAT(appends, SizeIs(3));
  EXPECT_THAT(indexes(appends[0]), ElementsAre(2, 3));
  EXPECT_THAT(indexes(appends[1]), ElementsAre(4));
  EXPECT_THAT(indexes(appends[2]), ElementsAre(5));
}

TEST_F(Replication, AppendsArePipelined) {
  Host host = leader();
  for (const char* bytes : {"a", "b", "c"}) ASSERT_TRUE(host.propose(bytes));
  const auto appends = host.take<Append>(2);
  ASSERT_THAT(appends, SizeIs(3));
  EXPECT_THAT(indexes(appends[2]), ElementsAre(4));
  EXPECT_EQ(appends[2].prev_index, 3U);
  EXPECT_EQ(peer(host, 2).inflight_messages, 3U);
}

TEST_F(Replication, TheWindowIsBoundedInMessages) {
  Host host = leader([](Options& options) { options.inflight_messages_max = 2; });
  for (int i = 0; i < 5; i++) ASSERT_TRUE(host.propose("x"));
  EXPECT_THAT(host.take<Append>(2), SizeIs(2));
  ack(host, 2, 3);
  const auto appends = host.take<Append>(2);
  ASSERT_THAT(appends, SizeIs(1)) << "what waited goes together";
  EXPECT_THAT(indexes(appends[0]), ElementsAre(4, 5, 6));
}

TEST_F(Replication, TheWindowIsBoundedInBytes) {
  Host host = leader([](Options& options) { options.inflight_bytes_max = 1000; });
  for (int i = 0; i < 10; i++) ASSERT_TRUE(host.propose(std::string(436, 'x')));  // 500 each
  EXPECT_THAT(host.take<Append>(2), SizeIs(2));
  ack(host, 2, 2);
  EXPECT_THAT(host.take<Append>(2), SizeIs(1));
}

TEST_F(Replication, ProposalsAreRefusedWhenTooMuchIsUncommitted) {
  Host host = leader([](Options& options) { options.uncommitted_bytes_max = 1000; });
  ASSERT_TRUE(host.propose(std::string(900, 'x')));
  ASSERT_TRUE(host.propose(std::string(900, 'x')));
  EXPECT_EQ(host.propose("x"), std::unexpected(ProposeError::kBusy));
  EXPECT_EQ(host->last_index(), 3U) << "nothing was appended";
  ack(host, 2, 3);
  EXPECT_TRUE(host.propose("x"));
}

TEST_F(Replication, ProposalsAreRefusedWhenOurOwnDiskFallsBehindTheOthers) {
  Host host = leader([](Options& options) { options.uncommitted_bytes_max = 1000; });
  host.set_autosync(false);
  ASSERT_TRUE(host.propose(std::string(1000, 'x')));
  ack(host, 2, 2);
  ack(host, 3, 2);
  ASSERT_EQ(host->commit_index(), 2U);
  EXPECT_EQ(host.propose("x"), std::unexpected(ProposeError::kBusy));
  host.sync();
  EXPECT_TRUE(host.propose("x"));
}

TEST_F(Replication, OnlyALeaderTakesProposals) {
  Host host(options_for(1, {1, 2, 3}), kStart);
  EXPECT_EQ(host.propose("x"), std::unexpected(ProposeError::kNotLeader));
}

TEST_F(Replication, ADeadFollowerDoesNotGrowTheLeadersMemory) {
  Host host = leader([](Options& options) {
    options.cache_bytes_max = 1000;
    options.append_bytes_max = 1000;
  });
  for (int i = 0; i < 100; i++) {
    ASSERT_TRUE(host.propose(std::string(100, 'x')));
    ack(host, 2, host->last_index());
    host.take_sent();
  }
  ASSERT_EQ(host->commit_index(), 101U);
  const size_t reads_before = host.disk().reads();
  // It comes back empty: what is not in memory any more is read from the disk.
  refuse(host, 3, 20, 0, 0);
  const auto appends = host.take<Append>(3);
  ASSERT_THAT(appends, SizeIs(1));
  EXPECT_EQ(appends[0].prev_index, 1U) << "not behind what it acknowledged";
  EXPECT_GT(host.disk().reads(), reads_before);
  Index have = 1;
  ack(host, 3, have += appends[0].entries.size());
  for (int turns = 0; turns < 100 && have < 101; turns++) {
    for (const Append& append : host.take<Append>(3)) {
      ASSERT_EQ(append.prev_index, have);
      have += append.entries.size();
    }
    ack(host, 3, have);
  }
  EXPECT_EQ(have, 101U);
}

TEST_F(Replication, OneReadOfTheDiskAFollowerAndTurn) {
  Host host = leader([](Options& options) {
    options.cache_bytes_max = 0;
    options.append_bytes_max = 500;
  });
  for (int i = 0; i < 50; i++) {
    ASSERT_TRUE(host.propose(std::string(100, 'x')));
    ack(host, 2, host->last_index());
  }
  refuse(host, 3, 20, 0, 0);
  ack(host, 3, host.take<Append>(3).back().prev_index + 1);
  host.take_sent();
  host->step({.from = 3,
              .to = 1,
              .term = host->term(),
              .body = AppendReply{.accepted = true, .match = 4}});
  while (host->has_ready()) {
    const Ready ready = host->take_ready();
    EXPECT_LE(ready.send_now.size(), 1U);
  }
}

// --- conflicts ---------------------------------------------------------------------------------

TEST_F(Replication, AFreshLeaderProbesWithOneAppendAtATime) {
  Host host = fresh_leader({1, 1});
  ASSERT_TRUE(host.propose("a"));
  ASSERT_TRUE(host.propose("b"));
  auto appends = host.take<Append>(2);
  ASSERT_THAT(appends, SizeIs(1));
  EXPECT_EQ(appends[0].prev_index, 2U);
  ack(host, 2, 3);
  appends = host.take<Append>(2);
  ASSERT_THAT(appends, SizeIs(1));
  EXPECT_THAT(indexes(appends[0]), ElementsAre(4, 5));
}

TEST_F(Replication, AConflictSkipsWholeTerms) {
  // Ours:       1 1 1 4 4 4, then the no-op of term 5 at 7.
  // Follower's: 1 1 1 2 2 2 3 3
  Host host = fresh_leader({1, 1, 1, 4, 4, 4});
  EXPECT_EQ(host.take<Append>(2).at(0).prev_index, 6U);
  refuse(host, 2, 6, 6, 2);  // its entry 6 is the last one with a term up to 4: of term 3 or 2
  const auto appends = host.take<Append>(2);
  ASSERT_THAT(appends, SizeIs(1));
  EXPECT_EQ(appends[0].prev_index, 3U) << "our last entry with a term up to 2";
  EXPECT_THAT(indexes(appends[0]), ElementsAre(4, 5, 6, 7));
}

TEST_F(Replication, AnEmptyFollowerGetsTheLogFromTheStart) {
  Host host = fresh_leader({1, 1, 1});
  host.take_sent();
  refuse(host, 2, 3, 0, 0);
  const auto appends = host.take<Append>(2);
  ASSERT_THAT(appends, SizeIs(1));
  EXPECT_EQ(appends[0].prev_index, 0U);
  EXPECT_EQ(appends[0].prev_term, 0U);
  EXPECT_THAT(appends[0].entries, SizeIs(4));
}

TEST_F(Replication, ALateRefusalIsIgnored) {
  Host host = leader();
  ASSERT_TRUE(host.propose("a"));
  ack(host, 2, 2);
  host.take_sent();
  refuse(host, 2, 1, 0, 0);
  EXPECT_THAT(host.take_sent(), IsEmpty()) << "we know that it matches there";
  refuse(host, 2, 2, 0, 0);
  EXPECT_THAT(host.take_sent(), IsEmpty());
}

TEST_F(Replication, OfManyRefusalsOfOneLossOnlyTheFirstCounts) {
  Host host = leader();
  for (const char* bytes : {"a", "b", "c"}) ASSERT_TRUE(host.propose(bytes));
  host.take_sent();
  refuse(host, 2, 2, 1, 1);
  EXPECT_THAT(host.take<Append>(2), SizeIs(1));
  refuse(host, 2, 3, 1, 1);
  EXPECT_THAT(host.take<Append>(2), IsEmpty());
}

TEST_F(Replication, LogsThatDivergedBecomeOneInTheWholeGroup) {
  Cluster cluster(3);
  const NodeId first = cluster.elect();
  cluster.isolate(first);
  for (int i = 0; i < 5; i++) (void)cluster[first].propose("lost" + std::to_string(i));
  cluster.run(4 * kTimeout);
  const NodeId second = cluster.elect();
  ASSERT_NE(second, first);
  for (int i = 0; i < 3; i++) ASSERT_TRUE(cluster[second].propose("kept" + std::to_string(i)));
  cluster.heal().run(4 * kTimeout);
  for (NodeId id = 1; id <= 3; id++) {
    EXPECT_THAT(cluster[id].commands(), ElementsAre("kept0", "kept1", "kept2"));
    EXPECT_EQ(cluster[id]->last_index(), cluster[first]->last_index());
  }
}

// --- losses ------------------------------------------------------------------------------------

TEST_F(Replication, AHeartbeatsAnswerShowsALoss) {
  Host host = leader();
  ASSERT_TRUE(host.propose("a"));
  host.take_sent();
  host.advance(kHeartbeat);
  const auto round = host.take<Heartbeat>(2).at(0).round;
  host.hears(2, 1, HeartbeatReply{.round = round, .last_index = 1});
  const auto appends = host.take<Append>(2);
  ASSERT_THAT(appends, SizeIs(1));
  EXPECT_EQ(appends[0].prev_index, 1U);
  EXPECT_THAT(indexes(appends[0]), ElementsAre(2));
}

TEST_F(Replication, AnAnswerToAnEarlierHeartbeatShowsNone) {
  Host host = leader();
  host.advance(kHeartbeat);
  const auto round = host.take<Heartbeat>(2).at(0).round;
  ASSERT_TRUE(host.propose("a"));  // leaves after the heartbeat
  host.take_sent();
  host.hears(2, 1, HeartbeatReply{.round = round, .last_index = 1});
  EXPECT_THAT(host.take<Append>(2), IsEmpty());
}

TEST_F(Replication, WhatIsOnlyNotDurableYetIsNotSentAgain) {
  Host host = leader();
  ASSERT_TRUE(host.propose("a"));
  host.take_sent();
  host.advance(kHeartbeat);
  const auto round = host.take<Heartbeat>(2).at(0).round;
  host.hears(2, 1, HeartbeatReply{.round = round, .last_index = 2});
  EXPECT_THAT(host.take<Append>(2), IsEmpty());
}

TEST_F(Replication, AfterAWhileWithoutAnAnswerAnEmptyAppendAsks) {
  Host host = leader();
  ASSERT_TRUE(host.propose("a"));
  host.take_sent();
  // Its log is longer than ours, with entries of a deposed leader: a heartbeat shows nothing.
  std::vector<Append> asked;
  for (int i = 0; i < 3 && asked.empty(); i++) {
    host.advance(kHeartbeat);
    for (NodeId id : {2, 3}) host.hears(id, 1, HeartbeatReply{.round = 1, .last_index = 50});
    asked = host.take<Append>(2);
  }
  ASSERT_THAT(asked, SizeIs(1));
  EXPECT_EQ(asked[0].prev_index, 2U);
  EXPECT_THAT(asked[0].entries, IsEmpty());
  refuse(host, 2, 2, 1, 1);
  EXPECT_THAT(indexes(host.take<Append>(2).at(0)), ElementsAre(2));
}

TEST_F(Replication, AProbeThatWasLostIsRepeatedWithoutItsEntries) {
  Host host = fresh_leader({1, 1});
  host.take_sent();
  for (int i = 0; i < 2; i++) {
    host.advance(kHeartbeat);
    host.hears(3, 2, HeartbeatReply{.round = 1, .last_index = 2});
  }
  const auto appends = host.take<Append>(2);
  ASSERT_THAT(appends, SizeIs(1));
  EXPECT_EQ(appends[0].prev_index, 2U);
  EXPECT_THAT(appends[0].entries, IsEmpty());
  ack(host, 2, 2);
  EXPECT_THAT(indexes(host.take<Append>(2).at(0)), ElementsAre(3));
}

TEST_F(Replication, ARestartedFollowerIsCaughtUp) {
  Cluster cluster(3);
  const NodeId leader = cluster.elect();
  const NodeId follower = leader % 3 + 1;
  cluster.stop(follower);
  for (int i = 0; i < 50; i++) ASSERT_TRUE(cluster[leader].propose("x"));
  cluster.settle().restart(follower).resume(follower).run(3 * kHeartbeat);
  EXPECT_EQ(cluster[follower]->last_index(), cluster[leader]->last_index());
  EXPECT_THAT(cluster[follower].commands(), SizeIs(50));
}

TEST_F(Replication, EveryHeartbeatIntervalEveryFollowerHearsFromTheLeader) {
  Host host = leader();
  for (int i = 0; i < 5; i++) {
    EXPECT_EQ(host->next_deadline(), host.now() + kHeartbeat);
    host.advance_to_deadline();
    EXPECT_THAT(host.take<Heartbeat>(), SizeIs(2));
    for (NodeId id : {2, 3}) host.hears(id, 1, HeartbeatReply{.round = 1, .last_index = 1});
  }
}

TEST_F(Replication, AnIdleLeaderSendsNothingBetweenHeartbeats) {
  Host host = leader();
  EXPECT_FALSE(host->has_ready());
  host.advance(kHeartbeat - 1);
  EXPECT_THAT(host.take_sent(), IsEmpty());
}

}  // namespace
}  // namespace raftkv::raft::test
