// Who belongs to the group, and how that changes (thesis 4): one node's view, step by step.
#include "raft/membership.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/codec.h"
#include "tests/unit/raft/host.h"

namespace raftkv::raft::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using Kind = MemberChange::Kind;

// Node 1 leads in term 1, and `voters` have its no-op.
Host leader_of(const std::vector<NodeId>& voters) {
  Host host(options_for(1, voters), kStart);
  if (voters.size() > 1) host.advance_to_deadline();
  host.pump();
  for (const bool pre : {true, false}) {
    for (NodeId id : voters) {
      if (id != 1) host.hears(id, 1, VoteReply{.pre = pre, .granted = true});
    }
  }
  EXPECT_TRUE(host->is_leader());
  for (NodeId id : voters) {
    if (id != 1) host.hears(id, 1, AppendReply{.accepted = true, .match = 1});
  }
  EXPECT_EQ(host->commit_index(), 1U);
  host.take_sent();
  return host;
}

void acknowledge(Host& host, const std::vector<NodeId>& ids) {
  const Index last = host->last_index();
  for (NodeId id : ids) host.hears(id, 1, AppendReply{.accepted = true, .match = last});
}

// Answers the newest heartbeat that was sent to each.
void answer_heartbeats(Host& host, const std::vector<NodeId>& ids) {
  std::map<NodeId, uint64_t> rounds;
  for (const Message& message : host.take_sent()) {
    if (const auto* beat = std::get_if<Heartbeat>(&message.body)) rounds[message.to] = beat->round;
  }
  for (NodeId id : ids) {
    host.hears(id, host->term(),
               HeartbeatReply{.round = rounds[id], .last_index = host->last_index()});
  }
}

Membership now(const Host& host) {
  return host.node().membership().membership;
}

Membership named(const std::vector<NodeId>& voters, NodeId id, const std::string& context) {
  Membership membership = members(voters);
  membership.contexts[id] = context;
  return membership;
}

std::vector<NodeId> asked_for_votes(Host& host) {
  std::vector<NodeId> ids;
  for (const Message& message : host.take_sent()) {
    if (std::holds_alternative<VoteRequest>(message.body)) ids.push_back(message.to);
  }
  return ids;
}

// --- what is wished ----------------------------------------------------------------------------

TEST(Change, OfLearnersOrContextsIsOneEntry) {
  Host host = leader_of({1, 2, 3});
  ASSERT_EQ(host.change({{Kind::kAddLearner, 4, "four"}}), 2U);
  EXPECT_FALSE(now(host).joint());
  EXPECT_THAT(now(host).learners, ElementsAre(4));
  EXPECT_EQ(now(host).contexts.at(4), "four");
  EXPECT_FALSE(host->membership_settled());
  acknowledge(host, {2});
  EXPECT_TRUE(host->membership_settled());
  EXPECT_EQ(host->last_index(), 2U);
  ASSERT_EQ(host.change({{Kind::kUpdateContext, 4, "fourth"}, {Kind::kUpdateContext, 1, "one"}}),
            3U);
  acknowledge(host, {2});
  EXPECT_EQ(now(host).contexts.at(4), "fourth");
  EXPECT_EQ(now(host).contexts.at(1), "one");
  ASSERT_EQ(host.change({{Kind::kRemove, 4}}), 4U);
  acknowledge(host, {2});
  EXPECT_EQ(now(host), named({1, 2, 3}, 1, "one"));
}

TEST(Change, OfVotersGoesThroughAJointPhaseByItself) {
  Host host = leader_of({1, 2, 3});
  ASSERT_EQ(host.change({{Kind::kAddLearner, 4, "four"}, {Kind::kPromote, 4}, {Kind::kRemove, 3}}),
            2U);
  EXPECT_THAT(now(host).voters, ElementsAre(1, 2, 4));
  EXPECT_THAT(now(host).outgoing_voters, ElementsAre(1, 2, 3));
  EXPECT_TRUE(now(host).contexts.contains(3)) << "it has to be reached until it has left";
  acknowledge(host, {2});
  ASSERT_EQ(host->last_index(), 3U) << "2 is in both majorities";
  EXPECT_EQ(now(host), named({1, 2, 4}, 4, "four"));
  EXPECT_FALSE(host->membership_settled());
  acknowledge(host, {2});
  EXPECT_TRUE(host->membership_settled());
}

