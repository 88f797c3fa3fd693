// Who may lead: timeouts, pre-vote, votes, stickiness, check-quorum.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/unit/raft/cluster.h"

namespace raftkv::raft::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

const std::vector<NodeId> kThree = {1, 2, 3};

Host follower_with(const std::vector<Term>& terms, HardState state) {
  return {options_for(1, kThree), kStart, terms, state};
}

VoteRequest vote_request(Index last_index, Term last_term) {
  return {.pre = false, .transfer = false, .last_index = last_index, .last_term = last_term};
}
VoteRequest pre_vote_request(Index last_index, Term last_term) {
  return {.pre = true, .transfer = false, .last_index = last_index, .last_term = last_term};
}

// --- timers ------------------------------------------------------------------------------------

TEST(Election, TimeoutsAreDrawnFromOneToTwoTimeouts) {
  std::set<uint64_t> drawn;
  for (uint64_t seed = 0; seed < 200; seed++) {
    Options options = options_for(1, kThree);
    options.random_seed = seed;
    const Host host(options, kStart);
    const uint64_t silence = host.node().next_deadline() - kStart;
    EXPECT_GE(silence, kTimeout);
    EXPECT_LT(silence, 2 * kTimeout);
    drawn.insert(silence);
  }
  EXPECT_GT(drawn.size(), 190U);
}

TEST(Election, NodesWithOneSeedDrawDifferentTimeouts) {
  const Host first(options_for(1, kThree), kStart);
  const Host second(options_for(2, kThree), kStart);
  EXPECT_NE(first.node().next_deadline(), second.node().next_deadline());
}

TEST(Election, ALeadersWordStartsTheTimerAnew) {
  Host host(options_for(1, kThree), kStart);
  for (int i = 0; i < 100; i++) {
    host.advance(kTimeout - 1);
    host.hears(2, 1, Heartbeat{.round = 1});
    EXPECT_GE(host->next_deadline(), host.now() + kTimeout);
  }
  EXPECT_EQ(host->role(), Role::kFollower);
}

TEST(Election, NothingHappensBeforeTheDeadlineAndSomethingAtIt) {
  Host host(options_for(1, kThree), kStart);
  host.tick_to(host->next_deadline() - 1);
  EXPECT_THAT(host.take_sent(), IsEmpty());
  host.tick_to(host->next_deadline());
  EXPECT_EQ(host->role(), Role::kPreCandidate);
}

// --- pre-vote ----------------------------------------------------------------------------------

TEST(Election, APreCandidateDoesNotRaiseItsTermNorForgetItsVote) {
  Host host = follower_with({1, 1}, {.term = 4, .vote = 3, .commit = 0});
  host.advance_to_deadline();
  EXPECT_EQ(host->role(), Role::kPreCandidate);
  EXPECT_EQ(host->term(), 4U);
  EXPECT_EQ(host->status().vote, 3U);
  const auto sent = host.take_sent();
  ASSERT_THAT(sent, SizeIs(2));
  for (const Message& message : sent) {
    EXPECT_EQ(message.term, 5U);
    const auto& request = std::get<VoteRequest>(message.body);
    EXPECT_TRUE(request.pre);
    EXPECT_EQ(request.last_index, 2U);
    EXPECT_EQ(request.last_term, 1U);
  }
}

TEST(Election, APreCandidateForgetsItsLeader) {
  Host host(options_for(1, kThree), kStart);
  host.hears(2, 1, Heartbeat{.round = 1});
  ASSERT_EQ(host->leader(), 2U);
  host.advance_to_deadline();
  EXPECT_EQ(host->leader(), 0U);
}

TEST(Election, APreVoteIsRefusedByWhoeverHeardALeaderLately) {
  Host host(options_for(1, kThree), kStart);
  host.hears(2, 1, Heartbeat{.round = 1});
  host.take_sent();
  host.advance(kTimeout - 1);
  host.hears(3, 2, pre_vote_request(9, 1));
  EXPECT_FALSE(host.take<VoteReply>().at(0).granted);
  host.advance(1);
  host.hears(3, 2, pre_vote_request(9, 1));
  EXPECT_TRUE(host.take<VoteReply>().at(0).granted);
}

