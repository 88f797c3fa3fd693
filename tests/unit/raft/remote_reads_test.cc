// Reads that a follower asks its leader for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/remote_reads.h"
#include "tests/unit/raft/cluster.h"

namespace raftkv::raft::test {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

const std::vector<NodeId> kThree = {1, 2, 3};

Host follower() {
  Host host(options_for(1, kThree), kStart, {1}, {.term = 1, .vote = 0, .commit = 0});
  host.hears(2, 1, Heartbeat{.round = 1});
  host.take_sent();
  return host;
}

// Asks one question, and returns the read's number and the question's.
struct Asked {
  uint64_t read;
  uint64_t question;
};
Asked ask(Host& host) {
  const uint64_t read = host->read_from_leader();
  host.pump();
  return {read, host.take<ReadRequest>().at(0).number};
}

TEST(FollowerRead, OfOneTurnShareAQuestion) {
  Host host = follower();
  const uint64_t first = host->read_from_leader();
  EXPECT_TRUE(host->has_ready());
  const auto [second, question] = ask(host);
  EXPECT_EQ(second, first + 1);
  host.hears(2, 1, ReadReply{.number = question, .index = 7});
  ASSERT_THAT(host.grants(), SizeIs(1));
  EXPECT_EQ(host.grants()[0].first, first);
  EXPECT_EQ(host.grants()[0].last, second);
  EXPECT_EQ(host.grants()[0].index, 7U);
}

TEST(FollowerRead, NeedsAKnownLeader) {
  Host host(options_for(1, kThree), kStart);
  EXPECT_EQ(host->read_from_leader(), 0U);
  EXPECT_FALSE(host->has_ready());
}

TEST(FollowerRead, AnAnswerSpeaksForEarlierQuestionsToo) {
  Host host = follower();
  const Asked first = ask(host);
  const Asked second = ask(host);
  host.hears(2, 1, ReadReply{.number = second.question, .index = 7});
  EXPECT_TRUE(host.granted(first.read));
  EXPECT_TRUE(host.granted(second.read));
  const size_t grants = host.grants().size();
  host.hears(2, 1, ReadReply{.number = first.question, .index = 5});
  EXPECT_THAT(host.grants(), SizeIs(grants)) << "late, and told already";
}

TEST(FollowerRead, AnAnswerDoesNotSpeakForLaterQuestions) {
  Host host = follower();
  const Asked first = ask(host);
  const Asked second = ask(host);
  host.hears(2, 1, ReadReply{.number = first.question, .index = 5});
  EXPECT_TRUE(host.granted(first.read));
  EXPECT_FALSE(host.granted(second.read));
}

TEST(FollowerRead, StaleAnswersAreIgnored) {
  Host host = follower();
  const Asked before = ask(host);
  host.hears(3, 2, Heartbeat{.round = 1});
  host.hears(2, 1, ReadReply{.number = before.question, .index = 5});
  EXPECT_FALSE(host.granted(before.read)) << "its leader is not ours any more";
  host.hears(3, 2, ReadReply{.number = before.question, .index = 5});
  EXPECT_FALSE(host.granted(before.read)) << "nor was this one asked";
  const Asked after = ask(host);
  host.hears(2, 2, ReadReply{.number = after.question, .index = 5});
  EXPECT_FALSE(host.granted(after.read)) << "a follower can't answer";
  host.hears(3, 2, ReadReply{.number = after.question, .index = 5});
  EXPECT_TRUE(host.granted(after.read));
}

// In the same term, of the same leader: the answer is about the time before the restart.
TEST(FollowerRead, AnAnswerFromBeforeARestartIsIgnored) {
  Host host = follower();
  const Asked before = ask(host);
  host.advance(1);
  host.restart();
  host.hears(2, 1, Heartbeat{.round = 2});
  const Asked after = ask(host);
  ASSERT_EQ(after.read, before.read) << "the host counts anew";
  host.hears(2, 1, ReadReply{.number = before.question, .index = 5});
  EXPECT_FALSE(host.granted(after.read));
}

TEST(FollowerRead, ARefusalGrantsNothing) {
  Host host = follower();
  const Asked asked = ask(host);
  host.hears(2, 1, ReadReply{.number = asked.question, .refused = true});
  host.hears(2, 1, ReadReply{.number = asked.question, .index = 5});
  EXPECT_FALSE(host.granted(asked.read));
}

TEST(FollowerRead, OnlySoManyQuestionsWait) {
  Host host = follower();
  const Asked first = ask(host);
  Asked last = first;
  for (size_t i = 0; i < RemoteReads::kOutstandingMax; i++) last = ask(host);
  host.hears(2, 1, ReadReply{.number = last.question, .index = 5});
  EXPECT_FALSE(host.granted(first.read)) << "the oldest was given up";
  EXPECT_TRUE(host.granted(first.read + 1));
}

// --- the leader's side -------------------------------------------------------------------------

TEST(FollowerRead, IsAnsweredWhenAMajorityConfirmsTheLeader) {
  Host host(options_for(1, kThree), kStart);
  host.become_leader();
  host.hears(3, 1, ReadRequest{.number = 9});
  const uint64_t round = host.take<Heartbeat>(2).at(0).round;
  EXPECT_THAT(host.take<ReadReply>(), IsEmpty());
  host.hears(2, 1, HeartbeatReply{.round = round, .last_index = 1});
  const auto answers = host.take<ReadReply>(3);
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_EQ(answers[0].number, 9U);
  EXPECT_EQ(answers[0].index, 1U);
  EXPECT_FALSE(answers[0].refused);
  EXPECT_THAT(host.grants(), IsEmpty()) << "the host asked for nothing";
}

// TiKV #9239: every path waits for the no-op of the term.
TEST(FollowerRead, IsNotAnsweredBeforeTheTermsFirstCommit) {
  Host host(options_for(1, kThree), kStart, {1}, {.term = 1, .vote = 0, .commit = 1});
  host.advance_to_deadline();
  host.hears(2, 2, VoteReply{.pre = true, .granted = true});
  host.hears(2, 2, VoteReply{.pre = false, .granted = true});
  host.hears(3, 2, ReadRequest{.number = 9});
  for (uint64_t round = 1; round < 4; round++) {
    host.hears(2, 2, HeartbeatReply{.round = round, .last_index = 1});
  }
  EXPECT_THAT(host.take<ReadReply>(), IsEmpty());
  host.hears(2, 2, AppendReply{.accepted = true, .match = 2});
  EXPECT_EQ(host.take<ReadReply>(3).at(0).index, 2U);
}

TEST(FollowerRead, OfAllFollowersAndOurOwnShareARound) {
  Host host(options_for(1, kThree), kStart);
  host.become_leader();
  host->step({.from = 2, .to = 1, .term = 1, .body = ReadRequest{.number = 3}});
  host->step({.from = 3, .to = 1, .term = 1, .body = ReadRequest{.number = 5}});
  host->step({.from = 3, .to = 1, .term = 1, .body = ReadRequest{.number = 6}});
  const uint64_t own = host.read();
  const auto rounds = host.take<Heartbeat>(2);
  ASSERT_THAT(rounds, SizeIs(1));
  host.hears(2, 1, HeartbeatReply{.round = rounds[0].round, .last_index = 1});
  EXPECT_TRUE(host.granted(own));
  std::vector<std::pair<NodeId, uint64_t>> answered;
  for (const Message& message : host.take_sent()) {
    if (const auto* reply = std::get_if<ReadReply>(&message.body)) {
      answered.emplace_back(message.to, reply->number);
    }
  }
  EXPECT_THAT(answered, testing::UnorderedElementsAre(std::pair(2, 3), std::pair(3, 6)))
      << "the newest of each speaks for those before";
}

TEST(FollowerRead, IsRefusedByWhoDoesNotLead) {
  Host host = follower();
  host.hears(3, 1, ReadRequest{.number = 9});
  EXPECT_TRUE(host.take<ReadReply>(3).at(0).refused);
  host.hears(3, 0, ReadRequest{.number = 9});
  EXPECT_THAT(host.take<ReadReply>(3), IsEmpty()) << "there is no leader in term 0";
}

TEST(FollowerRead, OfALearnerIsServed) {
  Cluster cluster(3);
  const NodeId leader = cluster.elect();
  const NodeId fourth = cluster.join();
  cluster.change({{MemberChange::Kind::kAddLearner, fourth}}).run(kHeartbeat);
  ASSERT_TRUE(cluster[leader].propose("x"));
  cluster.settle();
  const uint64_t read = cluster[fourth]->read_from_leader();
  ASSERT_NE(read, 0U);
  cluster.settle();
  EXPECT_TRUE(cluster[fourth].granted(read));
  EXPECT_EQ(cluster[fourth].grants().back().index, cluster[leader]->commit_index());
}

TEST(FollowerRead, OnTheLeaderIsARead) {
  Host host(options_for(1, kThree), kStart);
  host.become_leader();
  const uint64_t read = host->read_from_leader();
  host.pump();
  const uint64_t round = host.take<Heartbeat>(2).at(0).round;
  host.hears(2, 1, HeartbeatReply{.round = round, .last_index = 1});
  EXPECT_TRUE(host.granted(read));
}

}  // namespace
}  // namespace raftkv::raft::test
