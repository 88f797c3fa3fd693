// Snapshots on their way from a leader to a follower that needs what the log no longer holds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/raft/cluster.h"

namespace raftkv::raft::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

const std::vector<NodeId> kThree = {1, 2, 3};

Append append(Index prev, Term prev_term, const std::vector<Term>& terms, Index commit = 0) {
  return {.prev_index = prev,
          .prev_term = prev_term,
          .commit = commit,
          .entries = entries_of(terms, prev + 1)};
}

// --- installing one ----------------------------------------------------------------------------

// Follower 1 of leader 2 in term 3.
Host follower(const std::vector<Term>& terms, Index commit = 0) {
  Host host(options_for(1, kThree), kStart, terms, {.term = 3, .vote = 0, .commit = commit});
  host.pump();
  host.hears(2, 3, Heartbeat{.commit = commit, .round = 1});
  host.take_sent();
  return host;
}

TEST(Restore, ReplacesALogThatDoesNotReachIt) {
  Host host = follower({1, 1}, 1);
  host.set_autosync(false);
  ASSERT_TRUE(host.restore(snapshot_of(10, 3, members(kThree))));
  ASSERT_THAT(host.disk().pending(), SizeIs(1));
  const Persist& persist = host.disk().pending().front();
  ASSERT_TRUE(persist.cut);
  EXPECT_TRUE(persist.cut->replaces_log);
  EXPECT_EQ(persist.cut->first_index, 11U);
  EXPECT_EQ(persist.hard_state->commit, 10U);
  EXPECT_THAT(persist.entries, IsEmpty());
  EXPECT_EQ(host->first_index(), 11U);
  EXPECT_EQ(host->last_index(), 10U);
  EXPECT_EQ(host->commit_index(), 10U);
  EXPECT_EQ(host->status().applied, 10U);
  EXPECT_EQ(host->last_time_us(), 10U);
}

TEST(Restore, IsAcknowledgedWhenItIsDurable) {
  Host host = follower({1, 1}, 1);
  host.set_autosync(false);
  ASSERT_TRUE(host.restore(snapshot_of(10, 3, members(kThree))));
  EXPECT_THAT(host.take_sent(), IsEmpty());
  host.sync();
  EXPECT_EQ(host.take<AppendReply>(2).at(0).match, 10U);
  host.hears(2, 3, append(10, 3, {3}, 11));
  EXPECT_EQ(host.applied_index(), 11U);
}

TEST(Restore, OfWhatIsCommittedAlreadyIsRefused) {
  Host host = follower({1, 1, 1}, 3);
  EXPECT_FALSE(host->wants_snapshot(snapshot_of(3, 1, members(kThree))));
  EXPECT_FALSE(host.restore(snapshot_of(3, 1, members(kThree))));
  EXPECT_FALSE(host->wants_snapshot(snapshot_of(9, 1, Membership{}))) << "it names no voter";
  EXPECT_TRUE(host->wants_snapshot(snapshot_of(4, 1, members(kThree))));
  EXPECT_FALSE(host->has_ready());
}

// The entries go to the disk along with it.
TEST(Restore, MayStandForWhatHasJustBeenHeard) {
  Host host = follower({1, 1}, 1);
  host.set_autosync(false);
  host->step({.from = 2, .to = 1, .term = 3, .body = append(2, 1, {3, 3, 3})});
  ASSERT_TRUE(host.restore(snapshot_of(4, 3, members(kThree))));
  ASSERT_THAT(host.disk().pending(), SizeIs(1));
  EXPECT_FALSE(host.disk().pending().front().cut->replaces_log);
  EXPECT_THAT(host.disk().pending().front().entries, SizeIs(3));
  host.sync();
  EXPECT_EQ(host.take<AppendReply>(2).back().match, 5U);
  host.restart();
  EXPECT_EQ(host->snapshot_index(), 4U);
  EXPECT_EQ(host->last_index(), 5U);
}

// What was acknowledged must not be dropped: it may be committed thanks to us.
TEST(Restore, KeepsWhatFollowsInTheLog) {
  Host host = follower({1, 1, 3, 3, 3}, 1);
  host.set_autosync(false);
  ASSERT_TRUE(host.restore(snapshot_of(3, 3, members(kThree))));
  EXPECT_EQ(host->last_index(), 5U);
  EXPECT_EQ(host->status().durable, 5U);
  EXPECT_EQ(host->commit_index(), 3U);
  ASSERT_TRUE(host.disk().pending().front().cut);
  EXPECT_FALSE(host.disk().pending().front().cut->replaces_log);
  host.sync();
  host.restart();
  EXPECT_EQ(host->last_index(), 5U);
  EXPECT_EQ(host->snapshot_index(), 3U);
}