TEST(Election, APreVoteIsRefusedByALeader) {
  Host host(options_for(1, kThree), kStart);
  host.become_leader();
  host.hears(3, 2, pre_vote_request(9, 1));
  EXPECT_FALSE(host.take<VoteReply>().at(0).granted);
  EXPECT_EQ(host->role(), Role::kLeader);
}

TEST(Election, AGrantedPreVoteChangesNothingAndNeedsNoDisk) {
  Host host = follower_with({1}, {.term = 1, .vote = 2, .commit = 0});
  host.advance(kTimeout);
  host.take_sent();
  host.set_autosync(false);
  host.hears(3, 7, pre_vote_request(1, 1));
  const auto sent = host.take_sent();
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_EQ(sent[0].term, 7U) << "the term that was asked for";
  EXPECT_TRUE(std::get<VoteReply>(sent[0].body).granted);
  EXPECT_EQ(host->term(), 1U);
  EXPECT_EQ(host->status().vote, 2U);
  EXPECT_THAT(host.disk().pending(), IsEmpty());
}

// openraft #1796: the longest log sits on an old term, and nobody tells it of the new one.
TEST(Election, ARefusalCarriesTheHigherTermAndTheAskerTakesItOver) {
  Host behind = follower_with({1, 1, 1}, {.term = 1, .vote = 0, .commit = 0});
  Host ahead(options_for(2, kThree), kStart, {1}, {.term = 9, .vote = 3, .commit = 0});
  behind.advance_to_deadline();
  ahead.advance(2 * kTimeout);
  ahead.take_sent();

  ahead.hears(1, 2, behind.take<VoteRequest>(2).at(0));
  const auto refusal = ahead.take_sent();
  ASSERT_THAT(refusal, SizeIs(1));
  EXPECT_EQ(refusal[0].term, 9U);

  behind.hears(2, refusal[0].term, refusal[0].body);
  EXPECT_EQ(behind->term(), 9U);
  EXPECT_EQ(behind->role(), Role::kFollower);
  behind.advance_to_deadline();
  EXPECT_EQ(behind.take_sent().at(0).term, 10U) << "now it asks for a term that can be won";
}

TEST(Election, ARefusedPreCandidateAsksAgainSoon) {
  Host host(options_for(1, kThree), kStart);
  host.advance_to_deadline();
  host.hears(2, 0, VoteReply{.pre = true, .granted = false});
  host.hears(3, 0, VoteReply{.pre = true, .granted = false});
  EXPECT_EQ(host->role(), Role::kFollower);
  EXPECT_LT(host->next_deadline(), host.now() + kTimeout);
  host.advance_to_deadline();
  EXPECT_EQ(host->role(), Role::kPreCandidate);
}

TEST(Election, APreVoteGrantedForAnotherTermDoesNotCount) {
  Host host = follower_with({}, {.term = 5, .vote = 0, .commit = 0});
  host.advance_to_deadline();
  host.hears(2, 5, VoteReply{.pre = true, .granted = true});
  EXPECT_EQ(host->role(), Role::kPreCandidate);
  host.hears(2, 6, VoteReply{.pre = true, .granted = true});
  EXPECT_EQ(host->role(), Role::kCandidate);
}

// --- candidates --------------------------------------------------------------------------------

TEST(Election, ACandidateAsksOnlyWhenItsTermAndVoteAreDurable) {
  Host host(options_for(1, kThree), kStart);
  host.set_autosync(false);
  host.advance_to_deadline();
  host.take_sent();
  host.hears(2, 1, VoteReply{.pre = true, .granted = true});
  ASSERT_EQ(host->role(), Role::kCandidate);
  EXPECT_THAT(host.take_sent(), IsEmpty());
  host.sync();
  EXPECT_EQ(host.disk().state(), (HardState{.term = 1, .vote = 1, .commit = 0}));
  EXPECT_THAT(host.take<VoteRequest>(), SizeIs(2));
}

