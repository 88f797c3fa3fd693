// Writes in sessions: numbered once, repeated under the same number, never twice under two.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <mutex>

#include "client/cluster_client.h"
#include "tests/unit/client/fake_node.h"

namespace raftkv::client {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = ClientError::Kind;

ClientOptions quick(std::chrono::milliseconds command_timeout = 2000ms) {
  return {.command_timeout = command_timeout, .connect_timeout = 100ms, .attempt_timeout = 100ms};
}

Command incr(const std::string& key) {
  return {.args = {"INCR", key}, .once = true};
}

// What the servers of a cluster agree on: sessions, and one counter for all keys.
class Servers {
 public:
  // Carries out a request as a leader does.
  Answer lead(const Args& args) {
    const std::lock_guard lock(mutex_);
    if (args[0] == "RAFT.SESSION" && args[1] == "OPEN") {
      sessions_[++last_session_];
      return number(last_session_);
    }
    if (args[0] == "RAFT.SESSION")
      return number(static_cast<int64_t>(sessions_.erase(id_of(args, 2))));
    if (args[0] != "RAFT.ONCE") return number(++value_);
    const auto session = sessions_.find(id_of(args, 1));
    if (session == sessions_.end()) return text("-NOSESSION gone");
    const auto [reply, fresh] = session->second.emplace(id_of(args, 2), 0);
    if (fresh) reply->second = ++value_;
    return number(reply->second);
  }
  void forget_sessions() {
    const std::lock_guard lock(mutex_);
    sessions_.clear();
  }
  int64_t value() const { return value_; }
  size_t sessions() {
    const std::lock_guard lock(mutex_);
    return sessions_.size();
  }

  static Answer number(int64_t value) { return text(":" + std::to_string(value)); }

 private:
  static int64_t id_of(const Args& args, size_t at) { return std::stoll(args.at(at)); }

