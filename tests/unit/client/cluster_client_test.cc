#include "client/cluster_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <memory>

#include "tests/unit/client/fake_node.h"

namespace raftkv::client {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = ClientError::Kind;

Answer always_ok(const Args&) {
  return ok();
}

// Answers in turn; the last one again and again.
FakeNode::Handler in_turn(std::deque<Answer> answers) {
  auto left = std::make_shared<std::deque<Answer>>(std::move(answers));
  return [left](const Args&) {
    Answer next = left->front();
    if (left->size() > 1) left->pop_front();
    return next;
  };
}

ClientOptions quick(std::chrono::milliseconds command_timeout = 2000ms) {
  return {.command_timeout = command_timeout, .connect_timeout = 100ms, .attempt_timeout = 100ms};
}

void expect_error(const Result& result, Kind kind, const std::string& part) {
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().kind, kind) << result.error().text;
  EXPECT_THAT(result.error().text, HasSubstr(part));
}

// Runs `command`, and fails the test if it lasts longer than its deadline and some slack for a busy
// machine.
Result timed(std::chrono::milliseconds limit, const std::function<Result()>& command) {
  const auto start = Clock::now();
  Result result = command();
  EXPECT_LT(Clock::now() - start, limit + 1000ms) << "the deadline was not kept";
  return result;
}

TEST(ClusterClient, GivesTheReplyAsAValue) {
  FakeNode node(in_turn({text(":-5"), bulk("a\r\nb"), text("$-1"), text("*-1"),
                         text("*3\r\n:1\r\n$1\r\nx\r\n-ERR inside")}));
  ClusterClient client({node.address()}, quick());
  EXPECT_EQ(client.command({"INCR", "k"}, Retry::kUnsafe)->integer, -5);
  EXPECT_EQ(client.command({"GET", "k"}, Retry::kRead)->text, "a\r\nb");
  EXPECT_TRUE(client.command({"GET", "k"}, Retry::kRead)->is_nil());
  EXPECT_TRUE(client.command({"EXEC"}, Retry::kRead)->is_nil());
  const Result array = client.command({"EXEC"}, Retry::kUnsafe);
  ASSERT_EQ(array->elements.size(), 3U);
  EXPECT_EQ(array->elements[1].text, "x");
  EXPECT_EQ(array->elements[2].type, Reply::Type::kError);
}

TEST(ClusterClient, SendsArgumentsBinarySafe) {
  FakeNode node(always_ok);
  ClusterClient client({node.address()}, quick());
  const Args args = {"SET", "", std::string("a\0\r\n$3", 6)};
  ASSERT_TRUE(client.command(args, Retry::kSafe));
  EXPECT_THAT(node.requests(), ElementsAre(args));
}

TEST(ClusterClientRedirect, FollowsAMoveToANodeThatIsNotInTheList) {
  FakeNode leader(always_ok);
  FakeNode follower([&](const Args&) { return moved_to(leader.address()); });
  ClusterClient client({follower.address()}, quick());
  EXPECT_TRUE(client.command({"INCR", "k"}, Retry::kUnsafe));
  EXPECT_EQ(client.leader(), leader.address());
}

TEST(ClusterClientRedirect, AsksTheLeaderDirectlyTheNextTime) {
  FakeNode leader(always_ok);
  FakeNode follower([&](const Args&) { return moved_to(leader.address()); });
  ClusterClient client({follower.address(), leader.address()}, quick());
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(client.command({"SET", "k", "v"}, Retry::kSafe));
  EXPECT_EQ(follower.requests().size(), 1U);
  EXPECT_EQ(leader.requests().size(), 5U);
  EXPECT_EQ(leader.connections(), 1U);
}

TEST(ClusterClientRedirect, AMoveWithoutAHostMeansTheHostThatAnswered) {
  FakeNode leader(always_ok);
  FakeNode follower(
      [&](const Args&) { return text("-MOVED 1 :" + std::to_string(leader.address().port)); });
  ClusterClient client({follower.address()}, quick());
  EXPECT_TRUE(client.command({"SET", "k", "v"}, Retry::kSafe));
}