TEST(Change, ThatMakesNoSenseIsRefusedAndChangesNothing) {
  Host host = leader_of({1, 2, 3});
  struct Case {
    std::vector<MemberChange> changes;
    ChangeError error;
  };
  std::vector<MemberChange> crowd;
  for (NodeId id = 10; id < 10 + Configuration::kLearnersMax + 1; id++) {
    crowd.push_back({Kind::kAddLearner, id});
  }
  std::vector<MemberChange> parliament;
  for (NodeId id = 10; id < 10 + Configuration::kVotersMax; id++) {
    parliament.push_back({Kind::kAddLearner, id});
    parliament.push_back({Kind::kPromote, id});
  }
  for (const Case& c : {
           Case{{{Kind::kAddLearner, 2}}, ChangeError::kAlreadyMember},
           Case{{{Kind::kAddLearner, 4}, {Kind::kAddLearner, 4}}, ChangeError::kAlreadyMember},
           Case{{{Kind::kRemove, 2}, {Kind::kAddLearner, 2}}, ChangeError::kAlreadyMember},
           Case{{{Kind::kPromote, 2}}, ChangeError::kAlreadyMember},
           Case{{{Kind::kPromote, 4}}, ChangeError::kNotMember},
           Case{{{Kind::kRemove, 4}}, ChangeError::kNotMember},
           Case{{{Kind::kUpdateContext, 4}}, ChangeError::kNotMember},
           Case{{{Kind::kAddLearner, 0}}, ChangeError::kNotMember},
           Case{{{Kind::kRemove, 1}, {Kind::kRemove, 2}, {Kind::kRemove, 3}},
                ChangeError::kLastVoter},
           Case{crowd, ChangeError::kTooMany},
           Case{parliament, ChangeError::kTooMany},
       }) {
    const auto result = host.change(c.changes);
    ASSERT_FALSE(result) << change_error_text(c.error);
    EXPECT_EQ(result.error(), c.error) << change_error_text(result.error());
    EXPECT_EQ(host->last_index(), 1U);
  }
}

TEST(Change, IsOnlyForTheLeader) {
  Host host(options_for(1, {1, 2, 3}), kStart);
  EXPECT_EQ(host.change({{Kind::kRemove, 2}}).error(), ChangeError::kNotLeader);
}

TEST(Change, WaitsForTheOneBefore) {
  Host host = leader_of({1, 2, 3});
  ASSERT_TRUE(host.change({{Kind::kAddLearner, 4}}));
  EXPECT_EQ(host.change({{Kind::kAddLearner, 5}}).error(), ChangeError::kInProgress);
  acknowledge(host, {2});
  ASSERT_TRUE(host.change({{Kind::kPromote, 4}}));
  EXPECT_EQ(host.change({{Kind::kAddLearner, 5}}).error(), ChangeError::kInProgress);
  acknowledge(host, {2});
  EXPECT_EQ(host.change({{Kind::kAddLearner, 5}}).error(), ChangeError::kInProgress) << "joint";
  acknowledge(host, {4});
  ASSERT_FALSE(now(host).joint());
  EXPECT_EQ(host.change({{Kind::kAddLearner, 5}}).error(), ChangeError::kInProgress);
  acknowledge(host, {2, 4});
  EXPECT_TRUE(host.change({{Kind::kAddLearner, 5}}));
}

// Ongaro 2015; hydro #3192: else a change of an earlier leader could be committed beside ours.
TEST(Change, WaitsForTheTermsFirstCommit) {
  Host host(options_for(1, {1, 2, 3}), kStart);
  host.advance_to_deadline();
  host.hears(2, 1, VoteReply{.pre = true, .granted = true});
  host.hears(2, 1, VoteReply{.pre = false, .granted = true});
  ASSERT_TRUE(host->is_leader());
  EXPECT_EQ(host.change({{Kind::kAddLearner, 4}}).error(), ChangeError::kInProgress);
  host.hears(2, 1, AppendReply{.accepted = true, .match = 1});
  EXPECT_TRUE(host.change({{Kind::kAddLearner, 4}}));
}

