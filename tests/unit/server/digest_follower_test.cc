// The check that replicas agree, as a follower sees it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/digest_check.h"

namespace raftkv {
namespace {

using server::Digest;
using server::DigestCheck;
using server::DigestReport;
using server::DigestVerdict;
using test::Client;
using test::OneNode;
using testing::StartsWith;

std::string set_command(const std::string& key, const std::string& value) {
  std::string payload;
  const std::vector<std::string_view> args = {"SET", key, value};
  server::append_command(payload, args);
  return payload;
}

DigestReport report_in(const raft::Message& message) {
  return *server::decode_digest_report(std::get<raft::HostNote>(message.body).bytes);
}

// Member 1 of three, with some hundred keys, follows node 2.
class DigestFollower : public testing::Test {
 protected:
  explicit DigestFollower(const server::ReplicaOptions& how = test::digest_options())
      : node(how, 3) {
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
  static server::ReplicaOptions in_slices() {
    server::ReplicaOptions how = test::digest_options(0);
    how.snapshots.slice_us = 0;
    return how;
  }
  DigestFollowerInSlices() : DigestFollower(in_slices()) {}
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

// Replicas that took different ways may differ in them: one may have loaded a snapshot without.
TEST_F(DigestFollower, WhatIsDueButNotYetDeletedDoesNotCount) {
  constexpr size_t kMore = 10'000;  // than two entries delete
  std::string payload;
  for (size_t i = 0; i < kMore; ++i) {
    const std::string key = "due:" + std::to_string(i);
    const std::vector<std::string_view> args = {"SET", key, "value", "PX", "10"};
    server::append_command(payload, args);
  }
  const Digest without = node.replica().state().keyspace().digest(0);
  node.follow_entry(node.now_ms() * 1000, std::move(payload));
  node.settle();
  node.pass_ms(20);
  node.follow_entry(node.now_ms() * 1000);
  tell(DigestCheck{.with_sessions = false});
  node.turn();
  ASSERT_GT(node.replica().state().keyspace().size(), 300U) << "not all are deleted yet";
  node.settle();
  EXPECT_EQ(report_in(node.notes.at(0)).digest, without);
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
  const auto lead = [this](raft::NodeId leader) {
    const raft::Term term = node.replica().node().term() + 1;
    node.replica().step(
        {.from = leader, .to = 1, .term = term, .body = raft::Heartbeat{.commit = 0, .round = 1}});
    node.settle();
    return node.notes.back().to;
  };
  EXPECT_EQ(lead(3), 3U);
  EXPECT_EQ(node.notes.size(), 2U);
  EXPECT_EQ(lead(3), 3U) << "it may have forgotten, in between";
  EXPECT_EQ(node.notes.size(), 3U);
}

TEST_F(DigestFollower, TheNextCheckIsReportedAtOnce) {
  const DigestReport first = check();
  tell(DigestVerdict{.index = first.index, .digest = first.digest});
  const DigestReport second = check();
  EXPECT_EQ(second.index, first.index + 2);
  EXPECT_EQ(node.notes.size(), 2U);
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
  const raft::SnapshotMeta offer{.index = last() + 5,
                                 .term = node.replica().node().term(),
                                 .time_us = node.now_ms() * 1000,
                                 .membership = node.replica().node().membership().membership};
  ASSERT_TRUE(node.replica().wants_snapshot(offer));
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
  EXPECT_FALSE(node.replica().wants_snapshot(offer));
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

// Two leaders may have proposed it, one after the other.
TEST_F(DigestFollower, ASecondVerdictSaysNothing) {
  const DigestReport report = check();
  for (int i = 0; i < 2; ++i) {
    tell(DigestVerdict{.index = report.index, .digest = report.digest});
    node.settle();
  }
  EXPECT_EQ(status().checks, 1U);
}

TEST_F(DigestFollowerInSlices, ASnapshotOfWhatDiffersIsGivenUp) {
  const DigestReport report = check();
  ASSERT_TRUE(node.replica().request_snapshot());
  node.turn();
  ASSERT_TRUE(node.replica().snapshot_status().in_progress);
  tell(DigestVerdict{.index = report.index, .digest = Digest{.low = 1, .high = 1}});
  node.turn();
  EXPECT_TRUE(node.replica().taken_out());
  EXPECT_FALSE(node.replica().snapshot_status().in_progress);
}

// A snapshot is due at exactly the verdict.
class DigestFollowerBeforeASnapshot : public DigestFollower {
 protected:
  static constexpr uint64_t kEntries = 400;
  static server::ReplicaOptions with_snapshots() {
    server::ReplicaOptions how = test::digest_options();
    how.snapshots.limits.log_bytes = 0;
    how.snapshots.limits.log_entries = kEntries;
    return how;
  }
  DigestFollowerBeforeASnapshot() : DigestFollower(with_snapshots()) {
    while (node.replica().state().applied_index() + 2 < kEntries) {
      write("key", "value");
      node.settle();
    }
  }
};

TEST_F(DigestFollowerBeforeASnapshot, WhoAgreesTakesIt) {
  const DigestReport report = check();
  EXPECT_EQ(node.replica().snapshot_status().index, 0U);
  tell(DigestVerdict{.index = report.index, .digest = report.digest});
  node.settle();
  EXPECT_EQ(node.replica().snapshot_status().index, last());
}

TEST_F(DigestFollowerBeforeASnapshot, WhoDiffersTakesNone) {
  const DigestReport report = check();
  tell(DigestVerdict{.index = report.index, .digest = Digest{.low = 1, .high = 1}});
  node.settle();
  ASSERT_TRUE(node.replica().taken_out());
  EXPECT_FALSE(node.replica().snapshot_status().in_progress);
  EXPECT_EQ(node.replica().snapshot_status().index, 0U);
}

TEST_F(DigestFollower, AReadThatWaitsIsNotAnsweredFromWhatDiffers) {
  Client client(node);
  client.call("READONLY");
  const DigestReport report = check();
  node.answer_reads(false);
  client.send("GET key:1");
  node.settle();
  ASSERT_EQ(node.read_requests, 1U);
  tell(DigestVerdict{.index = report.index, .digest = Digest{.low = 1, .high = 1}});
  node.settle();
  node.answer_reads(true);
  pass_ms(1000);
  EXPECT_GE(node.read_requests, 2U) << "it asks again, and is answered";
  EXPECT_THAT(client.take(), StartsWith("-MOVED"));
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

// The state of another leader, ahead of this node.
storage::LoadedSnapshot another_state() {
  OneNode leader(server::ReplicaOptions{}, 1);
  {
    Client client(leader);
    for (int i = 0; i < 400; ++i) client.call("SET other:" + std::to_string(i) + " value");
  }
  EXPECT_TRUE(leader.replica().request_snapshot());
  leader.settle();
  auto snapshot = leader.read_snapshot(
      {.term = leader.replica().node().term(), .index = leader.replica().snapshot_status().index});
  EXPECT_TRUE(snapshot.has_value());
  return std::move(*snapshot);
}

TEST_F(DigestFollowerInSlices, ANewStateMayBeCheckedWhenTheCheckOfTheOldOneWasNotOver) {
  tell(DigestCheck{});
  node.turn();
  ASSERT_TRUE(status().in_progress);
  ASSERT_TRUE(node.install(another_state()));
  node.settle();
  EXPECT_FALSE(status().in_progress);
  EXPECT_TRUE(node.notes.empty());
  const DigestReport report = check();
  EXPECT_EQ(report, (DigestReport{.index = last(), .digest = digest()}));
  EXPECT_EQ(status().skipped, 0U);
}

TEST_F(DigestFollower, WhoGetsAnotherStateComparesNothing) {
  const DigestReport report = check();
  ASSERT_TRUE(node.install(another_state()));
  node.settle();
  tell(DigestVerdict{.index = report.index, .digest = Digest{.low = 1, .high = 1}});
  node.settle();
  EXPECT_EQ(node.replica().state().applied_index(), last());
  EXPECT_TRUE(node.differences.empty());
  EXPECT_EQ(status().checks, 0U);
  pass_ms(5000);
  EXPECT_EQ(node.notes.size(), 1U) << "there is nothing to report any more";
}

TEST_F(DigestFollower, WhoeverLeadsNextGoesOnWithTheCheck) {
  const DigestReport report = check();
  node.become_leader();
  EXPECT_EQ(status().checks, 0U);
  test::report_digest(node, 3, report);
  node.settle();
  EXPECT_EQ(status().checks, 1U);
  EXPECT_EQ(status().last_ok_index, report.index);
}

}  // namespace
}  // namespace raftkv
