// One follower as its leader sees it.
#include "raft/progress.h"

#include <gtest/gtest.h>

namespace raftkv::raft {
namespace {

Options window_of(size_t messages, size_t bytes = 1000) {
  Options options;
  options.inflight_messages_max = messages;
  options.inflight_bytes_max = bytes;
  return options;
}

// Known to match up to `match`, with nothing in flight.
Progress replicating(Index match, size_t messages = 4) {
  Progress peer(2, match + 1, window_of(messages), 0);
  peer.append_sent(match, 0);
  peer.accepted(match);
  EXPECT_EQ(peer.mode(), Progress::Mode::kReplicate);
  return peer;
}

TEST(Progress, BeginsWithOneProbe) {
  Progress peer(2, 5, window_of(4), 0);
  EXPECT_TRUE(peer.wants_append(9));
  peer.append_sent(9, 500);
  EXPECT_FALSE(peer.wants_append(9));
  EXPECT_EQ(peer.next(), 5U) << "nothing is taken for granted";
}

TEST(Progress, ProbesEvenWhenThereIsNothingToSend) {
  const Progress peer(2, 5, window_of(4), 0);
  EXPECT_TRUE(peer.wants_append(4));
}

TEST(Progress, AnAcceptedProbeOpensTheWindow) {
  Progress peer(2, 5, window_of(4), 0);
  peer.append_sent(9, 500);
  EXPECT_TRUE(peer.accepted(9));
  EXPECT_EQ(peer.mode(), Progress::Mode::kReplicate);
  EXPECT_EQ(peer.next(), 10U);
  EXPECT_FALSE(peer.wants_append(9));
  EXPECT_TRUE(peer.wants_append(10));
}

TEST(Progress, AnAcceptanceOfSomethingEarlierDoesNotEndAProbe) {
  Progress peer(2, 5, window_of(4), 0);
  peer.append_sent(9, 500);
  EXPECT_TRUE(peer.accepted(3));
  EXPECT_EQ(peer.mode(), Progress::Mode::kProbe);
  EXPECT_FALSE(peer.wants_append(9));
}

TEST(Progress, RunsAheadOfTheAnswersUntilTheWindowIsFull) {
  Progress peer = replicating(4, 2);
  peer.append_sent(5, 10);
  peer.append_sent(6, 10);
  EXPECT_FALSE(peer.wants_append(9));
  EXPECT_FALSE(peer.accepted(4));
  EXPECT_FALSE(peer.wants_append(9));
  EXPECT_TRUE(peer.accepted(5));
  EXPECT_TRUE(peer.wants_append(9));
  EXPECT_EQ(peer.inflight_messages(), 1U);
}

TEST(Progress, ALargeMessageFillsTheWindowByItself) {
  Progress peer = replicating(4);
  peer.append_sent(5, 100'000);
  EXPECT_FALSE(peer.wants_append(9));
  peer.accepted(5);
  EXPECT_TRUE(peer.wants_append(9));
  EXPECT_EQ(peer.inflight_bytes(), 0U);
}

TEST(Progress, OneAnswerMayFreeManyMessages) {
  Progress peer = replicating(0, 3);
  for (Index round = 0; round < 10; round++) {  // the ring goes round
    for (Index i = 1; i <= 3; i++) peer.append_sent(round * 3 + i, 10);
    EXPECT_TRUE(peer.accepted(round * 3 + 3));
    EXPECT_EQ(peer.inflight_messages(), 0U);
    EXPECT_EQ(peer.broken_invariant(round * 3 + 3), "");
  }
}

TEST(Progress, ARefusalGoesBackToProbing) {
  Progress peer = replicating(4);
  peer.append_sent(6, 10);
  peer.append_sent(8, 10);
  peer.rejected(6, 4);
  EXPECT_EQ(peer.mode(), Progress::Mode::kProbe);
  EXPECT_EQ(peer.next(), 5U);
  EXPECT_EQ(peer.inflight_messages(), 0U);
}

TEST(Progress, ARefusedProbeGoesBackAtLeastOneEntry) {
  Progress peer(2, 9, window_of(4), 0);
  peer.append_sent(9, 10);
  peer.rejected(8, 100);
  EXPECT_EQ(peer.next(), 8U);
  EXPECT_TRUE(peer.wants_append(9));
}

TEST(Progress, NeverGoesBackBehindWhatWasAcknowledged) {
  Progress peer = replicating(4);
  peer.append_sent(8, 10);
  peer.rejected(6, 0);
  EXPECT_EQ(peer.next(), 5U);
}

TEST(Progress, OldRefusalsAreIgnored) {
  Progress peer = replicating(4);
  peer.append_sent(8, 10);
  for (const Index old : {1, 4, 9, 20}) {
    peer.rejected(old, 0);
    EXPECT_EQ(peer.mode(), Progress::Mode::kReplicate) << old;
  }
  Progress probing(2, 9, window_of(4), 0);
  probing.append_sent(9, 10);
  for (const Index old : {7, 9}) {
    probing.rejected(old, 0);
    EXPECT_EQ(probing.next(), 9U) << old;
  }
}

TEST(Progress, ALossShowsInTheAnswerToALaterHeartbeat) {
  Progress peer = replicating(4);
  peer.append_sent(8, 10);
  peer.heartbeat_sent(1);
  peer.heartbeat_answered(1, 6);
  EXPECT_EQ(peer.mode(), Progress::Mode::kProbe);
  EXPECT_EQ(peer.next(), 7U);
}

TEST(Progress, AHeartbeatThatLeftEarlierShowsNoLoss) {
  Progress peer = replicating(4);
  peer.heartbeat_sent(1);
  peer.append_sent(8, 10);
  peer.heartbeat_answered(1, 4);
  EXPECT_EQ(peer.mode(), Progress::Mode::kReplicate);
}

TEST(Progress, AnAcknowledgedEndShowsNoLossWhateverAnOldAnswerSays) {
  Progress peer = replicating(4);
  peer.append_sent(8, 10);
  peer.heartbeat_sent(1);
  peer.accepted(8);
  peer.heartbeat_answered(1, 4);
  EXPECT_EQ(peer.mode(), Progress::Mode::kReplicate);
}

TEST(Progress, ALostAnswerIsMadeUpForByTheNext) {
  Progress peer = replicating(4);
  peer.append_sent(8, 10);
  peer.heartbeat_sent(1);
  peer.heartbeat_sent(2);
  peer.heartbeat_answered(2, 4);
  EXPECT_EQ(peer.mode(), Progress::Mode::kProbe);
}

TEST(Progress, AsksAfterAnIntervalInWhichNothingWasAcknowledged) {
  Progress peer = replicating(4);
  EXPECT_FALSE(peer.wants_check());
  peer.append_sent(8, 10);
  EXPECT_FALSE(peer.wants_check()) << "it may have left just now";
  EXPECT_TRUE(peer.wants_check());
  peer.append_sent(8, 0);
  EXPECT_TRUE(peer.wants_check());
  peer.accepted(6);
  peer.append_sent(9, 10);
  EXPECT_FALSE(peer.wants_check());
  peer.accepted(9);
  EXPECT_FALSE(peer.wants_check());
  EXPECT_FALSE(peer.wants_check());
}

TEST(Progress, TheInvariantsNoticeWhatIsWrong) {
  Progress peer = replicating(4);
  EXPECT_EQ(peer.broken_invariant(4), "");
  EXPECT_NE(peer.broken_invariant(3), "") << "it matches behind the end of the log";
  peer.append_sent(8, 10);
  EXPECT_NE(peer.broken_invariant(7), "");
}

}  // namespace
}  // namespace raftkv::raft
