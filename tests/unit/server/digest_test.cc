// The check that replicas agree, as one of them sees it: as a follower, and as the leader.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/one_node.h"

namespace raftkv {
namespace {

using server::Digest;
using server::DigestCheck;
using server::DigestReport;
using server::DigestVerdict;
using test::Client;
using test::OneNode;
using testing::HasSubstr;
using testing::StartsWith;

constexpr uint64_t kIntervalMs = 600'000;

server::ReplicaOptions options(uint64_t slice_us = 500) {
  server::ReplicaOptions options;
  options.digest_interval_us = kIntervalMs * 1000;
  options.digest_slice_us = slice_us;
  return options;
}

std::string set_command(const std::string& key, const std::string& value) {
  std::string payload;
  const std::vector<std::string_view> args = {"SET", key, value};
  server::append_command(payload, args);
  return payload;
}

DigestReport report_in(const raft::Message& message) {
  return *server::decode_digest_report(std::get<raft::HostNote>(message.body).bytes);
}

// --- a follower --------------------------------------------------------------------------------

// Member 1 of three, with some hundred keys, follows node 2.
class DigestFollower : public testing::Test {
 protected:
  explicit DigestFollower(uint64_t slice_us = 500) : node(options(slice_us), 3) {
    Client client(node);
    for (int i = 0; i < 300; ++i) client.call("SET key:" + std::to_string(i) + " value");
    node.depose();
    node.settle();
    write("leader", "two");
    node.settle();
  }

  void write(const std::string& key, const std::string& value) {
    node.follow_entry(node.now_ms() * 1000, set_command(key, value));
  }
  void tell(const server::HostEntry& entry) {
    node.follow_entry(node.now_ms() * 1000, server::encode_host_entry(entry),
                      raft::EntryKind::kHost);
  }
  raft::Index last() { return node.replica().node().last_index(); }
  Digest digest() { return node.replica().state().digest(); }
  const server::DigestStatus& status() { return node.replica().digest_status(); }
  // Node 2 speaks, so that this one goes on following it.
  void pass_ms(uint64_t ms) {
    for (uint64_t i = 0; i < ms; i += 100) {
      node.pass_ms(100);
      node.replica().step({.from = 2,
                           .to = 1,
                           .term = node.replica().node().term(),
                           .body = raft::Heartbeat{.commit = last(), .round = 1}});
      node.settle();
    }
  }
  // A check here, of a dataset that nobody else has.
  DigestReport check() {
    tell(DigestCheck{});
    node.settle();
    return report_in(node.notes.back());
  }

