// What a follower does with appends and heartbeats, and what it hands out to apply.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/raft/host.h"

namespace raftkv::raft::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class Follower : public testing::Test {
 protected:
  static Host with(const std::vector<Term>& terms, Term term, Index commit = 0) {
    return {options_for(1, {1, 2, 3}), kStart, terms, {.term = term, .vote = 0, .commit = commit}};
  }
  // An append of leader 2.
  static void append(Host& host, Term term, Index prev, Term prev_term,
                     const std::vector<Term>& terms, Index commit = 0) {
    host.hears(2, term,
               Append{.prev_index = prev,
                      .prev_term = prev_term,
                      .commit = commit,
                      .entries = entries_of(terms, prev + 1)});
  }
  static std::vector<Term> terms(const Host& host) {
    std::vector<Term> found;
    for (const Entry& entry : host.disk().entries()) found.push_back(entry.term);
    return found;
  }
};

TEST_F(Follower, AcceptsTheFirstEntriesBehindNothing) {
  Host host = with({}, 1);
  append(host, 1, 0, 0, {1, 1});
  EXPECT_EQ(host.take<AppendReply>().at(0).match, 2U);
  EXPECT_THAT(terms(host), ElementsAre(1, 1));
}

TEST_F(Follower, AnswersOnlyWhenTheEntriesAreDurable) {
  Host host = with({}, 1);
  host.set_autosync(false);
  append(host, 1, 0, 0, {1, 1});
  EXPECT_THAT(host.take_sent(), IsEmpty());
  host.sync();
  const auto replies = host.take<AppendReply>();
  ASSERT_THAT(replies, SizeIs(1));
  EXPECT_TRUE(replies[0].accepted);
  EXPECT_EQ(replies[0].match, 2U);
}

TEST_F(Follower, AnswersADuplicateOnlyWhenTheFirstIsDurable) {
  Host host = with({}, 1);
  append(host, 1, 0, 0, {1});
  host.take_sent();
  host.set_autosync(false);
  append(host, 1, 1, 1, {1});
  append(host, 1, 1, 1, {1});
  EXPECT_THAT(host.take_sent(), IsEmpty());
  append(host, 1, 0, 0, {1});
  EXPECT_EQ(host.take<AppendReply>().at(0).match, 1U) << "that much is durable already";
  host.sync();
  EXPECT_EQ(host.take<AppendReply>().back().match, 2U);
}

TEST_F(Follower, AnswersTheAppendsOfOneTurnOnce) {
  Host host = with({}, 1);
  append(host, 1, 0, 0, {});
  host.take_sent();
  for (Index i = 0; i < 3; i++) {
    host->step({.from = 2,
                .to = 1,
                .term = 1,
                .body = Append{.prev_index = i,
                               .prev_term = i == 0 ? Term{0} : Term{1},
                               .entries = entries_of({1}, i + 1)}});
  }
  host.pump();
  const auto replies = host.take<AppendReply>();
  ASSERT_THAT(replies, SizeIs(1));
  EXPECT_EQ(replies[0].match, 3U);
}

TEST_F(Follower, HeartbeatsAreAnsweredWhileTheDiskIsBusy) {
  Host host = with({}, 1);
  host.set_autosync(false);
  append(host, 1, 0, 0, {1, 1});
  host.hears(2, 1, Heartbeat{.round = 7});
  const auto replies = host.take<HeartbeatReply>();
  ASSERT_THAT(replies, SizeIs(1));
  EXPECT_EQ(replies[0].round, 7U);
  EXPECT_EQ(replies[0].last_index, 2U) << "received, durable or not";
}

TEST_F(Follower, RefusesWhatLeavesAGap) {
  Host host = with({1, 1}, 1);
  append(host, 1, 4, 1, {1});
  const auto reply = host.take<AppendReply>().at(0);
  EXPECT_FALSE(reply.accepted);
  EXPECT_EQ(reply.rejected_prev, 4U);
  EXPECT_EQ(reply.hint_index, 2U);
  EXPECT_EQ(reply.hint_term, 1U);
  EXPECT_THAT(terms(host), ElementsAre(1, 1));
}

TEST_F(Follower, RefusesWhatStandsBehindAnotherTerm) {
  Host host = with({1, 1, 2, 2, 2}, 4);
  append(host, 4, 4, 1, {4});
  const auto reply = host.take<AppendReply>().at(0);
  EXPECT_FALSE(reply.accepted);
  EXPECT_EQ(reply.hint_index, 2U) << "the whole of term 2 is skipped";
  EXPECT_EQ(reply.hint_term, 1U);
  EXPECT_THAT(terms(host), ElementsAre(1, 1, 2, 2, 2)) << "a refusal removes nothing";
}