TEST(Restore, DropsALogThatContradictsIt) {
  Host host = follower({1, 2, 2, 2, 2}, 1);
  ASSERT_TRUE(host.restore(snapshot_of(3, 3, members(kThree))));
  EXPECT_EQ(host->last_index(), 3U);
  EXPECT_EQ(host.disk().last_index(), 3U);
  EXPECT_EQ(host.disk().first_index(), 4U);
}

// Writes of the old log that complete later say nothing about the new one (the ABA race).
TEST(Restore, WritesOnTheirWayDoNotCountForTheNewLog) {
  Host host = follower({1}, 1);
  host.set_autosync(false);
  host.hears(2, 3, append(1, 1, {2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}));
  host.hears(3, 4, Heartbeat{.round = 1});
  ASSERT_TRUE(host.restore(snapshot_of(5, 3, members(kThree))));
  host.hears(3, 4, append(5, 3, {4, 4}));
  host.take_sent();
  host.sync(1);
  EXPECT_EQ(host->status().durable, 1U) << "of entries 2 to 12 nothing is left";
  EXPECT_THAT(host.take<AppendReply>(3), IsEmpty());
  host.sync();
  EXPECT_EQ(host->status().durable, 7U);
  EXPECT_EQ(host.take<AppendReply>(3).back().match, 7U);
}

TEST(Restore, ThatACrashUndoesLeavesTheOldLog) {
  Host host = follower({1, 1}, 1);
  host.set_autosync(false);
  ASSERT_TRUE(host.restore(snapshot_of(10, 3, members(kThree))));
  host.restart();
  EXPECT_EQ(host->last_index(), 2U);
  EXPECT_EQ(host->first_index(), 1U);
}

TEST(Restore, TwiceInOneTurnLeavesTheNewerSnapshot) {
  Host host = follower({1, 1}, 1);
  host.set_autosync(false);
  ASSERT_TRUE(host->restore(snapshot_of(10, 3, members(kThree))));
  host->step({.from = 2, .to = 1, .term = 3, .body = append(10, 3, {3, 3, 3})});
  ASSERT_TRUE(host.restore(snapshot_of(12, 3, members(kThree))));
  ASSERT_THAT(host.disk().pending(), SizeIs(1));
  EXPECT_EQ(host.disk().pending().front().cut->first_index, 13U);
  EXPECT_THAT(host.disk().pending().front().entries, SizeIs(1));
  host.sync();
  EXPECT_EQ(host.disk().last_index(), 13U);
  EXPECT_EQ(host.take<AppendReply>(2).back().match, 13U);
}

TEST(Restore, BringsTheMembershipWithIt) {
  Host host(options_for(1, {}), kStart);
  EXPECT_FALSE(host->membership_settled());
  host.hears(7, 3, Heartbeat{.round = 1});
  ASSERT_TRUE(host.restore(snapshot_of(10, 3, members({7, 8}, {1}))));
  EXPECT_EQ(host->membership(), (MembershipAt{10, members({7, 8}, {1})}));
  EXPECT_TRUE(host->membership_settled());
  host.restart();
  EXPECT_EQ(host->membership().membership, members({7, 8}, {1}));
}

TEST(Restore, BringsATermThatWasNotHeardOf) {
  Host host = follower({1, 1}, 1);
  ASSERT_TRUE(host.restore(snapshot_of(10, 9, members(kThree))));
  EXPECT_EQ(host->term(), 9U);
  EXPECT_EQ(host->leader(), 0U);
}

TEST(Restore, EndsACandidacy) {
  Host host(options_for(1, kThree), kStart);
  host.advance_to_deadline();
  host.hears(2, 1, VoteReply{.pre = true, .granted = true});
  ASSERT_EQ(host->role(), Role::kCandidate);
  ASSERT_TRUE(host.restore(snapshot_of(4, 1, members({1, 2, 3, 4, 5}))));
  EXPECT_EQ(host->role(), Role::kFollower);
}

