#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/cluster_client.h"
#include "tests/unit/client/fake_node.h"

namespace raftkv::client {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using Kind = ClientError::Kind;

ClientOptions quick() {
  return {.command_timeout = 3000ms, .connect_timeout = 100ms, .attempt_timeout = 300ms};
}

std::vector<Command> numbered(size_t count, Retry retry) {
  std::vector<Command> commands;
  for (size_t i = 0; i < count; ++i) {
    commands.push_back({.args = {"ECHO", std::to_string(i)}, .retry = retry});
  }
  return commands;
}

Answer echo(const Args& args) {
  return bulk(args.at(1));
}

// Echoes the first `count` commands it gets, then answers with `rest`.
FakeNode::Handler echo_then(size_t count, const Answer& rest) {
  auto left = std::make_shared<size_t>(count);
  return [left, rest](const Args& args) {
    if (*left == 0) return rest;
    --*left;
    return echo(args);
  };
}

void expect_echoed(const std::vector<Result>& results, size_t first, size_t last) {
  for (size_t i = first; i < last; ++i) {
    ASSERT_TRUE(results[i]) << i << ": " << results[i].error().text;
    EXPECT_EQ(results[i]->text, std::to_string(i));
  }
}

TEST(ClientPipeline, GivesOneResultEachInOrder) {
  FakeNode node(echo);
  ClusterClient client({node.address()}, quick());
  const auto commands = numbered(1000, Retry::kUnsafe);
  const auto results = client.pipeline(commands);
  ASSERT_EQ(results.size(), 1000U);
  expect_echoed(results, 0, 1000);
  EXPECT_EQ(node.connections(), 1U);
}

TEST(ClientPipeline, OfNothingIsNothing) {
  const ClosedPort nobody;
  ClusterClient client({nobody.address()}, quick());
  EXPECT_TRUE(client.pipeline({}).empty());
}

TEST(ClientPipeline, AnErrorBelongsToItsOwnCommand) {
  FakeNode node([](const Args& args) { return args[1] == "3" ? text("-ERR three") : echo(args); });
  ClusterClient client({node.address()}, quick());
  const auto results = client.pipeline(numbered(5, Retry::kUnsafe));
  expect_echoed(results, 0, 3);
  ASSERT_FALSE(results[3]);
  EXPECT_EQ(results[3].error().kind, Kind::kServer);
  expect_echoed(results, 4, 5);
}

TEST(ClientPipeline, AcrossALeaderChangeEveryCommandIsDoneOnceAndInOrder) {
  FakeNode next(echo);
  FakeNode first(echo_then(40, moved_to(next.address())));
  ClusterClient client({first.address()}, quick());
  const auto results = client.pipeline(numbered(100, Retry::kUnsafe));
  expect_echoed(results, 0, 100);
  const auto requests = next.requests();
  ASSERT_EQ(requests.size(), 60U);
  for (size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(requests[i][1], std::to_string(40 + i));
}

TEST(ClientPipeline, ALostConnectionLeavesTheRestUnknownAndSendsNoneOfItAgain) {
  FakeNode next(echo);
  FakeNode first(echo_then(40, hang_up()));
  ClusterClient client({first.address(), next.address()}, quick());
  const auto results = client.pipeline(numbered(100, Retry::kUnsafe));
  expect_echoed(results, 0, 40);
  for (size_t i = 40; i < 100; ++i) {
    ASSERT_FALSE(results[i]);
    EXPECT_EQ(results[i].error().kind, Kind::kOutcomeUnknown);
  }
  EXPECT_TRUE(next.requests().empty());
}

TEST(ClientPipeline, ALostConnectionCostsNothingWhereTwiceIsSafe) {
  FakeNode next(echo);
  FakeNode first(echo_then(40, hang_up()));
  ClusterClient client({first.address(), next.address()}, quick());
  expect_echoed(client.pipeline(numbered(100, Retry::kSafe)), 0, 100);
  EXPECT_EQ(next.requests().size(), 60U);
}

TEST(ClientPipeline, TruthIsToldCommandByCommandWhenTheLeaderStepsDown) {
  FakeNode next(echo);
  FakeNode first([&](const Args& args) {
    const int n = std::stoi(args[1]);
    if (n < 10) return echo(args);
    if (n < 20) return text("-UNKNOWN leadership was lost");
    return moved_to(next.address());
  });
  ClusterClient client({first.address()}, quick());
  const auto results = client.pipeline(numbered(30, Retry::kUnsafe));
  expect_echoed(results, 0, 10);
  for (size_t i = 10; i < 20; ++i) {
    ASSERT_FALSE(results[i]);
    EXPECT_EQ(results[i].error().kind, Kind::kOutcomeUnknown);
    EXPECT_THAT(results[i].error().text, HasSubstr("UNKNOWN leadership was lost"));
  }
  expect_echoed(results, 20, 30);
  EXPECT_EQ(next.requests().size(), 10U);
}

TEST(ClientPipeline, EachCommandIsRepeatedByItsOwnRule) {
  FakeNode node([first = true](const Args& args) mutable {
    return std::exchange(first, false) ? hang_up() : echo(args);
  });
  ClusterClient client({node.address()}, quick());
  std::vector<Command> commands = numbered(3, Retry::kUnsafe);
  commands[0].retry = Retry::kRead;
  commands[2].retry = Retry::kSafe;
  const auto results = client.pipeline(commands);
  expect_echoed(results, 0, 1);
  ASSERT_FALSE(results[1]);
  EXPECT_EQ(results[1].error().kind, Kind::kOutcomeUnknown);
  expect_echoed(results, 2, 3);
}

// The node stops reading when its own replies are not taken: both sides' buffers are far smaller.
TEST(ClientPipeline, FarLargerThanTheSocketsBuffersDoesNotDeadlock) {
  FakeNode node(echo);
  ClusterClient client({node.address()}, {.command_timeout = 30s});
  const std::string large(64 * 1024, 'x');
  const std::vector<Command> commands(500, {.args = {"ECHO", large}, .retry = Retry::kUnsafe});
  for (const Result& result : client.pipeline(commands)) {
    ASSERT_TRUE(result) << result.error().text;
    ASSERT_EQ(result->text.size(), large.size());
  }
}

// 64 MB: more than the kernel takes for a node that does not read.
TEST(ClientPipeline, WhatNeverLeftAsAWholeIsNotUnknown) {
  FakeNode next([](const Args&) { return ok(); });
  const auto deaf = FakeNode::that_never_reads(300ms);
  ClusterClient client({deaf.address(), next.address()}, {.command_timeout = 30s});
  const std::vector<Command> commands(
      1000, {.args = {"SET", "k", std::string(64 * 1024, 'x')}, .retry = Retry::kUnsafe});
  size_t done = 0;
  size_t unknown = 0;
  for (const Result& result : client.pipeline(commands)) {
    if (result) {
      ++done;
    } else {
      EXPECT_EQ(result.error().kind, Kind::kOutcomeUnknown);
      EXPECT_EQ(done, 0U) << "what was sent first is what is unknown";
      ++unknown;
    }
  }
  EXPECT_GT(done, 0U);
  EXPECT_GT(unknown, 0U);
  EXPECT_EQ(done, next.requests().size());
}

}  // namespace
}  // namespace raftkv::client