TEST(Election, ACandidatesOwnVoteCountsOnlyWhenItIsDurable) {
  Host host(options_for(1, kThree), kStart);
  host.set_autosync(false);
  host.advance_to_deadline();
  host.hears(2, 1, VoteReply{.pre = true, .granted = true});
  host.hears(2, 1, VoteReply{.pre = false, .granted = true});
  EXPECT_EQ(host->role(), Role::kCandidate);
  host.sync();
  EXPECT_EQ(host->role(), Role::kLeader);
}

TEST(Election, OneVoterCountsOnce) {
  Host host(options_for(1, {1, 2, 3, 4, 5}), kStart);
  host.advance_to_deadline();
  for (int i = 0; i < 3; i++) host.hears(2, 1, VoteReply{.pre = true, .granted = true});
  EXPECT_EQ(host->role(), Role::kPreCandidate);
  host.hears(3, 1, VoteReply{.pre = true, .granted = true});
  EXPECT_EQ(host->role(), Role::kCandidate);
  for (int i = 0; i < 3; i++) host.hears(2, 1, VoteReply{.pre = false, .granted = true});
  EXPECT_EQ(host->role(), Role::kCandidate);
}

TEST(Election, PreVotesAreNotVotes) {
  Host host(options_for(1, {1, 2, 3, 4, 5}), kStart);
  host.advance_to_deadline();
  host.hears(2, 1, VoteReply{.pre = true, .granted = true});
  host.hears(3, 1, VoteReply{.pre = true, .granted = true});
  ASSERT_EQ(host->role(), Role::kCandidate);
  host.hears(4, 1, VoteReply{.pre = true, .granted = true});
  host.hears(5, 1, VoteReply{.pre = true, .granted = true});
  EXPECT_EQ(host->role(), Role::kCandidate);
}

TEST(Election, VotesOfAnOlderTermDoNotCount) {
  Host host = follower_with({}, {.term = 3, .vote = 0, .commit = 0});
  host.advance_to_deadline();
  host.hears(2, 4, VoteReply{.pre = true, .granted = true});
  ASSERT_EQ(host->role(), Role::kCandidate);
  host.hears(2, 3, VoteReply{.pre = false, .granted = true});
  EXPECT_EQ(host->role(), Role::kCandidate);
}

TEST(Election, ACandidateWhoseTimePassesGoesBackToPreVote) {
  Host host(options_for(1, kThree), kStart);
  host.advance_to_deadline();
  host.hears(2, 1, VoteReply{.pre = true, .granted = true});
  ASSERT_EQ(host->role(), Role::kCandidate);
  host.advance_to_deadline();
  EXPECT_EQ(host->role(), Role::kPreCandidate);
  EXPECT_EQ(host->term(), 1U);
}

TEST(Election, ACandidateYieldsToTheLeaderOfItsTerm) {
  Host host(options_for(1, kThree), kStart);
  host.advance_to_deadline();
  host.hears(2, 1, VoteReply{.pre = true, .granted = true});
  host.hears(3, 1, Heartbeat{.round = 1});
  EXPECT_EQ(host->role(), Role::kFollower);
  EXPECT_EQ(host->leader(), 3U);
}

// --- votes -------------------------------------------------------------------------------------

TEST(Vote, IsDurableBeforeTheReplyLeaves) {
  Host host(options_for(1, kThree), kStart);
  host.advance(kTimeout);
  host.take_sent();
  host.set_autosync(false);
  host.hears(2, 3, vote_request(0, 0));
  EXPECT_THAT(host.take_sent(), IsEmpty());
  host.sync();
  EXPECT_EQ(host.disk().state(), (HardState{.term = 3, .vote = 2, .commit = 0}));
  const auto sent = host.take_sent();
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_EQ(sent[0].term, 3U);
  EXPECT_TRUE(std::get<VoteReply>(sent[0].body).granted);
}