TEST(Restore, OfALeaderThatHoldsItAllIsOnlyACommit) {
  Host host(options_for(1, kThree), kStart);
  host.become_leader();
  ASSERT_TRUE(host.propose("a"));
  ASSERT_TRUE(host.restore(snapshot_of(2, 1, members(kThree))));
  EXPECT_TRUE(host->is_leader());
  EXPECT_EQ(host->commit_index(), 2U);
}

TEST(Restore, OfALeaderThatLacksItEndsItsLeadership) {
  Host host(options_for(1, kThree), kStart);
  host.become_leader();
  ASSERT_TRUE(host.propose("a"));
  ASSERT_TRUE(host.restore(snapshot_of(2, 2, members(kThree))));
  EXPECT_EQ(host->role(), Role::kFollower);
  EXPECT_EQ(host->last_index(), 2U);
}

// --- sending one -------------------------------------------------------------------------------

// Leader 1 in term 1 with entries 1 to 6, of which 2 has everything; its log begins at 5 and
// follower 3 has nothing.
class SnapshotSender : public testing::Test {
 protected:
  SnapshotSender() : host(options_for(1, kThree), kStart) {
    host.advance_to_deadline();
    host.hears(2, 1, VoteReply{.pre = true, .granted = true});
    host.hears(2, 1, VoteReply{.pre = false, .granted = true});
    for (int i = 0; i < 5; i++) EXPECT_TRUE(host.propose("x"));
    host.hears(2, 1, AppendReply{.accepted = true, .match = 6});
    EXPECT_EQ(host.applied_index(), 6U);
    host.compact(5);
    host.take_sent();
  }
  std::vector<NodeId> asked() {
    std::vector<NodeId> ids;
    for (const SnapshotRequest& request : host.take_snapshot_requests()) ids.push_back(request.to);
    return ids;
  }
  PeerStatus third() { return host->status().peers.at(1); }
  void heartbeat_answered(NodeId id, Index last) {
    const auto beats = host.take<Heartbeat>(id);
    if (!beats.empty()) {
      host.hears(id, 1, HeartbeatReply{.round = beats.back().round, .last_index = last});
    }
  }

  Host host;
};

TEST_F(SnapshotSender, AsksOnceAndSendsNoAppendsUntilItIsThere) {
  EXPECT_THAT(asked(), ElementsAre(3)) << "its first probe lies before the log";
  EXPECT_TRUE(third().snapshotting);
  ASSERT_TRUE(host.propose("y"));
  host.advance(kHeartbeat);
  EXPECT_THAT(asked(), IsEmpty());
  const auto sent = host.take_sent();
  size_t heartbeats = 0;
  for (const Message& message : sent) {
    if (message.to != 3) continue;
    EXPECT_FALSE(std::holds_alternative<Append>(message.body));
    if (std::holds_alternative<Heartbeat>(message.body)) heartbeats++;
  }
  EXPECT_EQ(heartbeats, 1U) << "heartbeats go on";
  EXPECT_FALSE(host->has_ready());
}

TEST_F(SnapshotSender, GoesOnBehindItWhenTheFollowerAcknowledges) {
  host.hears(3, 1, AppendReply{.accepted = true, .match = 6});
  EXPECT_FALSE(third().snapshotting);
  EXPECT_EQ(third().match, 6U);
  ASSERT_TRUE(host.propose("y"));
  EXPECT_THAT(host.take<Append>(3), testing::Not(IsEmpty()));
}

TEST_F(SnapshotSender, AnAcknowledgementOfLessChangesNothing) {
  host.hears(3, 1, AppendReply{.accepted = true, .match = 3});
  EXPECT_TRUE(third().snapshotting);
  host.hears(3, 1, AppendReply{.accepted = true, .match = 4});
  EXPECT_FALSE(third().snapshotting) << "entry 5 is there to send";
  EXPECT_EQ(host.take<Append>(3).at(0).prev_index, 4U);
}

TEST_F(SnapshotSender, GoesOnBehindItWhenTheHostSaysThatItIsThere) {
  host->snapshot_sent(3, 6);
  host.pump();
  EXPECT_FALSE(third().snapshotting);
  EXPECT_EQ(third().match, 0U) << "only the follower can say what is durable there";
  EXPECT_EQ(host.take<Append>(3).at(0).prev_index, 6U);
}