TEST(ClusterClientRedirect, NodesThatPointAtEachOtherAreAskedWithPausesUntilTheDeadline) {
  FakeNode one(always_ok);
  FakeNode two([&](const Args&) { return moved_to(one.address()); });
  one.answer_with([&](const Args&) { return moved_to(two.address()); });
  ClusterClient client({one.address(), two.address()}, quick(600ms));
  const Result result = timed(600ms, [&] { return client.command({"INCR", "k"}, Retry::kUnsafe); });
  expect_error(result, Kind::kDeadline, "MOVED 16287 " + two.address().to_string());
  EXPECT_LT(one.requests().size() + two.requests().size(), 120U) << "it hammers the nodes";
}

TEST(ClusterClientRedirect, ANodeThatPointsAtItselfIsAskedWithPausesUntilTheDeadline) {
  FakeNode node(always_ok);
  node.answer_with([&](const Args&) { return moved_to(node.address()); });
  ClusterClient client({node.address()}, quick(400ms));
  const Result result = timed(400ms, [&] { return client.command({"INCR", "k"}, Retry::kUnsafe); });
  expect_error(result, Kind::kDeadline, "MOVED");
  EXPECT_LT(node.requests().size(), 100U);
}

TEST(ClusterClientRedirect, AMoveToNowhereIsNotFollowed) {
  FakeNode node(in_turn({text("-MOVED 1 ?:0"), text("-MOVED"), ok()}));
  ClusterClient client({node.address()}, quick());
  EXPECT_TRUE(client.command({"INCR", "k"}, Retry::kUnsafe));
}

TEST(ClusterClientRedirect, FollowsALeaderThatChangesAgainAndAgain) {
  FakeNode one(always_ok);
  FakeNode two([&](const Args&) { return moved_to(one.address()); });
  ClusterClient client({one.address(), two.address()}, quick());
  for (int i = 0; i < 6; ++i) {
    FakeNode& leader = i % 2 == 0 ? one : two;
    FakeNode& other = i % 2 == 0 ? two : one;
    leader.answer_with(always_ok);
    other.answer_with([&](const Args&) { return moved_to(leader.address()); });
    EXPECT_TRUE(client.command({"INCR", "k"}, Retry::kUnsafe));
    EXPECT_EQ(client.leader(), leader.address());
  }
}

TEST(ClusterClientDeadNodes, AreSkipped) {
  const ClosedPort dead;
  const BlackHole hole;
  FakeNode leader(always_ok);
  ClusterClient client({dead.address(), hole.address(), leader.address()}, quick());
  EXPECT_TRUE(client.command({"INCR", "k"}, Retry::kUnsafe));
}

TEST(ClusterClientDeadNodes, AMoveToADeadLeaderIsTriedUntilTheNextOneLeads) {
  const ClosedPort dead;
  FakeNode follower(in_turn({moved_to(dead.address()), moved_to(dead.address()),
                             text("-CLUSTERDOWN no leader is known"), ok()}));
  ClusterClient client({follower.address()}, quick());
  EXPECT_TRUE(client.command({"INCR", "k"}, Retry::kUnsafe));
  EXPECT_EQ(client.leader(), follower.address());
}

TEST(ClusterClientDeadNodes, WhenAllAreDeadTheErrorNamesEachAndWhy) {
  const ClosedPort one;
  const ClosedPort two;
  ClusterClient client({one.address(), two.address()}, quick(300ms));
  const Result result = timed(300ms, [&] { return client.command({"INCR", "k"}, Retry::kUnsafe); });
  expect_error(result, Kind::kNoNodes, one.address().to_string() + ": Connection refused");
  expect_error(result, Kind::kNoNodes, two.address().to_string() + ": Connection refused");
}

TEST(ClusterClientDeadNodes, ANodeThatDropsConnectionAttemptsCostsOnlyItsTimeout) {
  const BlackHole hole;
  ClusterClient client({hole.address()}, quick(300ms));
  const Result result = timed(300ms, [&] { return client.command({"GET", "k"}, Retry::kRead); });
  expect_error(result, Kind::kNoNodes, "timed out");
}

class RefusedForNow : public ::testing::TestWithParam<std::string> {};