TEST(Vote, IsGivenOnceATermAlsoAcrossARestart) {
  Host host(options_for(1, kThree), kStart);
  host.advance(kTimeout);
  host.hears(2, 3, vote_request(0, 0));
  host.restart();
  host.advance(kTimeout);
  host.take_sent();
  host.hears(3, 3, vote_request(5, 2));
  EXPECT_FALSE(host.take<VoteReply>().at(0).granted);
  host.hears(2, 3, vote_request(0, 0));
  EXPECT_TRUE(host.take<VoteReply>().at(0).granted) << "a repeated answer to the same candidate";
}

TEST(Vote, IsDurableAlsoWhenItsTermWasSoBefore) {
  Host host = follower_with({2}, {.term = 2, .vote = 0, .commit = 0});
  host.advance(kTimeout);
  host.hears(2, 5, vote_request(1, 1));  // refused, but its term is taken over
  ASSERT_EQ(host.disk().state(), (HardState{.term = 5, .vote = 0, .commit = 0}));
  host.take_sent();
  host.set_autosync(false);
  host.hears(3, 5, vote_request(1, 2));
  EXPECT_THAT(host.take_sent(), IsEmpty());
  host.sync();
  EXPECT_TRUE(host.take<VoteReply>(3).at(0).granted);
  host.restart();
  EXPECT_EQ(host->status().vote, 3U);
}

TEST(Vote, GoesOnlyToALogThatIsAtLeastAsRecent) {
  struct Case {
    Index last_index;
    Term last_term;
    bool granted;
  };
  for (const Case& c : {Case{3, 2, true}, Case{4, 2, true}, Case{1, 3, true}, Case{2, 2, false},
                        Case{9, 1, false}, Case{0, 0, false}}) {
    for (const bool pre : {false, true}) {
      Host host = follower_with({1, 2, 2}, {.term = 2, .vote = 0, .commit = 0});
      host.advance(kTimeout);
      host.take_sent();
      host.hears(2, 5,
                 VoteRequest{.pre = pre, .last_index = c.last_index, .last_term = c.last_term});
      EXPECT_EQ(host.take<VoteReply>().at(0).granted, c.granted)
          << c.last_index << " " << c.last_term << " " << pre;
    }
  }
}

TEST(Vote, IsRefusedWithTheNewerTermToACandidateOfAnOldOne) {
  Host host = follower_with({}, {.term = 6, .vote = 0, .commit = 0});
  host.advance(kTimeout);
  host.hears(2, 5, vote_request(9, 5));
  const auto sent = host.take_sent();
  EXPECT_EQ(sent.back().term, 6U);
  EXPECT_FALSE(std::get<VoteReply>(sent.back().body).granted);
}

TEST(Vote, IsGivenByNobodyWhoHeardALeaderLatelyNorIsTheTermTakenOver) {
  Host host(options_for(1, kThree), kStart);
  host.hears(2, 1, Heartbeat{.round = 1});
  host.take_sent();
  host.hears(3, 8, vote_request(9, 7));
  EXPECT_EQ(host->term(), 1U);
  EXPECT_FALSE(host.take<VoteReply>().at(0).granted);
}

TEST(Vote, IsGivenAgainstStickinessIfTheLeaderAskedForTheElection) {
  Host host(options_for(1, kThree), kStart);
  host.hears(2, 1, Heartbeat{.round = 1});
  host.take_sent();
  host.hears(3, 2, VoteRequest{.transfer = true, .last_index = 0, .last_term = 0});
  EXPECT_EQ(host->term(), 2U);
  EXPECT_TRUE(host.take<VoteReply>().at(0).granted);
}

TEST(Vote, IsGivenByNobodyForOneTimeoutAfterAStart) {
  Host host(options_for(1, kThree), kStart);
  host.advance(kTimeout - 1);
  host.hears(2, 1, vote_request(0, 0));
  EXPECT_FALSE(host.take<VoteReply>().at(0).granted);
  host.advance(1);
  host.hears(2, 1, vote_request(0, 0));
  EXPECT_TRUE(host.take<VoteReply>().at(0).granted);
}

TEST(Vote, StartsTheVotersTimerAnew) {
  Host host(options_for(1, kThree), kStart);
  host.tick_to(host->next_deadline() - 1);
  host.hears(2, 1, vote_request(0, 0));
  EXPECT_GE(host->next_deadline(), host.now() + kTimeout);
}