// hashicorp/raft #212: each snapshot is too old on arrival.
TEST_F(SnapshotSender, OneThatIsTooOldOnArrivalIsFollowedByANewerOne) {
  asked();
  host->snapshot_sent(3, 2);
  host.pump();
  EXPECT_THAT(asked(), ElementsAre(3));
  EXPECT_TRUE(third().snapshotting);
}

TEST_F(SnapshotSender, AFailedOneIsAskedForAgainAtTheNextHeartbeat) {
  asked();
  host->snapshot_sent(3, 0);
  host.pump();
  EXPECT_THAT(asked(), IsEmpty()) << "not at once, or a host that can't send it would be kept busy";
  host.advance(kHeartbeat);
  EXPECT_EQ(host.take<Append>(3).at(0).prev_index, 4U) << "does it need one at all?";
  host.hears(3, 1, AppendReply{.accepted = false, .rejected_prev = 4});
  EXPECT_THAT(asked(), ElementsAre(3));
}

TEST_F(SnapshotSender, OneThatTheFollowerDoesNotNeedIsNotForcedOnIt) {
  host->snapshot_sent(3, 0);
  host.advance(kHeartbeat);
  asked();
  host.hears(3, 1, AppendReply{.accepted = true, .match = 6});
  EXPECT_THAT(asked(), IsEmpty());
  EXPECT_EQ(third().match, 6U);
}

TEST_F(SnapshotSender, AsksForNobodyWhoIsSilent) {
  host->snapshot_sent(3, 0);
  for (int i = 0; i < 20; i++) {
    host.advance(kHeartbeat);
    heartbeat_answered(2, 6);
  }
  ASSERT_TRUE(host->is_leader());
  asked();
  host.compact();
  EXPECT_THAT(asked(), IsEmpty());
  EXPECT_FALSE(host->has_ready());
  host.hears(3, 1, HeartbeatReply{.round = 1, .last_index = 0});
  EXPECT_THAT(asked(), ElementsAre(3)) << "it is back";
}

TEST_F(SnapshotSender, AStaleReportIsIgnored) {
  host.hears(3, 1, AppendReply{.accepted = true, .match = 6});
  host->snapshot_sent(3, 2);
  host->snapshot_sent(99, 2);
  host.pump();
  EXPECT_EQ(third().next, 7U);
}

TEST_F(SnapshotSender, AReplyThatReachesFarBackIsNoReasonToReadWhatIsGone) {
  host.hears(3, 1, AppendReply{.accepted = true, .match = 6});
  ASSERT_TRUE(host.propose("y"));
  host.hears(3, 1, AppendReply{.accepted = false, .rejected_prev = 7, .hint_index = 2});
  EXPECT_FALSE(host->has_ready());
}

// --- the whole way -----------------------------------------------------------------------------

TEST(Snapshot, BringsBackAFollowerThatFellBehindTheLog) {
  Cluster cluster(3);
  const NodeId leader = cluster.elect();
  const NodeId slow = leader % 3 + 1;
  cluster.stop(slow);
  for (int i = 0; i < 10; i++) ASSERT_TRUE(cluster[leader].propose("x"));
  cluster.settle();
  cluster[leader].compact();
  ASSERT_TRUE(cluster[leader].propose("y"));
  cluster.resume(slow).run(kTimeout);
  EXPECT_EQ(cluster[slow].applied_index(), cluster[leader].applied_index());
  EXPECT_EQ(cluster[slow]->snapshot_index(), cluster[leader]->snapshot_index());
  EXPECT_EQ(cluster.leader(), leader);
}

TEST(Snapshot, OfAnOldLeaderServesANewOne) {
  Cluster cluster(3);
  const NodeId leader = cluster.elect();
  for (int i = 0; i < 10; i++) ASSERT_TRUE(cluster[leader].propose("x"));
  cluster.run(kHeartbeat);
  for (NodeId id = 1; id <= 3; id++) cluster[id].compact();
  for (NodeId id = 1; id <= 3; id++) cluster.restart(id);
  const NodeId next = cluster.elect();
  ASSERT_NE(next, 0U);
  ASSERT_TRUE(cluster[next].propose("y"));
  cluster.run(kHeartbeat);
  for (NodeId id = 1; id <= 3; id++) EXPECT_THAT(cluster[id].commands(), ElementsAre("y"));
}

}  // namespace
}  // namespace raftkv::raft::test