TEST_P(RefusedForNow, IsSentAgainEvenIfItMayNotBeDoneTwice) {
  FakeNode node(in_turn({text(GetParam()), text(GetParam()), text(":1")}));
  ClusterClient client({node.address()}, quick());
  const Result result = client.command({"INCR", "k"}, Retry::kUnsafe);
  ASSERT_TRUE(result) << result.error().text;
  EXPECT_EQ(result->integer, 1);
  EXPECT_EQ(node.requests().size(), 3U);
}

INSTANTIATE_TEST_SUITE_P(Errors, RefusedForNow,
                         ::testing::Values("-CLUSTERDOWN no leader", "-LOADING loading",
                                           "-TRYAGAIN x", "-READONLY x", "-MASTERDOWN x",
                                           "-NOREPLICAS x", "-ERR max number of clients reached"));

TEST(ClusterClient, NoLeaderUntilTheDeadlineIsSaidToHaveChangedNothing) {
  FakeNode node(in_turn({text("-CLUSTERDOWN no leader")}));
  ClusterClient client({node.address()}, quick(300ms));
  const Result result = timed(300ms, [&] { return client.command({"INCR", "k"}, Retry::kUnsafe); });
  expect_error(result, Kind::kDeadline, "CLUSTERDOWN no leader");
}

TEST(ClusterClient, ARefusalForGoodIsNotRepeated) {
  FakeNode node(in_turn({text("-WRONGTYPE Operation against a key"), ok()}));
  ClusterClient client({node.address()}, quick());
  const Result result = client.command({"INCR", "k"}, Retry::kSafe);
  expect_error(result, Kind::kServer, "WRONGTYPE Operation against a key");
  EXPECT_EQ(node.requests().size(), 1U);
}

TEST(ClusterClientUnknown, AnUnknownOutcomeIsToldAndNotRepeatedByItself) {
  FakeNode node(in_turn({text("-UNKNOWN leadership was lost"), text(":1")}));
  ClusterClient client({node.address()}, quick());
  const Result result = client.command({"INCR", "k"}, Retry::kUnsafe);
  expect_error(result, Kind::kOutcomeUnknown, "UNKNOWN leadership was lost");
  EXPECT_EQ(node.requests().size(), 1U);
}

TEST(ClusterClientUnknown, WhatIsSafeTwiceIsRepeated) {
  for (const Retry retry : {Retry::kSafe, Retry::kRead}) {
    FakeNode node(in_turn({text("-UNKNOWN leadership was lost"), hang_up(), ok()}));
    ClusterClient client({node.address()}, quick());
    EXPECT_TRUE(client.command({"SET", "k", "v"}, retry));
    EXPECT_EQ(node.requests().size(), 3U);
  }
}

TEST(ClusterClientUnknown, AConnectionLostAfterSendingLeavesTheOutcomeUnknown) {
  FakeNode node(in_turn({hang_up(), text(":1")}));
  ClusterClient client({node.address()}, quick());
  const Result result = client.command({"INCR", "k"}, Retry::kUnsafe);
  expect_error(result, Kind::kOutcomeUnknown, "did not answer after the command was sent");
  EXPECT_EQ(node.requests().size(), 1U);
}

TEST(ClusterClientUnknown, HalfAReplyLeavesTheOutcomeUnknown) {
  FakeNode node(in_turn({{.bytes = "$5\r\nab", .close = true}, text(":1")}));
  ClusterClient client({node.address()}, quick());
  expect_error(client.command({"GETDEL", "k"}, Retry::kUnsafe), Kind::kOutcomeUnknown, "closed");
  EXPECT_EQ(node.requests().size(), 1U);
}

TEST(ClusterClientUnknown, WhatIsNotRedisLeavesTheOutcomeUnknown) {
  FakeNode node(in_turn({text("HTTP/1.1 400 Bad Request")}));
  ClusterClient client({node.address()}, quick());
  expect_error(client.command({"INCR", "k"}, Retry::kUnsafe), Kind::kOutcomeUnknown,
               "not the Redis protocol");
}

