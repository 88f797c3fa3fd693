// Requests and replies of a client connection: order, waiting, being held back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/server/net_listener_kit.h"

namespace raftkv::server {
namespace {

using test::bulk;
using test::ListenerTest;
using test::request;
using test::Socket;
using testing::StartsWith;

// --- requests and replies ---------------------------------------------------------------------

TEST_F(ListenerTest, APipelineCutAnywhereIsExecutedInOrder) {
  start();
  Socket& client = connect();
  std::string sent;
  std::string expected;
  for (int i = 0; i < 40; ++i) {
    const std::string value =
        "value" + std::to_string(i) + std::string(static_cast<size_t>(i), 'x');
    sent += i % 5 == 4 ? "ECHO " + value + "\r\n" : request({"ECHO", value});
    expected += bulk(value);
  }
  std::mt19937_64 random(11);
  for (int round = 0; round < 30; ++round) {
    client.incoming.clear();
    std::string_view rest(sent);
    while (!rest.empty()) {
      const size_t part = 1 + random() % std::min<size_t>(rest.size(), round < 10 ? 7 : 300);
      client.send(rest.substr(0, part));
      rest.remove_prefix(part);
      client.step();
      loop_.turns(1);
    }
    ASSERT_TRUE(answers(client, expected)) << client.incoming;
  }
}

TEST_F(ListenerTest, TenThousandCommandsInOnePipelineKeepTheirOrder) {
  start();
  Socket& client = connect();
  std::string sent;
  std::string expected;
  for (int i = 0; i < 10'000; ++i) {
    sent += request({"ECHO", std::to_string(i)});
    expected += bulk(std::to_string(i));
  }
  client.send(sent);
  EXPECT_TRUE(answers(client, expected));
  EXPECT_EQ(world_.executed.size(), 10'000u);
  EXPECT_EQ(stats_.input_bytes, sent.size());
  EXPECT_EQ(stats_.output_bytes, expected.size());
}

TEST_F(ListenerTest, NothingIsWrittenBeforeTheFlush) {
  start();
  Socket& client = connect();
  loop_.end_of_turn = nullptr;
  client.send(request({"ECHO", "x"}));
  ASSERT_TRUE(until([&] { return world_.executed.size() == 1; }));
  some_turns();
  EXPECT_EQ(client.incoming, "");
  listener_->flush();
  EXPECT_TRUE(answers(client, bulk("x")));
}

TEST_F(ListenerTest, AnArgumentOf64MegabytesArrivesWhole) {
  start();
  Socket& client = connect();
  std::string big(size_t{64} << 20, '\0');
  for (size_t i = 0; i < big.size(); i += 1000) big[i] = static_cast<char>(i / 1000);
  client.send(request({"SET", "k", big}) + request({"ECHO", "after"}));
  ASSERT_TRUE(answers(client, bulk("k") + bulk("after")));
  EXPECT_EQ(world_.executed.at(0).at(2), big);
  // The memory goes back.
  ASSERT_TRUE(until([&] { return world_.sinks.at(0)->state().input_bytes == 0; }));
}

TEST_F(ListenerTest, ManyClientsAreServedSideBySide) {
  start();
  std::vector<Socket*> clients;
  for (int i = 0; i < 50; ++i) clients.push_back(&connect());
  for (int round = 0; round < 20; ++round) {
    for (size_t i = 0; i < clients.size(); ++i) {
      clients[i]->incoming.clear();
      clients[i]->send(request({"ECHO", std::to_string(i)}) + request({"ECHO", "second"}));
    }
    for (size_t i = 0; i < clients.size(); ++i) {
      ASSERT_TRUE(answers(*clients[i], bulk(std::to_string(i)) + bulk("second")));
    }
  }
  EXPECT_EQ(listener_->size(), 50u);
  std::vector<uint64_t> ids;
  listener_->for_each([&](const ClientState& state) {
    ids.push_back(state.id);
    EXPECT_THAT(state.address, StartsWith("127.0.0.1:"));
    EXPECT_EQ(state.local_address, "127.0.0.1:" + std::to_string(listener_->port()));
    EXPECT_GE(state.fd, 0);
  });
  EXPECT_TRUE(std::ranges::is_sorted(ids));
  EXPECT_EQ(ids.size(), 50u);
}

// --- waiting ----------------------------------------------------------------------------------

TEST_F(ListenerTest, ACommandThatWaitsKeepsItsPlaceAndItsArguments) {
  start();
  Socket& client = connect();
  Socket& other = connect();
  const std::string value(5000, 'v');
  client.send(request({"ECHO", "before"}) + request({"WAIT", value}) + request({"ECHO", "after"}));
  ASSERT_TRUE(answers(client, bulk("before")));
  // What others send meanwhile goes through the same buffer.
  other.send(request({"ECHO", std::string(20'000, 'o')}));
  ASSERT_TRUE(answers(other, bulk(std::string(20'000, 'o'))));
  world_.executed.pop_back();
  client.send(request({"ECHO", "later"}));
  some_turns();
  EXPECT_EQ(client.incoming, bulk("before"));
  // Resumed, but it still has to wait.
  world_.sinks.at(0)->resume();
  some_turns();
  EXPECT_EQ(world_.executed.size(), 1u);
  world_.wait_allowed = true;
  some_turns();
  EXPECT_EQ(world_.executed.size(), 1u) << "executed without may_resume()";
  world_.sinks.at(0)->resume();
  EXPECT_TRUE(answers(client, bulk("before") + bulk(value) + bulk("after") + bulk("later")));
}

TEST_F(ListenerTest, AWaitingInlineRequestKeepsItsQuotedArguments) {
  start();
  Socket& client = connect();
  client.send("WAIT \"a \\x41 b\"\r\nECHO plain\r\n");
  ASSERT_TRUE(until([&] { return world_.sinks.at(0)->state().input_bytes != 0; }));
  world_.wait_allowed = true;
  world_.sinks.at(0)->resume();
  EXPECT_TRUE(answers(client, bulk("a A b") + bulk("plain")));
}

TEST_F(ListenerTest, AWaitingRequestLongerThanTheSharedBufferIsKeptToo) {
  start();
  Socket& client = connect();
  const std::string value(900'000, 'w');
  client.send(request({"WAIT", value}) + request({"ECHO", "after"}));
  ASSERT_TRUE(until([&] { return world_.sinks.at(0)->state().input_bytes > value.size(); }));
  world_.wait_allowed = true;
  world_.sinks.at(0)->resume();
  EXPECT_TRUE(answers(client, bulk(value) + bulk("after")));
}

TEST_F(ListenerTest, WhatIsResumedInTheFlushIsAnsweredByIt) {
  start();
  Socket& client = connect();
  client.send(request({"WAIT"}));
  ASSERT_TRUE(until([&] { return world_.sinks.at(0)->state().input_bytes != 0; }));
  world_.wait_allowed = true;
  world_.sinks.at(0)->resume();
  EXPECT_TRUE(listener_->has_pending_work());
  listener_->flush();
  EXPECT_FALSE(listener_->has_pending_work());
  client.step();
  EXPECT_EQ(client.incoming, bulk("WAIT"));
}

TEST_F(ListenerTest, TooManyOutstandingCommandsHoldTheConnectionBack) {
  options_.outstanding_commands_max = 3;
  start();
  Socket& client = connect();
  std::string expected;
  for (int i = 0; i < 10; ++i) {
    client.send(request({"HOLD", std::to_string(i)}));
    expected += bulk(std::to_string(i));
  }
  ASSERT_TRUE(until([&] { return world_.executed.size() == 3; }));
  some_turns();
  EXPECT_EQ(world_.executed.size(), 3u);
  world_.sinks.at(0)->release();
  ASSERT_TRUE(until([&] { return world_.executed.size() == 6; }));
  some_turns();
  EXPECT_EQ(world_.executed.size(), 6u);
  ASSERT_TRUE(until([&] {
    world_.sinks.at(0)->release();
    return client.incoming.size() >= expected.size();
  }));
  EXPECT_EQ(client.incoming, expected);
}

}  // namespace
}  // namespace raftkv::server