  OneNode node;
};

TEST_F(DigestFollower, ReportsItsDigestToTheLeader) {
  const Digest expected = digest();
  tell(DigestCheck{});
  node.settle();
  ASSERT_EQ(node.notes.size(), 1U);
  EXPECT_EQ(node.notes[0].to, 2U);
  EXPECT_EQ(report_in(node.notes[0]), (DigestReport{.index = last(), .digest = expected}));
  EXPECT_EQ(status().last_index, last());
  EXPECT_EQ(status().last_value, expected);
  EXPECT_FALSE(status().in_progress);
}

TEST_F(DigestFollower, TheDigestIsThatOfExactlyTheEntryOfTheCheck) {
  const Digest expected = digest();
  // All in one turn.
  tell(DigestCheck{});
  const raft::Index index = last();
  write("key:7", "another");
  write("fresh", "one");
  node.settle();
  EXPECT_EQ(report_in(node.notes.at(0)), (DigestReport{.index = index, .digest = expected}));
  EXPECT_NE(digest(), expected);
}

class DigestFollowerInSlices : public DigestFollower {
 protected:
  DigestFollowerInSlices() : DigestFollower(0) {}
};

TEST_F(DigestFollowerInSlices, WritesDuringTheWalkDoNotMatter) {
  const Digest expected = digest();
  tell(DigestCheck{});
  const raft::Index index = last();
  for (int i = 0; status().last_index != index; ++i) {
    ASSERT_LT(i, 1000);
    write("key:" + std::to_string(37 * i % 300), "changed");
    write("made:" + std::to_string(i), "later");
    node.turn();
    node.finish_writes();
    if (i == 0) {
      EXPECT_TRUE(status().in_progress) << "there is more than a slice";
    }
  }
  EXPECT_EQ(status().last_value, expected);
}

TEST_F(DigestFollowerInSlices, ACheckThatComesTooEarlyIsLeftOutAndCounted) {
  tell(DigestCheck{});
  const raft::Index first = last();
  node.turn();
  ASSERT_TRUE(status().in_progress);
  tell(DigestCheck{});
  node.settle();
  EXPECT_EQ(status().skipped, 1U);
  EXPECT_EQ(status().last_index, first);
}

TEST_F(DigestFollowerInSlices, AVerdictThatComesBeforeTheOwnDigestIsKept) {
  tell(DigestCheck{});
  const raft::Index index = last();
  node.turn();
  ASSERT_TRUE(status().in_progress);
  tell(DigestVerdict{.index = index, .digest = Digest{.low = 1, .high = 1}});
  node.turn();
  ASSERT_TRUE(status().in_progress);
  EXPECT_TRUE(node.differences.empty());
  node.settle();
  ASSERT_EQ(node.differences.size(), 1U);
  EXPECT_TRUE(node.notes.empty()) << "nobody asks any more";
}

TEST_F(DigestFollower, SessionsBelongToItIfTheCheckSaysSo) {
  const Digest keys = node.replica().state().keyspace().digest(0);
  tell(DigestCheck{.with_sessions = false});
  node.settle();
  EXPECT_EQ(report_in(node.notes.at(0)).digest, keys);
  EXPECT_NE(digest(), keys);
}

TEST_F(DigestFollower, AReportIsRepeatedEverMoreRarelyUntilTheVerdict) {
  const DigestReport report = check();
  pass_ms(900);
  EXPECT_EQ(node.notes.size(), 1U);
  pass_ms(200);
  EXPECT_EQ(node.notes.size(), 2U);
  EXPECT_EQ(report_in(node.notes[1]), report);
  pass_ms(1500);
  EXPECT_EQ(node.notes.size(), 2U);
  pass_ms(1000);
  EXPECT_EQ(node.notes.size(), 3U);
  tell(DigestVerdict{.index = report.index, .digest = report.digest});
  pass_ms(60'000);
  EXPECT_EQ(node.notes.size(), 3U);
}

TEST_F(DigestFollower, ANewLeaderIsToldAtOnce) {
  check();
  const raft::Term term = node.replica().node().term() + 1;
  node.replica().step(
      {.from = 3, .to = 1, .term = term, .body = raft::Heartbeat{.commit = 0, .round = 1}});
  node.settle();
  ASSERT_EQ(node.notes.size(), 2U);
  EXPECT_EQ(node.notes[1].to, 3U);
}

TEST_F(DigestFollower, AgreementIsRemembered) {
  const DigestReport report = check();
  tell(DigestVerdict{.index = report.index, .digest = report.digest});
  node.settle();
  EXPECT_EQ(status().checks, 1U);
  EXPECT_EQ(status().mismatches, 0U);
  EXPECT_EQ(status().last_ok_index, report.index);
  EXPECT_EQ(status().last_ok_wall_us / 1000, node.now_ms());
  EXPECT_TRUE(node.differences.empty());
  EXPECT_FALSE(node.replica().taken_out());
}

TEST_F(DigestFollower, WhoDiffersFromTheMajorityTakesItselfOut) {
  Client client(node);
  client.call("READONLY");
  const DigestReport report = check();
  const Digest theirs{.low = report.digest.low + 1, .high = report.digest.high};
  tell(DigestVerdict{.index = report.index, .digest = theirs});
  const raft::Index verdict = last();
  write("key:1", "behind the verdict");
  node.settle();
  ASSERT_EQ(node.differences.size(), 1U);
  EXPECT_EQ(node.differences[0].index, report.index);
  EXPECT_EQ(node.differences[0].own, report.digest);
  EXPECT_EQ(node.differences[0].majority, theirs);
  EXPECT_EQ(status().mismatches, 1U);
  EXPECT_TRUE(node.replica().may_be_discarded());
  EXPECT_EQ(node.replica().state().applied_index(), verdict) << "nothing is applied any more";
  EXPECT_THAT(client.call("GET key:1"), StartsWith("-LOADING"));
  EXPECT_FALSE(node.replica().request_snapshot());
  EXPECT_FALSE(node.replica().wants_snapshot(
      {.index = last() + 5, .term = node.replica().node().term(), .time_us = 0, .membership = {}}));
  for (int i = 0; i < 100; ++i) {
    node.pass_ms(50);
    node.settle();
  }
  EXPECT_FALSE(node.replica().node().is_leader()) << "whoever leads serves";
  EXPECT_EQ(node.replica().raft_status().elections_started, 1U) << "that of its first term";
}

TEST_F(DigestFollower, AVerdictOnAnotherCheckSaysNothing) {
  const DigestReport report = check();
  tell(DigestVerdict{.index = report.index - 1, .digest = Digest{.low = 1, .high = 1}});
  node.settle();
  EXPECT_TRUE(node.differences.empty());
  EXPECT_EQ(status().checks, 0U);
}

TEST_F(DigestFollower, WithoutAMajorityAllGoOn) {
  const DigestReport report = check();
  tell(DigestVerdict{.index = report.index, .digest = std::nullopt});
  write("key:1", "still");
  node.settle();
  EXPECT_THAT(node.undecided, testing::ElementsAre(report.index));
  EXPECT_EQ(status().undecided, 1U);
  EXPECT_TRUE(node.differences.empty());
  EXPECT_EQ(node.replica().state().applied_index(), last());
}

TEST_F(DigestFollower, WhoGetsAnotherStateComparesNothing) {
  OneNode leader(server::ReplicaOptions{}, 1);
  {
    Client client(leader);
    for (int i = 0; i < 400; ++i) client.call("SET other:" + std::to_string(i) + " value");
  }
  ASSERT_TRUE(leader.replica().request_snapshot());
  leader.settle();
  auto snapshot = leader.read_snapshot(
      {.term = leader.replica().node().term(), .index = leader.replica().snapshot_status().index});
  ASSERT_TRUE(snapshot.has_value()) << snapshot.error();
  const DigestReport report = check();
  ASSERT_GT(snapshot->facts.meta.index, last());
  ASSERT_TRUE(node.replica().install(std::move(*snapshot)));
  node.settle();
  raft::Append append{.prev_index = last(), .prev_term = 1, .commit = last() + 1, .entries = {}};
  append.entries.push_back(
      {.term = node.replica().node().term(),
       .index = last() + 1,
       .time_us = node.now_ms() * 1000,
       .kind = raft::EntryKind::kHost,
       .payload = std::make_shared<const std::string>(server::encode_host_entry(
           DigestVerdict{.index = report.index, .digest = Digest{.low = 1, .high = 1}}))});
  node.replica().step({.from = 2, .to = 1, .term = node.replica().node().term(), .body = append});
  node.settle();
  EXPECT_EQ(node.replica().state().applied_index(), last());
  EXPECT_TRUE(node.differences.empty());
  EXPECT_EQ(status().checks, 0U);
}

// --- the leader --------------------------------------------------------------------------------

class DigestLeader : public testing::Test {
 protected:
  DigestLeader() : node(options(), 3), client(node) { client.call("SET a 1"); }

  void pass_interval() {
    // In steps, so that the leader hears of its followers meanwhile.
    for (uint64_t ms = 0; ms <= kIntervalMs; ms += 300) {
      node.pass_ms(300);
      node.settle();
    }
  }
  const server::DigestStatus& status() { return node.replica().digest_status(); }
  void report(raft::NodeId from, const Digest& digest, raft::Index index = 0) {
    if (index == 0) index = status().last_index;
    node.replica().step(
        {.from = from,
         .to = 1,
         .term = node.replica().node().term(),
         .body = raft::HostNote{.bytes = server::encode_digest_report({index, digest})}});
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
  for (uint64_t ms = 0; ms <= 2 * kIntervalMs; ms += 300) {
    off.pass_ms(300);
    off.settle();
  }
  EXPECT_EQ(off.replica().node().last_index(), before);
}

TEST_F(DigestLeader, WhoIsAloneChecksNothing) {
  OneNode alone(options(), 1);
  Client there(alone);
  there.call("SET a 1");
  const raft::Index before = alone.replica().node().last_index();
  alone.pass_ms(2 * kIntervalMs);
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

TEST_F(DigestLeader, ALeaderThatNobodyTakesOverFromDoesNotWaitForEver) {
  pass_interval();
  report(2, other());
  report(3, other());
  ASSERT_EQ(node.differences.size(), 1U);
  for (int i = 0; i < 20 && !node.replica().may_be_discarded(); ++i) {
    node.pass_ms(50);
    node.settle();
  }
  EXPECT_TRUE(node.replica().may_be_discarded());
  EXPECT_THAT(client.call("SET a 2"), StartsWith("-LOADING"));
}

TEST_F(DigestFollower, WhoeverLeadsNextGoesOnWithTheCheck) {
  const DigestReport report = check();
  node.become_leader();
  EXPECT_EQ(status().checks, 0U);
  node.replica().step({.from = 3,
                       .to = 1,
                       .term = node.replica().node().term(),
                       .body = raft::HostNote{.bytes = server::encode_digest_report(report)}});
  node.settle();
  EXPECT_EQ(status().checks, 1U);
  EXPECT_EQ(status().last_ok_index, report.index);
}

}  // namespace
}  // namespace raftkv
