// What clients may not do to the server, and how their connections end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "server/net/fd_limit.h"
#include "tests/unit/server/net_listener_kit.h"

namespace raftkv::server {
namespace {

using test::Acceptor;
using test::bulk;
using test::ListenerTest;
using test::request;
using test::ScriptedSink;
using test::Socket;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

using ListenerLimitsTest = ListenerTest;

// --- slow and hostile clients -----------------------------------------------------------------

TEST_F(ListenerLimitsTest, AClientThatDoesNotReadIsNotReadFromEither) {
  start();
  Socket& slow = connect(64 << 10);
  slow.reading = false;
  Socket& quick = connect();
  for (int i = 0; i < 2000; ++i) slow.send(request({"BIG", "100000"}));
  size_t most = 0;
  for (int round = 0; round < 100; ++round) {
    quick.incoming.clear();
    quick.send(request({"ECHO", "still here"}));
    ASSERT_TRUE(answers(quick, bulk("still here")));
    most = std::max(most, world_.sinks.at(0)->state().output_bytes);
  }
  EXPECT_LT(world_.executed.size(), 300u);
  EXPECT_LE(most, options_.output_bytes_soft + 200'000);
  // Reading again, it gets everything.
  slow.reading = true;
  const size_t all = 2000 * bulk(std::string(100'000, 'b')).size();
  ASSERT_TRUE(until([&] { return slow.incoming.size() == all; }));
}

TEST_F(ListenerLimitsTest, OutputBeyondTheHardLimitClosesTheConnection) {
  options_.output_bytes_hard = 8 << 20;
  start();
  Socket& slow = connect(64 << 10);
  slow.reading = false;
  Socket& other = connect();
  ScriptedSink& sink = *world_.sinks.at(0);
  sink.produce(32 << 20);
  ASSERT_TRUE(until([&] { return listener_->size() == 1; }));
  other.send(request({"ECHO", "x"}));
  EXPECT_TRUE(answers(other, bulk("x")));
}

TEST_F(ListenerLimitsTest, OutputThatGrowsBehindUnsentBytesIsLimitedToo) {
  options_.output_bytes_hard = 32 << 20;
  start();
  Socket& slow = connect(64 << 10);
  slow.reading = false;
  ScriptedSink& sink = *world_.sinks.at(0);
  sink.produce(16 << 20);
  ASSERT_TRUE(until([&] { return sink.output().empty(); }));
  sink.output().append(32 << 20, 'p');
  EXPECT_TRUE(until([&] { return listener_->size() == 0; }));
}

TEST_F(ListenerLimitsTest, GarbageGetsAnErrorBehindTheRepliesAndThenTheEnd) {
  start();
  Socket& client = connect();
  client.send(request({"ECHO", "good"}) + "*1\r\n!garbage\r\n" + std::string(300'000, '\xff'));
  ASSERT_TRUE(until([&] { return client.ended; }));
  EXPECT_THAT(client.incoming, StartsWith(bulk("good") + "-ERR Protocol error"));
  // A reset may overtake the error on its way to the client.
  EXPECT_FALSE(client.was_reset);
  client.close();
  EXPECT_TRUE(until([&] { return listener_->size() == 0; }));
}

TEST_F(ListenerLimitsTest, AProtocolErrorWaitsForTheOutstandingReplies) {
  start();
  Socket& client = connect();
  client.send(request({"HOLD", "first"}) + "*x\r\n");
  ASSERT_TRUE(until([&] { return world_.sinks.at(0)->state().close_after_reply; }));
  some_turns();
  EXPECT_EQ(client.incoming, "");
  EXPECT_FALSE(client.ended);
  world_.sinks.at(0)->release();
  ASSERT_TRUE(until([&] { return client.ended; }));
  EXPECT_THAT(client.incoming, StartsWith(bulk("first") + "-ERR Protocol error"));
}

TEST_F(ListenerLimitsTest, RandomBytesNeverDisturbTheOthers) {
  start();
  Socket& good = connect();
  std::mt19937_64 random(3);
  for (int round = 0; round < 200; ++round) {
    Socket bad = Socket::connect(listener_->port());
    std::string bytes = random() % 2 ? "*3\r\n$" : "";
    for (size_t i = random() % 200; i > 0; --i) bytes += "*$\r\n0123456789-x"[random() % 15];
    bad.send(bytes);
    bad.step();
    loop_.turns(1);
    if (random() % 2) bad.reset();
  }
  good.send(request({"ECHO", "fine"}));
  EXPECT_TRUE(answers(good, bulk("fine")));
  EXPECT_TRUE(until([&] { return listener_->size() == 1; }));
}

TEST_F(ListenerLimitsTest, RequestsThatTrickleInCostOthersNothing) {
  start();
  std::vector<Socket*> slow;
  for (int i = 0; i < 30; ++i) slow.push_back(&connect());
  Socket& quick = connect();
  const std::string trickle = request({"ECHO", "slow"});
  for (const char byte : trickle) {
    for (Socket* each : slow) each->send(std::string_view(&byte, 1));
    quick.incoming.clear();
    quick.send(request({"ECHO", "quick"}));
    ASSERT_TRUE(answers(quick, bulk("quick")));
  }
  for (Socket* each : slow) EXPECT_TRUE(answers(*each, bulk("slow")));
}

TEST_F(ListenerLimitsTest, OneClientGetsABoundedShareOfATurn) {
  start();
  Socket& flood = connect();
  flood.send(request({"ECHO", std::string(40'000'000, 'f')}));
  uint64_t most = 0;
  uint64_t before = 0;
  loop_.end_of_turn = [&] {
    most = std::max(most, stats_.input_bytes - before);
    before = stats_.input_bytes;
    listener_->flush();
  };
  EXPECT_TRUE(until([&] { return world_.executed.size() == 1; }));
  loop_.end_of_turn = [this] { flush(); };
  EXPECT_LE(most, size_t{2} << 20);
}

TEST_F(ListenerLimitsTest, ARequestBeyondTheQueryBufferClosesTheConnection) {
  options_.query_buffer_bytes_max = 1 << 20;
  start();
  Socket& client = connect();
  client.send("*2\r\n$4\r\nECHO\r\n$8000000\r\n" + std::string(8'000'000, 'q'));
  EXPECT_TRUE(until([&] { return client.ended; }));
  EXPECT_TRUE(world_.executed.empty());
  client.close();
  EXPECT_TRUE(until([&] { return listener_->size() == 0; }));
}

// --- limits on connections --------------------------------------------------------------------

TEST_F(ListenerLimitsTest, BeyondMaxclientsAClientIsToldAndClosed) {
  options_.clients_max = 2;
  start();
  Socket& first = connect();
  connect();
  Socket& third = connect_unseen();
  ASSERT_TRUE(until([&] { return third.ended; }));
  EXPECT_EQ(third.incoming, "-ERR max number of clients reached\r\n");
  EXPECT_EQ(stats_.connections_rejected, 1u);
  EXPECT_EQ(stats_.connections_received, 2u);
  first.close();
  ASSERT_TRUE(until([&] { return listener_->size() == 1; }));
  connect();
  listener_->options().clients_max = 3;
  connect();
}

TEST_F(ListenerLimitsTest, AnIdleClientIsClosedAfterTheTimeout) {
  options_.idle_timeout_s = 1;
  start();
  Socket& idle = connect();
  EXPECT_TRUE(until([&] { return idle.ended; }));
}

TEST_F(ListenerLimitsTest, AClientWithAnOutstandingCommandIsNotIdle) {
  options_.idle_timeout_s = 1;
  start();
  Socket& waiting = connect();
  waiting.send(request({"HOLD", "x"}));
  ASSERT_TRUE(until([&] { return world_.executed.size() == 1; }));
  Socket& idle = connect();
  ASSERT_TRUE(until([&] { return idle.ended; }));
  const uint64_t later = now_ms() + 500;
  ASSERT_TRUE(until([&] { return now_ms() >= later; }));
  EXPECT_FALSE(waiting.ended);
}

TEST_F(ListenerLimitsTest, AnOccupiedPortIsOneClearLine) {
  const Acceptor squatter;
  options_.listen_host = "127.0.0.1";
  options_.listen_port = squatter.port();
  ClientListener second(loop_.get(), options_, stats_, host_, nullptr);
  const auto started = second.start();
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error(), AllOf(HasSubstr("can't listen for clients on 127.0.0.1:"),
                                     HasSubstr("address already in use"), HasSubstr("--listen")));
}

TEST(DescriptorLimit, SaysHowManyClientsFit) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(provide_descriptors(10), 10u);
  EXPECT_LT(provide_descriptors(size_t{1} << 40), size_t{1} << 40);
  rlimit after{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_GE(after.rlim_cur, before.rlim_cur);
}

// --- the end of a connection ------------------------------------------------------------------

TEST_F(ListenerLimitsTest, QuitIsAnsweredThenTheConnectionEnds) {
  start();
  Socket& client = connect();
  client.send(request({"QUIT"}) + request({"ECHO", "never"}));
  ASSERT_TRUE(until([&] { return client.ended; }));
  EXPECT_EQ(client.incoming, bulk("OK"));
  EXPECT_EQ(world_.executed.size(), 1u);
  client.close();
  EXPECT_TRUE(until([&] { return listener_->size() == 0; }));
}

TEST_F(ListenerLimitsTest, AClientThatStaysAfterQuitIsClosedInTime) {
  start();
  Socket& client = connect();
  client.send(request({"QUIT"}));
  EXPECT_TRUE(until([&] { return listener_->size() == 0; }));
}

TEST_F(ListenerLimitsTest, KillClosesAnotherClient) {
  start();
  Socket& victim = connect();
  Socket& other = connect();
  victim.send(request({"HOLD", "x"}) + request({"WAIT"}));
  ASSERT_TRUE(until([&] { return world_.executed.size() == 1; }));
  EXPECT_FALSE(listener_->kill(999));
  EXPECT_TRUE(listener_->kill(world_.sinks.at(0)->state().id));
  ASSERT_TRUE(until([&] { return victim.ended; }));
  EXPECT_EQ(listener_->size(), 1u);
  other.send(request({"ECHO", "x"}));
  EXPECT_TRUE(answers(other, bulk("x")));
}

TEST_F(ListenerLimitsTest, AnEndInTheMiddleOfARequestClosesQuietly) {
  start();
  Socket& client = connect();
  client.send(request({"ECHO", "whole"}) + "*2\r\n$4\r\nECHO\r\n$100\r\npart");
  client.step();
  client.shutdown_sending();
  ASSERT_TRUE(until([&] { return client.ended; }));
  EXPECT_EQ(client.incoming, bulk("whole"));
  EXPECT_TRUE(until([&] { return listener_->size() == 0; }));
}

TEST_F(ListenerLimitsTest, WhatWasReceivedBeforeTheEndIsExecutedAndAnswered) {
  start();
  Socket& client = connect();
  client.send(request({"HOLD", "a"}) + request({"WAIT", "b"}) + request({"ECHO", "c"}));
  client.step();
  client.shutdown_sending();
  ASSERT_TRUE(until([&] { return world_.executed.size() == 1; }));
  some_turns();
  EXPECT_FALSE(client.ended);
  world_.wait_allowed = true;
  world_.sinks.at(0)->resume();
  ASSERT_TRUE(until([&] { return world_.executed.size() == 3; }));
  world_.sinks.at(0)->release();
  ASSERT_TRUE(until([&] { return client.ended; }));
  EXPECT_EQ(client.incoming, bulk("a") + bulk("b") + bulk("c"));
}

TEST_F(ListenerLimitsTest, AClientThatIsGoneDoesNotHoldItsConnectionForLong) {
  start();
  Socket& client = connect();
  client.send(request({"HOLD", "a"}));
  ASSERT_TRUE(until([&] { return world_.executed.size() == 1; }));
  client.close();
  EXPECT_TRUE(until([&] { return listener_->size() == 0; }));
  EXPECT_TRUE(world_.sinks.empty());
}

TEST_F(ListenerLimitsTest, AResetClosesAtOnceWhateverIsOutstanding) {
  start();
  Socket& client = connect();
  client.send(request({"HOLD", "a"}) + request({"BIG", "1000000"}));
  ASSERT_TRUE(until([&] { return world_.executed.size() == 2; }));
  client.reset();
  EXPECT_TRUE(until([&] { return listener_->size() == 0; }));
}

TEST_F(ListenerLimitsTest, StopWaitsForOutstandingRepliesWithinItsGrace) {
  start();
  Socket& busy = connect();
  Socket& idle = connect();
  busy.send(request({"HOLD", "x"}));
  ASSERT_TRUE(until([&] { return world_.executed.size() == 1; }));
  bool stopped = false;
  listener_->stop(60'000, [&] { stopped = true; });
  busy.send(request({"ECHO", "too late"}));
  ASSERT_TRUE(until([&] { return idle.ended; }));
  EXPECT_FALSE(stopped);
  world_.sinks.at(0)->release();
  ASSERT_TRUE(until([&] { return stopped && busy.ended; }));
  EXPECT_EQ(busy.incoming, bulk("x"));
  EXPECT_EQ(world_.executed.size(), 1u);
  listener_.reset();
}

TEST_F(ListenerLimitsTest, StopCutsOffWhoTakesLongerThanTheGrace) {
  start();
  Socket& stuck = connect();
  stuck.send(request({"HOLD", "x"}));
  ASSERT_TRUE(until([&] { return world_.executed.size() == 1; }));
  const uint64_t begin = now_ms();
  stop(200);
  EXPECT_GE(now_ms() - begin, 200u);
  EXPECT_TRUE(until([&] { return stuck.ended; }));
}

}  // namespace
}  // namespace raftkv::server