TEST(Vote, ThatIsRefusedLeavesTheTimerAlone) {
  Host host = follower_with({2}, {.term = 2, .vote = 0, .commit = 0});
  host.advance(kTimeout);
  const MonotonicUs deadline = host->next_deadline();
  ASSERT_EQ(host->role(), Role::kFollower);
  host.hears(2, 7, vote_request(1, 1));
  EXPECT_EQ(host->term(), 7U);
  EXPECT_EQ(host->next_deadline(), deadline);
}

// --- terms -------------------------------------------------------------------------------------

TEST(Term, AHigherOneMakesALeaderFollowAndIsPersisted) {
  for (const auto& body : std::vector<decltype(Message::body)>{
           AppendReply{}, HeartbeatReply{.round = 1}, VoteReply{.granted = false},
           Heartbeat{.round = 1}, Append{}, TimeoutNow{}}) {
    Host host(options_for(1, kThree), kStart);
    host.become_leader();
    host.hears(2, 5, body);
    EXPECT_EQ(host->role(), Role::kFollower) << body.index();
    EXPECT_EQ(host->term(), 5U) << body.index();
    EXPECT_EQ(host.disk().state().term, 5U) << body.index();
    EXPECT_EQ(host->status().vote, 0U) << body.index();
  }
}

// etcd #8243, #8501: whoever missed an election must hear of it from whom it bothers.
TEST(Term, MessagesOfADeposedLeaderAreAnsweredWithTheNewOne) {
  Host host = follower_with({1}, {.term = 4, .vote = 0, .commit = 0});
  host.hears(2, 3, Append{.prev_index = 1, .prev_term = 1, .entries = {}});
  host.hears(2, 3, Heartbeat{.round = 8});
  const auto sent = host.take_sent();
  ASSERT_THAT(sent, SizeIs(2));
  EXPECT_EQ(sent[0].term, 4U);
  EXPECT_FALSE(std::get<AppendReply>(sent[0].body).accepted);
  EXPECT_EQ(sent[1].term, 4U);
  EXPECT_EQ(host->leader(), 0U) << "the old leader is not followed";
}

TEST(Term, IsNotToldToAnybodyBeforeItIsDurable) {
  Host host(options_for(1, kThree), kStart);
  host.set_autosync(false);
  host.hears(2, 5, Heartbeat{.round = 1});
  EXPECT_THAT(host.take_sent(), IsEmpty());
  host.hears(3, 4, Heartbeat{.round = 1});
  EXPECT_THAT(host.take_sent(), IsEmpty());
  host.sync();
  EXPECT_THAT(host.take<HeartbeatReply>(), SizeIs(2));
}

TEST(Term, ACandidateOfAHigherTermUnseatsALeaderThatBothersIt) {
  Cluster cluster(3);
  const NodeId leader = cluster.elect();
  const NodeId odd = leader % 3 + 1;
  const Term term = cluster[leader]->term();
  // It learnt of a higher term somewhere, and is now refused by everybody who serves the leader.
  cluster[odd].hears(leader, term + 5, AppendReply{});
  cluster.run(4 * kTimeout);
  const NodeId next = cluster.elect();
  ASSERT_NE(next, 0U);
  EXPECT_GT(cluster[next]->term(), term + 5);
  cluster.run(4 * kTimeout);
  EXPECT_EQ(cluster[odd]->leader(), cluster.leader());
}

// --- strangers ---------------------------------------------------------------------------------

// Whom we neither asked nor obey can't unseat anybody with a high term.
TEST(Stranger, IsIgnoredWhenItAnswersOrOrders) {
  Host host(options_for(1, kThree), kStart);
  host.advance(kTimeout);
  host.take_sent();
  const Role role = host->role();
  for (const auto& body : std::vector<decltype(Message::body)>{
           AppendReply{}, HeartbeatReply{}, VoteReply{.pre = false, .granted = true}, TimeoutNow{},
           ReadRequest{.number = 1}, ReadReply{.number = 1}}) {
    host.hears(4, 99, body);
  }
  EXPECT_THAT(host.take_sent(), IsEmpty());
  EXPECT_EQ(host->term(), 0U);
  EXPECT_EQ(host->role(), role);
  EXPECT_EQ(host->status().messages_ignored, 6U);
}