TEST_F(Follower, CutsOffWhatContradictsTheLeader) {
  Host host = with({1, 1, 2, 2, 2}, 3);
  append(host, 3, 2, 1, {3});
  EXPECT_THAT(terms(host), ElementsAre(1, 1, 3));
  EXPECT_EQ(host->last_index(), 3U);
  EXPECT_EQ(host.take<AppendReply>().at(0).match, 3U);
}

TEST_F(Follower, ADuplicateRemovesNothing) {
  Host host = with({1}, 1);
  append(host, 1, 1, 1, {1, 1, 1});
  append(host, 1, 1, 1, {1});
  EXPECT_THAT(terms(host), ElementsAre(1, 1, 1, 1));
  EXPECT_EQ(host.take<AppendReply>().back().match, 2U) << "no more than the message shows";
}

// RedisLabs/raft #49: appends behind index 0 must not append twice.
TEST_F(Follower, AnAppendFromTheVeryStartOverlapsOnly) {
  Host host = with({1, 1}, 2, 2);
  append(host, 2, 0, 0, {1, 1, 2}, 2);
  EXPECT_THAT(terms(host), ElementsAre(1, 1, 2));
  append(host, 2, 0, 0, {1}, 2);
  EXPECT_THAT(terms(host), ElementsAre(1, 1, 2));
}

TEST_F(Follower, AnAppendBelowTheCommitIndexIsAcceptedAndChangesNothing) {
  Host host = with({1, 1, 1, 1}, 1, 4);
  append(host, 1, 1, 1, {1}, 1);
  const auto reply = host.take<AppendReply>().at(0);
  EXPECT_TRUE(reply.accepted);
  EXPECT_EQ(reply.match, 2U);
  EXPECT_EQ(host->commit_index(), 4U);
  EXPECT_EQ(host->last_index(), 4U);
}

TEST_F(Follower, OverlapsAreKeptAndTheRestAppended) {
  Host host = with({1, 1}, 2);
  append(host, 2, 1, 1, {1, 2, 2});
  EXPECT_THAT(terms(host), ElementsAre(1, 1, 2, 2));
}

using FollowerDeathTest = Follower;

TEST_F(FollowerDeathTest, WillRatherDieThanCutOffWhatIsCommitted) {
  Host host = with({1, 1, 1}, 2, 3);
  EXPECT_DEATH(append(host, 2, 2, 1, {2}), "told to replace entry 3, but 3 is committed");
  EXPECT_DEATH(append(host, 2, 2, 2, {2}), "committed entry 2 with another term");
}

TEST_F(FollowerDeathTest, DiesWhenItsDiskLostWhatTheLeaderKnowsItSynced) {
  Host host = with({1}, 1);
  EXPECT_DEATH(host.hears(2, 1, Heartbeat{.commit = 2, .round = 1}), "the disk lost it");
}

TEST_F(Follower, IgnoresEntriesThatContradictThemselves) {
  Host host = with({1}, 1);
  const auto try_entries = [&](const std::vector<Entry>& entries) {
    host.hears(2, 3, Append{.prev_index = 1, .prev_term = 1, .commit = 0, .entries = entries});
  };
  auto gap = entries_of({1, 1}, 2);
  gap[1].index = 9;
  auto backwards = entries_of({2, 1}, 2);
  auto beyond = entries_of({4}, 2);
  auto time = entries_of({1, 1}, 2);
  time[1].time_us = 1;
  for (const auto& entries : {gap, backwards, beyond, time}) try_entries(entries);
  host.hears(2, 3, Append{.prev_index = 1, .prev_term = 0, .entries = {}});
  host.hears(2, 0, Append{});
  EXPECT_EQ(host->status().messages_ignored, 6U);
  EXPECT_EQ(host->term(), 1U);
  EXPECT_THAT(host.take_sent(), IsEmpty());
}

// --- commit and apply --------------------------------------------------------------------------

TEST_F(Follower, AppliesUpToTheLeadersCommitButNoFurtherThanItsOwnLog) {
  Host host = with({}, 1);
  append(host, 1, 0, 0, {1, 1, 1}, 2);
  EXPECT_THAT(host.commands(), ElementsAre("1@1", "2@1"));
  append(host, 1, 3, 1, {1}, 99);
  EXPECT_EQ(host->commit_index(), 4U);
  EXPECT_THAT(host.applied(), SizeIs(4));
}