TEST(Change, IsRefusedWhileLeadershipIsHandedOver) {
  Host host = leader_of({1, 2, 3});
  ASSERT_TRUE(host->transfer(2));
  EXPECT_EQ(host.change({{Kind::kAddLearner, 4}}).error(), ChangeError::kTransferring);
}

// RedisRaft #17: a change on a minority never succeeds.
TEST(Change, ThroughAnIsolatedLeaderIsNeverCommitted) {
  Host host = leader_of({1, 2, 3});
  ASSERT_TRUE(host.change({{Kind::kRemove, 2}, {Kind::kRemove, 3}}));
  for (int i = 0; i < 20; i++) host.advance(kTimeout);
  EXPECT_FALSE(host->is_leader()) << "it does not even stay: both majorities count";
  EXPECT_EQ(host->commit_index(), 1U);
  EXPECT_FALSE(host->membership_settled());
}

// --- what counts -------------------------------------------------------------------------------

TEST(Membership, CountsFromAppend) {
  Host host(options_for(1, {1, 2, 3}), kStart);
  Append message{.entries = entries_of({1})};
  message.entries.push_back(membership_entry(1, 2, members({1, 2, 3, 4, 5})));
  host.hears(2, 1, message);
  EXPECT_EQ(host->commit_index(), 0U);
  EXPECT_EQ(host->membership(), (MembershipAt{2, members({1, 2, 3, 4, 5})}));
  host.advance(2 * kTimeout);
  EXPECT_THAT(asked_for_votes(host), ElementsAre(2, 3, 4, 5));
}

TEST(Membership, RollsBackWithItsEntry) {
  Host host(options_for(1, {1, 2, 3}), kStart);
  Append message{.entries = entries_of({1})};
  message.entries.push_back(membership_entry(1, 2, members({1, 2, 3}, {4})));
  message.entries.push_back(membership_entry(1, 3, members({1, 2, 3}, {4, 5})));
  host.hears(2, 1, message);
  ASSERT_EQ(host->membership().index, 3U);
  host.hears(3, 2, Append{.prev_index = 2, .prev_term = 1, .entries = entries_of({2}, 3)});
  EXPECT_EQ(host->membership(), (MembershipAt{2, members({1, 2, 3}, {4})}));
  host.hears(2, 3, Append{.prev_index = 1, .prev_term = 1, .entries = entries_of({3}, 2)});
  EXPECT_EQ(host->membership(), (MembershipAt{0, members({1, 2, 3})}));
  host.restart();
  EXPECT_EQ(host->membership(), (MembershipAt{0, members({1, 2, 3})}));
}

TEST(Membership, IsFoundInTheLogAfterARestart) {
  Host host(options_for(1, {1, 2, 3}), kStart);
  Append message{.entries = entries_of({1})};
  message.entries.push_back(membership_entry(1, 2, members({1, 2}, {4})));
  host.hears(2, 1, message);
  host.restart();
  EXPECT_EQ(host->membership(), (MembershipAt{2, members({1, 2}, {4})}));
}

TEST(Membership, InTheJointPhaseACommitNeedsBothMajorities) {
  Host host = leader_of({1, 2, 3});
  ASSERT_TRUE(host.change({{Kind::kAddLearner, 4},
                           {Kind::kAddLearner, 5},
                           {Kind::kPromote, 4},
                           {Kind::kPromote, 5},
                           {Kind::kRemove, 2},
                           {Kind::kRemove, 3}}));
  acknowledge(host, {4, 5});
  EXPECT_EQ(host->commit_index(), 1U) << "a majority of the new set only";
  acknowledge(host, {2});
  EXPECT_EQ(host->commit_index(), 2U);
}