  std::mutex mutex_;
  int64_t last_session_ = 0;
  std::map<int64_t, std::map<int64_t, int64_t>> sessions_;
  int64_t value_ = 0;
};

bool is_once(const Args& args) {
  return args[0] == "RAFT.ONCE";
}

std::vector<Args> once_requests(const FakeNode& node) {
  std::vector<Args> requests = node.requests();
  std::erase_if(requests, [](const Args& args) { return !is_once(args); });
  return requests;
}

TEST(ClusterClientOnce, OpensASessionWithTheFirstWriteAndNumbersAll) {
  Servers servers;
  FakeNode node([&](const Args& args) { return servers.lead(args); });
  ClusterClient client({node.address()}, quick());
  client.command({"GET", "k"}, Retry::kRead);
  EXPECT_EQ(servers.sessions(), 0u);
  for (int64_t i = 2; i < 5; ++i) EXPECT_EQ(client.command(incr("k"))->integer, i);
  EXPECT_THAT(node.requests(),
              ElementsAre(Args{"GET", "k"}, Args{"RAFT.SESSION", "OPEN", "TTL", "3600"},
                          Args{"RAFT.ONCE", "1", "1", "ACK", "1", "INCR", "k"},
                          Args{"RAFT.ONCE", "1", "2", "ACK", "2", "INCR", "k"},
                          Args{"RAFT.ONCE", "1", "3", "ACK", "3", "INCR", "k"}));
}

TEST(ClusterClientOnce, ALostAnswerIsAskedForUnderTheSameNumber) {
  Servers servers;
  bool lost = false;
  FakeNode node([&](const Args& args) {
    const Answer answer = servers.lead(args);
    return is_once(args) && !std::exchange(lost, true) ? hang_up() : answer;
  });
  ClusterClient client({node.address()}, quick());
  const Result result = client.command(incr("k"));
  ASSERT_TRUE(result) << result.error().text;
  EXPECT_EQ(result->integer, 1);
  EXPECT_EQ(servers.value(), 1);
  EXPECT_EQ(once_requests(node).size(), 2u);
}

TEST(ClusterClientOnce, AnUnknownOutcomeIsClearedUpAtTheNextLeader) {
  Servers servers;
  FakeNode next([&](const Args& args) { return servers.lead(args); });
  FakeNode deposed([&](const Args& args) {
    const Answer answer = servers.lead(args);
    return is_once(args) ? text("-UNKNOWN leadership was lost") : answer;
  });
  ClusterClient client({deposed.address(), next.address()}, quick());
  const Result result = client.command(incr("k"));
  ASSERT_TRUE(result) << result.error().text;
  EXPECT_EQ(result->integer, 1);
  EXPECT_EQ(servers.value(), 1);
}

TEST(ClusterClientOnce, ANodeThatHangsIsNotWaitedForUntilTheDeadline) {
  Servers servers;
  FakeNode next([&](const Args& args) { return servers.lead(args); });
  FakeNode hung([&](const Args& args) {
    const Answer answer = servers.lead(args);
    return is_once(args) ? silence() : answer;
  });
  ClusterClient client({hung.address(), next.address()}, quick(10'000ms));
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(client.command(incr("k"))->integer, 1);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5'000ms);
}

TEST(ClusterClientOnce, APipelineIsRepeatedAsAWholeAndEachPartIsDoneOnce) {
  Servers servers;
  int seen = 0;
  FakeNode node([&](const Args& args) {
    const Answer answer = servers.lead(args);
    return is_once(args) && ++seen == 3 ? hang_up() : answer;
  });
  ClusterClient client({node.address()}, quick());
  const std::vector<Command> commands(5, incr("k"));
  const std::vector<Result> results = client.pipeline(commands);
  for (size_t i = 0; i < results.size(); ++i) {
    ASSERT_TRUE(results[i]) << results[i].error().text;
    EXPECT_EQ(results[i]->integer, static_cast<int64_t>(i + 1));
  }
  EXPECT_EQ(servers.value(), 5);
  // The first two have their answer: the servers are told that nobody will ask for it again.
  EXPECT_THAT(once_requests(node).back(),
              ElementsAre("RAFT.ONCE", "1", "5", "ACK", "3", "INCR", "k"));
}

TEST(ClusterClientOnce, NoMoreAreOnTheirWayThanTheServersKeepRepliesOf) {
  Servers servers;
  FakeNode node([&](const Args& args) { return servers.lead(args); });
  ClusterClient client({node.address()}, quick(20'000ms));
  const std::vector<Command> commands(1200, incr("k"));
  const std::vector<Result> results = client.pipeline(commands);
  EXPECT_TRUE(std::all_of(results.begin(), results.end(), [](const Result& r) { return !!r; }));
  EXPECT_EQ(servers.value(), 1200);
  for (const Args& request : once_requests(node)) {
    EXPECT_LT(std::stoi(request[2]) - std::stoi(request[4]), 512);
  }
}

TEST(ClusterClientOnce, ASessionThatExpiredBetweenCommandsIsReplaced) {
  Servers servers;
  FakeNode node([&](const Args& args) { return servers.lead(args); });
  ClusterClient client({node.address()}, quick());
  EXPECT_EQ(client.command(incr("k"))->integer, 1);
  servers.forget_sessions();
  EXPECT_EQ(client.command(incr("k"))->integer, 2);
  EXPECT_EQ(servers.value(), 2);
}

TEST(ClusterClientOnce, ASessionThatExpiredBehindALostAnswerLeavesTheOutcomeUnknown) {
  Servers servers;
  FakeNode node([&](const Args& args) {
    const Answer answer = servers.lead(args);
    if (!is_once(args)) return answer;
    servers.forget_sessions();
    return answer.bytes.starts_with(":") ? hang_up() : answer;
  });
  ClusterClient client({node.address()}, quick());
  const Result result = client.command(incr("k"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, Kind::kOutcomeUnknown);
  EXPECT_THAT(result.error().text, HasSubstr("NOSESSION"));
  EXPECT_EQ(servers.value(), 1);
}

TEST(ClusterClientOnce, AReplyThatIsNoLongerKeptIsSaidToBeLostAndNotRepeated) {
  FakeNode node([](const Args& args) {
    return is_once(args) ? text("-REPLYGONE command 1 was executed") : text(":1");
  });
  ClusterClient client({node.address()}, quick());
  const Result result = client.command(incr("k"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, Kind::kOutcomeUnknown);
  EXPECT_THAT(result.error().text, HasSubstr("was executed"));
  EXPECT_EQ(once_requests(node).size(), 1u);
}

TEST(ClusterClientOnce, WhatNobodyAnswersUntilTheDeadlineIsUnknown) {
  FakeNode node([](const Args& args) { return is_once(args) ? hang_up() : text(":1"); });
  ClusterClient client({node.address()}, quick(300ms));
  const Result result = client.command(incr("k"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, Kind::kOutcomeUnknown);
}

TEST(ClusterClientOnce, TheSessionIsOpenedWhereTheLeaderIs) {
  Servers servers;
  FakeNode leader([&](const Args& args) { return servers.lead(args); });
  FakeNode follower([&](const Args&) { return moved_to(leader.address()); });
  ClusterClient client({follower.address()}, quick());
  EXPECT_EQ(client.command(incr("k"))->integer, 1);
  EXPECT_EQ(servers.sessions(), 1u);
}

TEST(ClusterClientOnce, WithoutSessionsAWriteIsSentAsItIsAndItsOutcomeMayBeUnknown) {
  int asked = 0;
  FakeNode plain([&](const Args& args) {
    if (args[0] != "RAFT.SESSION") return args[1] == "lost" ? hang_up() : text(":1");
    ++asked;
    return text("-ERR unknown command 'RAFT.SESSION', with args beginning with: 'OPEN'");
  });
  ClusterClient client({plain.address()}, quick());
  EXPECT_EQ(client.command(incr("k"))->integer, 1);
  EXPECT_EQ(client.command(incr("k"))->integer, 1);
  const Result lost = client.command(incr("lost"));
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind, Kind::kOutcomeUnknown);
  EXPECT_EQ(asked, 1);
}

TEST(ClusterClientOnce, AServerThatHasNoRoomForASessionIsAskedAgainWithTheNextCommand) {
  Servers servers;
  bool full = true;
  FakeNode node([&](const Args& args) {
    return args[0] == "RAFT.SESSION" && full ? text("-MAXSESSIONS 1 sessions are open")
                                             : servers.lead(args);
  });
  ClusterClient client({node.address()}, quick());
  EXPECT_EQ(client.command(incr("k"))->integer, 1);
  EXPECT_TRUE(once_requests(node).empty());
  node.answer_with([&](const Args& args) { return servers.lead(args); });
  EXPECT_EQ(client.command(incr("k"))->integer, 2);
  EXPECT_EQ(once_requests(node).size(), 1u);
}

TEST(ClusterClientOnce, ClosesItsSessionInTheEnd) {
  Servers servers;
  FakeNode node([&](const Args& args) { return servers.lead(args); });
  {
    ClusterClient client({node.address()}, quick());
    client.command(incr("k"));
    EXPECT_EQ(servers.sessions(), 1u);
  }
  const auto latest = std::chrono::steady_clock::now() + 10s;
  while (servers.sessions() > 0 && std::chrono::steady_clock::now() < latest) {
    std::this_thread::yield();
  }
  EXPECT_EQ(servers.sessions(), 0u);
}

}  // namespace
}  // namespace raftkv::client