TEST(ClusterClientUnknown, ASafeWriteThatNobodyConfirmsEndsUnknownAndNotAsUndone) {
  FakeNode node(in_turn({hang_up(), text("-CLUSTERDOWN no leader")}));
  ClusterClient client({node.address()}, quick(300ms));
  const Result result = timed(300ms, [&] {
    return client.command({"SET", "k", "v"}, Retry::kSafe);
  });
  expect_error(result, Kind::kOutcomeUnknown, "CLUSTERDOWN");
}

TEST(ClusterClientUnknown, AReadThatNobodyAnswersIsNeverUnknown) {
  FakeNode node(in_turn({hang_up()}));
  ClusterClient client({node.address()}, quick(300ms));
  const Result result = timed(300ms, [&] { return client.command({"GET", "k"}, Retry::kRead); });
  // The last attempt may have too little time left to be hung up on: why it failed is not asked
  // here.
  expect_error(result, Kind::kDeadline, "no leader answered within 300 ms");
}

TEST(ClusterClientDeadline, ANodeThatNeverAnswersHoldsAnUnsafeWriteUntilTheDeadlineOnly) {
  FakeNode node(in_turn({silence()}));
  ClusterClient client({node.address()}, quick(300ms));
  const Result result = timed(300ms, [&] { return client.command({"INCR", "k"}, Retry::kUnsafe); });
  expect_error(result, Kind::kOutcomeUnknown, "timed out");
  EXPECT_EQ(node.requests().size(), 1U);
}

TEST(ClusterClientDeadline, AnotherNodeIsAskedWhenOneKeepsAReadWaiting) {
  FakeNode hung(in_turn({silence()}));
  FakeNode leader(in_turn({bulk("v")}));
  ClusterClient client({hung.address(), leader.address()}, quick());
  EXPECT_EQ(client.command({"GET", "k"}, Retry::kRead)->text, "v");
}

TEST(ClusterClientDeadline, AWriteThatMayNotBeRepeatedIsWaitedForLongerThanOneAttempt) {
  FakeNode node(in_turn({{.bytes = ":1\r\n", .delay = 300ms}}));
  ClusterClient client({node.address()}, quick(3000ms));
  const Result result = client.command({"INCR", "k"}, Retry::kUnsafe);
  ASSERT_TRUE(result) << result.error().text;
}

TEST(ClusterClientDeadline, AReplyThatNeverEndsDoesNotExtendIt) {
  FakeNode node(in_turn({{.bytes = "$2000000000\r\n", .endless = true}}));
  ClusterClient client({node.address()}, quick(200ms));
  const Result result = timed(200ms, [&] { return client.command({"INCR", "k"}, Retry::kUnsafe); });
  expect_error(result, Kind::kOutcomeUnknown, "timed out");
}

TEST(ClusterClientDeadline, AnAnswerThatComesTooLateIsNotTakenForTheNextCommands) {
  FakeNode node(in_turn({{.bytes = ":1\r\n", .delay = 400ms}, text(":2")}));
  ClusterClient client({node.address()}, quick(200ms));
  expect_error(client.command({"INCR", "a"}, Retry::kUnsafe), Kind::kOutcomeUnknown, "timed out");
  const Result next = client.command({"INCR", "b"}, Retry::kUnsafe);
  ASSERT_TRUE(next) << next.error().text;
  EXPECT_EQ(next->integer, 2);
}

TEST(ClusterClient, AConnectionClosedWhileIdleIsReplacedBeforeAnythingIsSent) {
  FakeNode node(in_turn({{.bytes = ":1\r\n", .close = true}}));
  ClusterClient client({node.address()}, quick());
  for (size_t i = 1; i <= 5; ++i) {
    ASSERT_TRUE(client.command({"INCR", "k"}, Retry::kUnsafe)) << i;
    // Before the close arrives a command would be sent, and rightly end as unknown.
    while (node.closed() != i) std::this_thread::yield();
  }
  EXPECT_EQ(node.requests().size(), 5U);
}

TEST(ClusterClientDeathTest, NeedsANodeAndACommandsName) {
  EXPECT_DEATH(ClusterClient({}), "the list of nodes is not empty");
  const ClosedPort port;
  EXPECT_DEATH((void)ClusterClient({port.address()}).command({}, Retry::kRead),
               "a command has a name");
}

}  // namespace
}  // namespace raftkv::client