TEST(Membership, InTheJointPhaseTheNewMajorityIsNeededToo) {
  Host host = leader_of({1, 2, 3});
  ASSERT_TRUE(host.change({{Kind::kAddLearner, 4},
                           {Kind::kAddLearner, 5},
                           {Kind::kPromote, 4},
                           {Kind::kPromote, 5},
                           {Kind::kRemove, 2},
                           {Kind::kRemove, 3}}));
  acknowledge(host, {2, 3});
  EXPECT_EQ(host->commit_index(), 1U) << "a majority of the old set only";
  acknowledge(host, {5});
  EXPECT_EQ(host->commit_index(), 2U);
}

TEST(Membership, InTheJointPhaseAReadNeedsBothMajorities) {
  Host host = leader_of({1, 2, 3});
  ASSERT_TRUE(host.change({{Kind::kAddLearner, 4},
                           {Kind::kAddLearner, 5},
                           {Kind::kPromote, 4},
                           {Kind::kPromote, 5},
                           {Kind::kRemove, 2},
                           {Kind::kRemove, 3}}));
  const uint64_t read = host.read();
  const uint64_t round = host.take<Heartbeat>(4).back().round;
  host.hears(2, 1, HeartbeatReply{.round = round, .last_index = 2});
  host.hears(3, 1, HeartbeatReply{.round = round, .last_index = 2});
  EXPECT_FALSE(host.granted(read));
  host.hears(4, 1, HeartbeatReply{.round = round, .last_index = 2});
  EXPECT_TRUE(host.granted(read));
}

TEST(Membership, InTheJointPhaseALeaderNeedsToHearBothMajorities) {
  Host host = leader_of({1, 2, 3});
  ASSERT_TRUE(host.change({{Kind::kAddLearner, 4},
                           {Kind::kAddLearner, 5},
                           {Kind::kPromote, 4},
                           {Kind::kPromote, 5},
                           {Kind::kRemove, 2},
                           {Kind::kRemove, 3}}));
  for (int i = 0; i < 20 && host->is_leader(); i++) {
    host.advance(kHeartbeat);
    answer_heartbeats(host, {2, 3});
  }
  EXPECT_FALSE(host->is_leader());
}

TEST(Membership, InTheJointPhaseAnElectionNeedsBothMajorities) {
  Host host(options_for(1, {1, 2, 3}), kStart);
  host.hears(2, 1, Append{.entries = {membership_entry(1, 1, members({1, 4, 5}, {}, {1, 2, 3}))}});
  host.advance(2 * kTimeout);
  EXPECT_THAT(asked_for_votes(host), ElementsAre(2, 3, 4, 5));
  host.hears(2, 2, VoteReply{.pre = true, .granted = true});
  EXPECT_EQ(host->role(), Role::kPreCandidate);
  host.hears(4, 2, VoteReply{.pre = true, .granted = true});
  ASSERT_EQ(host->role(), Role::kCandidate);
  host.hears(4, 2, VoteReply{.pre = false, .granted = true});
  host.hears(5, 2, VoteReply{.pre = false, .granted = true});
  EXPECT_EQ(host->role(), Role::kCandidate);
  host.hears(3, 2, VoteReply{.pre = false, .granted = true});
  EXPECT_EQ(host->role(), Role::kLeader);
}

// A recovered joint entry is finished.
TEST(Membership, ANewLeaderEndsTheJointPhaseThatItFinds) {
  Host host(options_for(1, {1, 2, 3}), kStart);
  host.hears(2, 1, Append{.entries = {membership_entry(1, 1, members({1, 2}, {}, {1, 2, 3}))}});
  host.advance(2 * kTimeout);
  for (const bool pre : {true, false}) {
    host.hears(2, 2, VoteReply{.pre = pre, .granted = true});
  }
  ASSERT_TRUE(host->is_leader());
  EXPECT_EQ(host->last_index(), 2U);
  host.hears(2, 2, AppendReply{.accepted = true, .match = 1});
  EXPECT_TRUE(now(host).joint()) << "nothing of this term is committed";
  host.hears(2, 2, AppendReply{.accepted = true, .match = 2});
  EXPECT_EQ(host->last_index(), 3U);
  EXPECT_EQ(host->membership(), (MembershipAt{3, members({1, 2})}));
}