// Its membership may be newer than ours (thesis 4.1).
TEST(Stranger, IsFollowedAndVotedForLikeAnybody) {
  Host host(options_for(1, kThree), kStart);
  host.advance(kTimeout);
  host.take_sent();
  host.hears(4, 1, pre_vote_request(0, 0));
  host.hears(4, 1, vote_request(0, 0));
  const auto replies = host.take<VoteReply>(4);
  ASSERT_THAT(replies, SizeIs(2));
  EXPECT_TRUE(replies[0].granted);
  EXPECT_TRUE(replies[1].granted);
  host.hears(4, 1, Append{.entries = entries_of({1})});
  EXPECT_EQ(host->leader(), 4U);
  EXPECT_EQ(host.take<AppendReply>(4).at(0).match, 1U);
}

TEST(Stranger, DoesNotGetAVoteFromWhoHasALeader) {
  Host host(options_for(1, kThree), kStart);
  host.hears(2, 1, Heartbeat{.round = 1});
  host.take_sent();
  host.hears(4, 9, vote_request(99, 8));
  EXPECT_FALSE(host.take<VoteReply>(4).at(0).granted);
  EXPECT_EQ(host->term(), 1U);
}

TEST(Stranger, OurOwnNameAndSomebodyElsesMailAreIgnoredToo) {
  Host host(options_for(1, kThree), kStart);
  host->step({.from = 1, .to = 1, .term = 9, .body = Heartbeat{}});
  host->step({.from = 2, .to = 3, .term = 9, .body = Heartbeat{}});
  EXPECT_EQ(host->term(), 0U);
  EXPECT_EQ(host->status().messages_ignored, 2U);
}

TEST(StrangerDeathTest, TwoLeadersInOneTermEndTheProcess) {
  Host host(options_for(1, kThree), kStart);
  host.hears(2, 1, Heartbeat{.round = 1});
  EXPECT_DEATH(host.hears(3, 1, Heartbeat{.round = 1}), "has two leaders, 2 and 3");
}

// --- check-quorum ------------------------------------------------------------------------------

TEST(CheckQuorum, ALeaderStepsDownWhenAMajorityIsSilent) {
  Host host(options_for(1, {1, 2, 3, 4, 5}), kStart);
  host.advance_to_deadline();
  for (NodeId id : {2, 3}) host.hears(id, 1, VoteReply{.pre = true, .granted = true});
  for (NodeId id : {2, 3}) host.hears(id, 1, VoteReply{.pre = false, .granted = true});
  ASSERT_EQ(host->role(), Role::kLeader);
  host.advance(kTimeout - 1);
  host.hears(4, 1, HeartbeatReply{.round = 1});
  host.hears(5, 1, HeartbeatReply{.round = 1});
  host.advance(kTimeout - 1);
  EXPECT_EQ(host->role(), Role::kLeader);
  host.advance(1);
  EXPECT_EQ(host->role(), Role::kFollower);
  EXPECT_EQ(host->leader(), 0U);
  EXPECT_EQ(host->term(), 1U);
}

TEST(CheckQuorum, TheDeadlineIsTheMomentOfSteppingDown) {
  Host host(options_for(1, kThree), kStart);
  host.become_leader();
  const MonotonicUs since = host.now();
  for (int i = 0; i < 20 && host->is_leader(); i++) host.advance_to_deadline();
  EXPECT_FALSE(host->is_leader());
  EXPECT_EQ(host.now(), since + kTimeout);
}

