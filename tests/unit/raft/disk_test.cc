// Writes on their way to the disk: their order, stale completions, hung disks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/durability.h"
#include "tests/unit/raft/host.h"

namespace raftkv::raft::test {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

Host follower(const std::vector<Term>& terms, Term term) {
  return {options_for(1, {1, 2, 3}), kStart, terms, {.term = term, .vote = 0, .commit = 0}};
}

Append append(Index prev, Term prev_term, const std::vector<Term>& terms, Index commit = 0) {
  return {.prev_index = prev,
          .prev_term = prev_term,
          .commit = commit,
          .entries = entries_of(terms, prev + 1)};
}

TEST(Disk, WritesAreNumberedFromOneAndNameTheirLastEntry) {
  Host host = follower({}, 1);
  host.set_autosync(false);
  host.hears(2, 1, append(0, 0, {1, 1}));
  host.hears(2, 2, Heartbeat{.round = 1});
  host.hears(2, 2, append(2, 1, {2}));
  const auto& pending = host.disk().pending();
  ASSERT_THAT(pending, SizeIs(3));
  EXPECT_EQ(pending[0].token.sequence, 1U);
  EXPECT_EQ(pending[0].token.last_index, 2U);
  EXPECT_EQ(pending[0].token.last_term, 1U);
  EXPECT_EQ(pending[1].token.sequence, 2U);
  EXPECT_EQ(pending[1].token.last_index, 0U) << "carries no entries";
  EXPECT_EQ(pending[1].hard_state->term, 2U);
  EXPECT_EQ(pending[2].token.last_index, 3U);
}

TEST(Disk, AnEntryIsWrittenOnce) {
  Host host = follower({}, 1);
  host.set_autosync(false);
  host.hears(2, 1, append(0, 0, {1, 1}));
  host.hears(2, 1, append(2, 1, {1}));
  host.hears(2, 1, append(0, 0, {1, 1, 1}));
  ASSERT_THAT(host.disk().pending(), SizeIs(2));
  EXPECT_THAT(host.disk().pending()[1].entries, SizeIs(1));
}

TEST(Disk, TheNewestCompletionSpeaksForAllBefore) {
  Host host = follower({}, 1);
  host.set_autosync(false);
  for (Index i = 0; i < 3; i++) {
    host.hears(2, 1, append(i, i == 0 ? 0 : 1, {1}));
  }
  host->persisted(host.disk().pending().back().token);
  EXPECT_EQ(host->status().durable, 3U);
}

TEST(DiskDeathTest, ACompletionOfAWriteThatNeverWasEndsTheProcess) {
  Host host = follower({}, 1);
  EXPECT_DEATH(host->persisted({.sequence = 1, .last_term = 0, .last_index = 0}), "never handed");
}

// A write of an old term completes after the tail was replaced at the same index.
TEST(Disk, ALateCompletionDoesNotCountForWhatReplacedItsEntries) {
  Host host = follower({}, 1);
  host.set_autosync(false);
  host.hears(2, 1, append(0, 0, {1, 1, 1}));
  host.hears(3, 2, append(1, 1, {2, 2}));
  ASSERT_THAT(host.disk().pending(), SizeIs(2));
  host.sync(1);
  EXPECT_EQ(host->status().durable, 1U) << "entries 2 and 3 of term 1 are gone";
  host.sync(1);
  EXPECT_EQ(host->status().durable, 3U);
}

// The same entry leaves and returns: the write that first held it proves nothing, because the write
// in between, which is on its way to the disk, replaces it there.
TEST(Disk, ALateCompletionDoesNotCountForAnEntryThatCameBack) {
  Host host = follower({}, 1);
  host.set_autosync(false);
  host.hears(2, 1, append(0, 0, {1, 1}));
  host.hears(3, 2, append(1, 1, {2}));
  host.hears(2, 3, append(1, 1, {1}));  // leader 2 is back with entry 2 of term 1
  ASSERT_THAT(host.disk().pending(), SizeIs(3));
  host.take_sent();
  host.sync(1);
  EXPECT_EQ(host->status().durable, 1U);
  host.sync(1);
  EXPECT_EQ(host->status().durable, 1U);
  host.sync(1);
  EXPECT_EQ(host->status().durable, 2U);
}

TEST(Disk, ALeadersLateCompletionDoesNotCommitAnotherTermsEntry) {
  Host host(options_for(1, {1, 2, 3}), kStart);
  host.become_leader();
  host.set_autosync(false);
  ASSERT_TRUE(host.propose("lost"));  // entry 2 of term 1
  host.hears(3, 2, append(1, 1, {2, 2}));
  host.sync();
  EXPECT_EQ(host->status().durable, 3U);
  EXPECT_EQ(host->commit_index(), 1U);
}

TEST(Disk, ACrashLosesWhatWasNotSyncedAndNothingWasPromised) {
  Host host = follower({1}, 1);
  host.set_autosync(false);
  host.hears(2, 3, append(1, 1, {3, 3}));
  EXPECT_THAT(host.take_sent(), IsEmpty());
  host.restart();
  EXPECT_EQ(host->term(), 1U);
  EXPECT_EQ(host->last_index(), 1U);
}

TEST(Disk, SealedMessagesWaitForAnEarlierWriteIfThereIsNothingNewToWrite) {
  Host host = follower({}, 1);
  host.set_autosync(false);
  host.hears(2, 1, append(0, 0, {1}));
  host.hears(2, 1, append(1, 1, {}));
  EXPECT_THAT(host.disk().pending(), SizeIs(1)) << "no empty write for it";
  EXPECT_FALSE(host->has_ready());
  host.sync();
  EXPECT_THAT(host.take<AppendReply>(), SizeIs(2));
}

// --- a hung disk (hashicorp/raft #683, TiKV #19626) --------------------------------------------

TEST(DiskStall, ALeaderWhoseDiskHangsStepsDown) {
  Host host(options_for(1, {1, 2, 3}), kStart);
  host.become_leader();
  host.set_autosync(false);
  ASSERT_TRUE(host.propose("a"));
  const MonotonicUs stalled_at = host.now() + host.options().disk_stall_us;
  for (int i = 0; i < 200 && host->is_leader(); i++) {
    ASSERT_LE(host->next_deadline(), stalled_at);
    host.advance_to_deadline();
    for (NodeId id : {2, 3}) {
      if (host->is_leader()) host.hears(id, 1, HeartbeatReply{.round = 1, .last_index = 2});
    }
  }
  EXPECT_EQ(host.now(), stalled_at);
  host.take_sent();
  host.advance(kHeartbeat);
  EXPECT_THAT(host.take<Heartbeat>(), IsEmpty()) << "heartbeats have stopped";
}

TEST(DiskStall, ASlowDiskThatGoesOnIsNoHungOne) {
  Host host(options_for(1, {1, 2, 3}), kStart);
  host.become_leader();
  host.set_autosync(false);
  for (int i = 0; i < 100; i++) {
    ASSERT_TRUE(host.propose("a"));
    host.advance(kHeartbeat);
    for (NodeId id : {2, 3}) host.hears(id, 1, HeartbeatReply{.round = 1, .last_index = 2});
    if (i >= 20) host.sync(1);
  }
  EXPECT_EQ(host->role(), Role::kLeader);
}

TEST(DiskStall, ANodeWhoseDiskHangsDoesNotCampaignUntilItWorksAgain) {
  Host host = follower({}, 1);
  host.set_autosync(false);
  host.hears(2, 1, append(0, 0, {1}));
  host.advance(host.options().disk_stall_us);
  for (int i = 0; i < 5; i++) {
    host.take_sent();
    host.advance_to_deadline();
    EXPECT_EQ(host->role(), Role::kFollower);
    EXPECT_THAT(host.take_sent(), IsEmpty());
  }
  host.hears(2, 1, Heartbeat{.round = 1});
  host.hears(2, 1, TimeoutNow{});
  EXPECT_EQ(host->role(), Role::kFollower);
  host.sync();
  host.advance_to_deadline();
  EXPECT_EQ(host->role(), Role::kPreCandidate);
}

}  // namespace
}  // namespace raftkv::raft::test