// --- learners ----------------------------------------------------------------------------------

TEST(Learner, GetsTheLogAndCountsForNothing) {
  Host host = leader_of({1, 2, 3});
  ASSERT_TRUE(host.change({{Kind::kAddLearner, 4}, {Kind::kAddLearner, 5}}));
  acknowledge(host, {2});
  host.take_sent();
  ASSERT_TRUE(host.propose("x"));
  acknowledge(host, {4, 5});
  EXPECT_EQ(host->commit_index(), 2U);
  ASSERT_TRUE(host.propose("y"));
  EXPECT_THAT(host.take<Append>(4), Not(IsEmpty()));
  const PeerStatus learner = host->status().peers.at(2);
  EXPECT_EQ(learner.id, 4U);
  EXPECT_TRUE(learner.learner);
  EXPECT_EQ(learner.match, 3U);
  EXPECT_FALSE(host->status().peers.at(0).learner);
}

TEST(Learner, DoesNotConfirmReadsNorKeepALeaderInOffice) {
  Host host = leader_of({1, 2, 3});
  ASSERT_TRUE(host.change({{Kind::kAddLearner, 4}, {Kind::kAddLearner, 5}}));
  acknowledge(host, {2});
  host.take_sent();
  const uint64_t read = host.read();
  for (int i = 0; i < 20 && host->is_leader(); i++) {
    answer_heartbeats(host, {4, 5});
    host.advance(kHeartbeat);
  }
  EXPECT_FALSE(host.granted(read));
  EXPECT_FALSE(host->is_leader());
}

TEST(Learner, NeverCampaignsButVotesWhenAsked) {
  Host host(options_for(4, {}), kStart);
  host.hears(1, 1, Append{.entries = {membership_entry(1, 1, members({1, 2, 3}, {4}))}});
  host.take_sent();
  for (int i = 0; i < 5; i++) host.advance_to_deadline();
  EXPECT_EQ(host->role(), Role::kFollower);
  EXPECT_EQ(host->leader(), 0U) << "it does not believe in a leader that is gone";
  EXPECT_THAT(host.take_sent(), IsEmpty());
  // The candidate may know of its promotion.
  host.hears(2, 5, VoteRequest{.last_index = 2, .last_term = 1});
  EXPECT_TRUE(host.take<VoteReply>(2).at(0).granted);
  host.hears(2, 5, Heartbeat{.round = 1});
  host.hears(2, 5, TimeoutNow{});
  EXPECT_EQ(host->role(), Role::kFollower);
}

TEST(Learner, IsNoTargetOfATransfer) {
  Host host = leader_of({1, 2, 3});
  ASSERT_TRUE(host.change({{Kind::kAddLearner, 4}}));
  acknowledge(host, {2, 3, 4});
  EXPECT_FALSE(host->transfer(4));
  ASSERT_TRUE(host.propose("x"));
  acknowledge(host, {4});
  EXPECT_TRUE(host->transfer(0));
  EXPECT_NE(host->status().transfer_target, 4U) << "although it has most of the log";
}

TEST(Learner, OfAGroupOfOneNeedsNoMajority) {
  Host host = leader_of({1});
  ASSERT_TRUE(host.change({{Kind::kAddLearner, 2}}));
  EXPECT_TRUE(host->membership_settled());
  EXPECT_THAT(host.take<Append>(2), Not(IsEmpty()));
  const uint64_t read = host.read();
  EXPECT_TRUE(host.granted(read));
  host.advance(10 * kTimeout);
  EXPECT_TRUE(host->is_leader()) << "the learner may stay away";
  EXPECT_THAT(host.take<Heartbeat>(2), Not(IsEmpty()));
}