TEST(CheckQuorum, AJumpOfTheClockUnseatsALeaderBeforeItReadsOldAnswers) {
  Host host(options_for(1, kThree), kStart);
  host.become_leader();
  const uint64_t read = host.read();
  host.advance(5'000 * kMs);  // the process was stopped
  EXPECT_EQ(host->role(), Role::kFollower);
  host.hears(2, 1, HeartbeatReply{.round = 2});
  EXPECT_FALSE(host.granted(read));
}

TEST(CheckQuorum, AnIsolatedLeaderIsReplacedAndRejoinsWithoutDisturbing) {
  Cluster cluster(3);
  const NodeId first = cluster.elect();
  cluster.isolate(first);
  cluster.run(6 * kTimeout);
  const NodeId second = cluster.leader();
  ASSERT_NE(second, 0U);
  ASSERT_NE(second, first);
  EXPECT_FALSE(cluster[first]->is_leader());
  const Term term = cluster[second]->term();
  cluster.run(40 * kTimeout);  // the lonely node tries in vain
  cluster.heal().run(4 * kTimeout);
  EXPECT_EQ(cluster.leader(), second);
  EXPECT_EQ(cluster[second]->term(), term);
  EXPECT_EQ(cluster[first]->leader(), second);
}

// A node that hears nothing but is heard must not unseat a leader (pre-vote and stickiness), and
// one whose leader can't be reached by a majority must not keep it (check-quorum).
TEST(CheckQuorum, OneWayLinksLeaveTheGroupWithALeader) {
  for (const bool inwards : {true, false}) {
    Cluster cluster(3);
    const NodeId first = cluster.elect();
    for (NodeId other = 1; other <= 3; other++) {
      if (other == first) continue;
      if (inwards) {
        cluster.cut(other, first);
      } else {
        cluster.cut(first, other);
      }
    }
    cluster.run(6 * kTimeout);
    const NodeId next = cluster.leader();
    ASSERT_NE(next, 0U);
    EXPECT_NE(next, first);
    EXPECT_TRUE(cluster[next].propose("x"));
    cluster.settle();
    EXPECT_THAT(cluster[next].commands(), ElementsAre("x"));
  }
}

TEST(CheckQuorum, AFollowerWithoutALinkToTheLeaderChangesNothing) {
  Cluster cluster(3);
  const NodeId leader = cluster.elect();
  const Term term = cluster[leader]->term();
  const NodeId odd = leader % 3 + 1;
  cluster.cut(leader, odd).cut(odd, leader);
  cluster.run(40 * kTimeout);
  EXPECT_EQ(cluster.leader(), leader);
  EXPECT_EQ(cluster[leader]->term(), term);
}

// --- becoming leader ---------------------------------------------------------------------------

TEST(NewLeader, OpensItsTermWithANoopAtTheTimeOfTheLastEntry) {
  Host host = follower_with({1, 1}, {.term = 1, .vote = 0, .commit = 0});
  host.advance_to_deadline();
  host.hears(2, 2, VoteReply{.pre = true, .granted = true});
  host.take_sent();
  host.hears(2, 2, VoteReply{.pre = false, .granted = true});
  ASSERT_EQ(host->role(), Role::kLeader);
  const auto appends = host.take<Append>();
  ASSERT_THAT(appends, SizeIs(2));
  EXPECT_EQ(appends[0].prev_index, 2U);
  EXPECT_EQ(appends[0].prev_term, 1U);
  ASSERT_THAT(appends[0].entries, SizeIs(1));
  const Entry& noop = appends[0].entries[0];
  EXPECT_EQ(noop.kind, EntryKind::kNoop);
  EXPECT_EQ(noop.term, 2U);
  EXPECT_EQ(noop.time_us, 2U) << "that of entry 2";
}

TEST(NewLeader, KeepsTheLogsTimeMonotonic) {
  Host host = follower_with({1, 1}, {.term = 1, .vote = 0, .commit = 0});
  host.become_leader();
  ASSERT_TRUE(host.propose("a", 1'000));
  EXPECT_EQ(host->last_time_us(), 1'000U);
  ASSERT_TRUE(host.propose("b", 400));
  EXPECT_EQ(host->last_time_us(), 1'000U) << "this host's clock is behind that of the log";
}

}  // namespace
}  // namespace raftkv::raft::test