TEST_F(Follower, DoesNotCommitATailThatTheMessageDoesNotCover) {
  Host host = with({1, 1, 1}, 2);
  append(host, 2, 1, 1, {}, 3);
  EXPECT_EQ(host->commit_index(), 1U) << "what stands behind may be of a deposed leader";
}

TEST_F(Follower, LearnsOfACommitFromAHeartbeat) {
  Host host = with({}, 1);
  append(host, 1, 0, 0, {1, 1});
  host.hears(2, 1, Heartbeat{.commit = 2, .round = 1});
  EXPECT_THAT(host.applied(), SizeIs(2));
  host.hears(2, 1, Heartbeat{.commit = 1, .round = 2});
  EXPECT_EQ(host->commit_index(), 2U) << "a late message takes nothing back";
}

TEST_F(Follower, HandsOutEntriesOnceInOrderAndInSlices) {
  Options options = options_for(1, {1, 2, 3});
  options.apply_bytes_max = 2 * (Entry::kEntryOverhead + 3);
  Host host(options, kStart);
  host->step({.from = 2,
              .to = 1,
              .term = 1,
              .body = Append{.commit = 5, .entries = entries_of({1, 1, 1, 1, 1})}});
  std::vector<size_t> slices;
  while (host->has_ready()) {
    const Ready ready = host->take_ready();
    if (!ready.apply.empty()) slices.push_back(ready.apply.size());
  }
  EXPECT_THAT(slices, ElementsAre(2, 2, 1));
}

TEST_F(Follower, AnEntryLargerThanTheSliceIsHandedOutAlone) {
  Options options = options_for(1, {1, 2, 3});
  options.apply_bytes_max = 1;
  Host host(options, kStart);
  host->step(
      {.from = 2, .to = 1, .term = 1, .body = Append{.commit = 2, .entries = entries_of({1, 1})}});
  EXPECT_THAT(host->take_ready().apply, SizeIs(1));
  EXPECT_THAT(host->take_ready().apply, SizeIs(1));
}

// --- restart -----------------------------------------------------------------------------------

TEST_F(Follower, RestoresTermVoteAndLogAndAppliesFromTheStart) {
  Host host = with({1, 1, 2}, 5, 2);
  EXPECT_EQ(host->term(), 5U);
  EXPECT_EQ(host->last_index(), 3U);
  EXPECT_EQ(host->last_time_us(), 3U);
  EXPECT_EQ(host->commit_index(), 2U);
  host.pump();
  EXPECT_THAT(host.commands(), ElementsAre("1@1", "2@1"));
}

TEST_F(Follower, ACommitHintBeyondTheLogIsCutToIt) {
  Host host = with({1, 1}, 1, 9);
  EXPECT_EQ(host->commit_index(), 2U);
}

TEST_F(Follower, AppliesARestoredLogInSlices) {
  Options options = options_for(1, {1, 2, 3});
  options.apply_bytes_max = 2 * (Entry::kEntryOverhead + 3);
  Host host(options, kStart, {1, 1, 1, 1, 1}, {.term = 1, .vote = 0, .commit = 5});
  const Ready first = host->take_ready();
  EXPECT_THAT(first.apply, SizeIs(2));
  EXPECT_TRUE(host->has_ready());
  EXPECT_THAT(host->take_ready().apply, SizeIs(2));
  EXPECT_THAT(host->take_ready().apply, SizeIs(1));
  EXPECT_FALSE(host->has_ready());
}

TEST_F(Follower, TheCommitHintRidesAlongWithAWrite) {
  Host host = with({}, 1);
  append(host, 1, 0, 0, {1, 1}, 1);
  EXPECT_EQ(host.disk().state().commit, 1U);
  host.hears(2, 1, Heartbeat{.commit = 2, .round = 1});
  EXPECT_EQ(host.disk().state().commit, 1U) << "and causes none by itself";
}

using RestartDeathTest = Follower;

TEST_F(RestartDeathTest, ALogThatContradictsItselfIsNotServed) {
  EXPECT_DEATH(with({3}, 2), "the log has term 3, the hard state only 2");
  EXPECT_DEATH(with({2, 1}, 2), "follows");
}

}  // namespace
}  // namespace raftkv::raft::test