// "A learner that never catches up": promoted all the same, it must not block what it can't.
TEST(Learner, ThatIsPromotedTooEarlyDoesNotStopAGroupOfThree) {
  Host host = leader_of({1, 2, 3});
  ASSERT_TRUE(host.change({{Kind::kAddLearner, 4}}));
  acknowledge(host, {2, 3});
  ASSERT_TRUE(host.change({{Kind::kPromote, 4}}));
  acknowledge(host, {2, 3});
  acknowledge(host, {2, 3});
  EXPECT_TRUE(host->membership_settled());
  EXPECT_THAT(now(host).voters, ElementsAre(1, 2, 3, 4));
}

// --- waiting to be told ------------------------------------------------------------------------

TEST(Waiting, ANodeThatKnowsNobodyWaitsAndListens) {
  Host host(options_for(4, {}), kStart);
  for (int i = 0; i < 5; i++) host.advance_to_deadline();
  EXPECT_EQ(host->role(), Role::kFollower);
  EXPECT_THAT(host.take_sent(), IsEmpty());
  EXPECT_FALSE(host->membership_settled());
  EXPECT_EQ(host->membership(), MembershipAt{});
  host.hears(1, 3, Append{.entries = entries_of({1, 1})});
  EXPECT_EQ(host->leader(), 1U);
  EXPECT_EQ(host->last_index(), 2U);
  host.restart();
  EXPECT_EQ(host->term(), 3U);
  EXPECT_EQ(host->membership(), MembershipAt{});
}

// --- being removed -----------------------------------------------------------------------------

TEST(Removed, ALeaderDoesNotCountItself) {
  Host host = leader_of({1, 2, 3});
  ASSERT_TRUE(host.change({{Kind::kRemove, 1}}));
  acknowledge(host, {2, 3});
  ASSERT_EQ(host->last_index(), 3U);
  EXPECT_THAT(now(host).voters, ElementsAre(2, 3));
  acknowledge(host, {2});
  EXPECT_EQ(host->commit_index(), 2U) << "itself and 2 are no majority of 2 and 3";
  EXPECT_TRUE(host->is_leader());
  acknowledge(host, {3});
  EXPECT_EQ(host->commit_index(), 3U);
}

TEST(Removed, ALeaderHandsOverAndStepsDown) {
  Host host = leader_of({1, 2, 3});
  ASSERT_TRUE(host.change({{Kind::kRemove, 1}}));
  acknowledge(host, {2, 3});
  host.take_sent();
  acknowledge(host, {2, 3});
  EXPECT_EQ(host->status().transfer_target, 2U);
  EXPECT_THAT(host.take<TimeoutNow>(2), SizeIs(1));
  EXPECT_EQ(host->propose(text("x"), 0).error(), ProposeError::kTransferring);
  EXPECT_EQ(host.change({{Kind::kAddLearner, 9}}).error(), ChangeError::kTransferring);
  const MonotonicUs end = host.now() + kTimeout;
  while (host.now() < end && host->is_leader()) {
    host.advance_to_deadline();
    if (host->is_leader()) answer_heartbeats(host, {2, 3});
  }
  EXPECT_EQ(host.now(), end);
  EXPECT_FALSE(host->is_leader()) << "whatever became of the order to campaign";
  host.take_sent();
  for (int i = 0; i < 5; i++) host.advance_to_deadline();
  EXPECT_EQ(host->role(), Role::kFollower) << "it is no voter";
}

TEST(Removed, ALeaderHandsOverOnlyToWhoStays) {
  Host host = leader_of({1, 2, 3});
  ASSERT_TRUE(host.change({{Kind::kRemove, 3}}));
  EXPECT_FALSE(host->transfer(3));
  EXPECT_TRUE(host->transfer(2));
}

// The one that was just removed may have the longest log: without it nobody could be elected.
TEST(Removed, ANodeMayStillBeNeededToFinishItsRemoval) {
  Host host(options_for(1, {1, 2}), kStart);
  host.hears(2, 1,
             Append{.commit = 1,
                    .entries = {
                        membership_entry(1, 1, members({2}, {}, {1, 2})),
                        membership_entry(1, 2, members({2})),
                    }});
  host.advance(2 * kTimeout);
  EXPECT_THAT(asked_for_votes(host), ElementsAre(2));
  EXPECT_EQ(host->role(), Role::kPreCandidate) << "its own vote does not count";
  for (const bool pre : {true, false}) {
    host.hears(2, 2, VoteReply{.pre = pre, .granted = true});
  }
  ASSERT_TRUE(host->is_leader());
  host.hears(2, 2, AppendReply{.accepted = true, .match = 3});
  EXPECT_EQ(host->commit_index(), 3U);
  EXPECT_EQ(host->propose(text("x"), 0).error(), ProposeError::kTransferring);
}

TEST(Removed, ANodeThatKnowsThatForCertainDoesNotCampaign) {
  Host host(options_for(1, {1, 2}), kStart);
  host.hears(2, 1,
             Append{.commit = 2,
                    .entries = {
                        membership_entry(1, 1, members({2}, {}, {1, 2})),
                        membership_entry(1, 2, members({2})),
                    }});
  EXPECT_TRUE(host->membership_settled());
  for (int i = 0; i < 5; i++) host.advance_to_deadline();
  EXPECT_EQ(host->role(), Role::kFollower);
}

TEST(Removed, AFollowerIsToldBeforeItIsForgotten) {
  Host host = leader_of({1, 2, 3});
  ASSERT_TRUE(host.change({{Kind::kRemove, 3}}));
  acknowledge(host, {2});
  acknowledge(host, {2});
  ASSERT_TRUE(host->membership_settled());
  ASSERT_EQ(host->last_index(), 3U);
  EXPECT_THAT(host->status().peers, SizeIs(1)) << "it is no member any more";
  EXPECT_EQ(host.take<Append>(3).back().entries.back().index, 3U);
  host.hears(3, 1, AppendReply{.accepted = true, .match = 3});
  host.advance(kHeartbeat);
  EXPECT_EQ(host.take<Heartbeat>(3).back().commit, 3U) << "and that it is committed";
  host.advance(kHeartbeat);
  answer_heartbeats(host, {2, 3});
  host.advance(kHeartbeat);
  EXPECT_THAT(host.take<Heartbeat>(3), IsEmpty());
  // What it may still say is a stranger's.
  host.hears(3, 9, AppendReply{});
  EXPECT_TRUE(host->is_leader());
}

TEST(Removed, AFollowerThatCantBeReachedIsForgottenAfterAWhile) {
  Host host = leader_of({1, 2, 3});
  ASSERT_TRUE(host.change({{Kind::kRemove, 3}}));
  acknowledge(host, {2});
  acknowledge(host, {2});
  for (int i = 0; i < 100; i++) {
    host.advance(kHeartbeat);
    answer_heartbeats(host, {2});
  }
  ASSERT_TRUE(host->is_leader());
  host.take_sent();
  host.advance(kHeartbeat);
  EXPECT_THAT(host.take<Heartbeat>(3), IsEmpty());
}

TEST(Removed, AFollowerWithAHighTermDoesNotUnseatItsLeader) {
  Host host = leader_of({1, 2, 3});
  ASSERT_TRUE(host.change({{Kind::kRemove, 3}}));
  acknowledge(host, {2});
  acknowledge(host, {2});
  host.hears(3, 50, AppendReply{});
  host.hears(3, 50, VoteReply{.pre = false, .granted = false});
  host.hears(3, 50, VoteRequest{.last_index = 99, .last_term = 49});
  EXPECT_TRUE(host->is_leader());
  EXPECT_EQ(host->term(), 1U);
}

TEST(Removed, AFollowerThatIsAddedAgainIsOneLikeAnyOther) {
  Host host = leader_of({1, 2, 3});
  ASSERT_TRUE(host.change({{Kind::kRemove, 3}}));
  acknowledge(host, {2});
  acknowledge(host, {2});
  ASSERT_TRUE(host.change({{Kind::kAddLearner, 3}}));
  acknowledge(host, {2});
  EXPECT_THAT(host->status().peers, SizeIs(2));
  host.take_sent();
  host.advance(kHeartbeat);
  EXPECT_THAT(host.take<Heartbeat>(3), SizeIs(1));
}

}  // namespace
}  // namespace raftkv::raft::test
