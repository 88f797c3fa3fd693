#include "server/net/listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <deque>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "server/net/fd_limit.h"
#include "tests/support/fake_host.h"
#include "tests/unit/server/net_kit.h"

namespace raftkv::server {
namespace {

using test::Acceptor;
using test::Loop;
using test::Socket;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

// A session whose commands do what the test asks for:
//   ECHO x   replies x           BIG n   replies a bulk string of n bytes
//   HOLD x   replies x once the test releases it: later replies wait behind it
//   WAIT     is not taken before the test allows it
//   QUIT     replies OK and ends the conversation
class ScriptedSink final : public RequestSink {
 public:
  struct World {
    std::vector<std::vector<std::string>> executed;  // by all sinks, in order
    std::vector<ScriptedSink*> sinks;                // open ones, in the order of their opening
    bool wait_allowed = false;
  };

  ScriptedSink(World& world, SessionOwner& owner, ClientState state)
      : RequestSink(std::move(state)), world_(world), owner_(owner) {
    world_.sinks.push_back(this);
  }
  ~ScriptedSink() override { std::erase(world_.sinks, this); }

  void close() override { delete this; }
  Execution execute(Args args) override {
    EXPECT_FALSE(args.empty());
    EXPECT_FALSE(state_.close_after_reply);
    if (args[0] == "WAIT" && !world_.wait_allowed) return Execution::kWait;
    world_.executed.emplace_back(args.begin(), args.end());
    if (args[0] == "BIG") {
      reply(std::string(std::stoul(std::string(args[1])), 'b'), false);
    } else if (args[0] == "QUIT") {
      state_.close_after_reply = true;
      reply("OK", false);
    } else {
      reply(args.size() > 1 ? std::string(args[1]) : std::string(args[0]), args[0] == "HOLD");
    }
    return Execution::kDone;
  }
  void protocol_error(std::string_view error) override {
    state_.close_after_reply = true;
    slots_.push_back({"-" + std::string(error) + "\r\n", false});
    emit();
  }

  void release() {
    for (Slot& slot : slots_) slot.held = false;
    emit();
  }
  void resume() { owner_.may_resume(); }
  void produce(size_t bytes) {
    output_.append(bytes, 'p');
    owner_.output_ready();
  }

 private:
  struct Slot {
    std::string bytes;
    bool held;
  };
  void reply(const std::string& bytes, bool held) {
    slots_.push_back({"$" + std::to_string(bytes.size()) + "\r\n" + bytes + "\r\n", held});
    emit();
  }
  void emit() {
    for (; !slots_.empty() && !slots_.front().held; slots_.pop_front()) {
      output_.append(slots_.front().bytes);
    }
    state_.outstanding = slots_.size();
    owner_.output_ready();
  }

  World& world_;
  SessionOwner& owner_;
  std::deque<Slot> slots_;
};

std::string request(std::initializer_list<std::string_view> args) {
  std::string out = "*" + std::to_string(args.size()) + "\r\n";
  for (const std::string_view arg : args) {
    out += "$" + std::to_string(arg.size()) + "\r\n" + std::string(arg) + "\r\n";
  }
  return out;
}

std::string bulk(std::string_view bytes) {
  return "$" + std::to_string(bytes.size()) + "\r\n" + std::string(bytes) + "\r\n";
}

class ListenerTest : public testing::Test {
 protected:
  ListenerTest() {
    loop_.end_of_turn = [this] { flush(); };
  }
  ~ListenerTest() override {
    sockets_.clear();
    if (listener_) stop(0);
  }

  void start() {
    options_.listen_host = "127.0.0.1";
    listener_ = std::make_unique<ClientListener>(
        loop_.get(), options_, stats_, host_, [this](SessionOwner& owner, ClientState state) {
          return new ScriptedSink(world_, owner, std::move(state));
        });
    const auto started = listener_->start();
    ASSERT_TRUE(started) << started.error();
  }
  void stop(uint64_t grace_ms) {
    bool stopped = false;
    listener_->stop(grace_ms, [&] { stopped = true; });
    ASSERT_TRUE(until([&] { return stopped; }));
    listener_.reset();
  }
  void flush() {
    if (listener_) listener_->flush();
  }

  // A client that is known to the server.
  Socket& connect(int receive_buffer = 0) {
    const size_t before = world_.sinks.size();
    sockets_.push_back(
        std::make_unique<Socket>(Socket::connect(listener_->port(), receive_buffer)));
    EXPECT_TRUE(until([&] { return world_.sinks.size() == before + 1; }));
    return *sockets_.back();
  }
  Socket& connect_unseen() {
    sockets_.push_back(std::make_unique<Socket>(Socket::connect(listener_->port())));
    return *sockets_.back();
  }
  // Turns the loop and all clients.
  bool until(const std::function<bool()>& condition) {
    return loop_.until([&] {
      for (const auto& socket : sockets_) socket->step();
      return condition();
    });
  }
  bool answers(Socket& socket, std::string_view bytes) {
    return until([&] { return socket.incoming.size() >= bytes.size(); }) &&
           socket.incoming == bytes;
  }
  void some_turns() {
    for (int turn = 0; turn < 20; ++turn) {
      loop_.turns(1);
      for (const auto& socket : sockets_) socket->step();
    }
  }
  uint64_t now_ms() { return uv_now(loop_.get()); }

  Loop loop_;
  ClientOptions options_;
  Stats stats_;
  raftkv::test::FakeHost host_;
  ScriptedSink::World world_;
  std::unique_ptr<ClientListener> listener_;
  std::vector<std::unique_ptr<Socket>> sockets_;
};

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

// --- slow and hostile clients -----------------------------------------------------------------

TEST_F(ListenerTest, AClientThatDoesNotReadIsNotReadFromEither) {
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
  ASSERT_TRUE(
      until([&] { return slow.incoming.size() == 2000 * bulk(std::string(100'000, 'b')).size(); }));
}

TEST_F(ListenerTest, OutputBeyondTheHardLimitClosesTheConnection) {
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

TEST_F(ListenerTest, OutputThatGrowsBehindUnsentBytesIsLimitedToo) {
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

TEST_F(ListenerTest, GarbageGetsAnErrorBehindTheRepliesAndThenTheEnd) {
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

TEST_F(ListenerTest, AProtocolErrorWaitsForTheOutstandingReplies) {
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

TEST_F(ListenerTest, RandomBytesNeverDisturbTheOthers) {
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

TEST_F(ListenerTest, RequestsThatTrickleInCostOthersNothing) {
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

TEST_F(ListenerTest, OneClientGetsABoundedShareOfATurn) {
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

TEST_F(ListenerTest, ARequestBeyondTheQueryBufferClosesTheConnection) {
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

TEST_F(ListenerTest, BeyondMaxclientsAClientIsToldAndClosed) {
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

TEST_F(ListenerTest, AnIdleClientIsClosedAfterTheTimeout) {
  options_.idle_timeout_s = 1;
  start();
  Socket& idle = connect();
  EXPECT_TRUE(until([&] { return idle.ended; }));
}

TEST_F(ListenerTest, AClientWithAnOutstandingCommandIsNotIdle) {
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

TEST_F(ListenerTest, AnOccupiedPortIsOneClearLine) {
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

TEST_F(ListenerTest, QuitIsAnsweredThenTheConnectionEnds) {
  start();
  Socket& client = connect();
  client.send(request({"QUIT"}) + request({"ECHO", "never"}));
  ASSERT_TRUE(until([&] { return client.ended; }));
  EXPECT_EQ(client.incoming, bulk("OK"));
  EXPECT_EQ(world_.executed.size(), 1u);
  client.close();
  EXPECT_TRUE(until([&] { return listener_->size() == 0; }));
}

TEST_F(ListenerTest, AClientThatStaysAfterQuitIsClosedInTime) {
  start();
  Socket& client = connect();
  client.send(request({"QUIT"}));
  EXPECT_TRUE(until([&] { return listener_->size() == 0; }));
}

TEST_F(ListenerTest, KillClosesAnotherClient) {
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

TEST_F(ListenerTest, AnEndInTheMiddleOfARequestClosesQuietly) {
  start();
  Socket& client = connect();
  client.send(request({"ECHO", "whole"}) + "*2\r\n$4\r\nECHO\r\n$100\r\npart");
  client.step();
  client.shutdown_sending();
  ASSERT_TRUE(until([&] { return client.ended; }));
  EXPECT_EQ(client.incoming, bulk("whole"));
  EXPECT_TRUE(until([&] { return listener_->size() == 0; }));
}

TEST_F(ListenerTest, WhatWasReceivedBeforeTheEndIsExecutedAndAnswered) {
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

TEST_F(ListenerTest, AClientThatIsGoneDoesNotHoldItsConnectionForLong) {
  start();
  Socket& client = connect();
  client.send(request({"HOLD", "a"}));
  ASSERT_TRUE(until([&] { return world_.executed.size() == 1; }));
  client.close();
  EXPECT_TRUE(until([&] { return listener_->size() == 0; }));
  EXPECT_TRUE(world_.sinks.empty());
}

TEST_F(ListenerTest, AResetClosesAtOnceWhateverIsOutstanding) {
  start();
  Socket& client = connect();
  client.send(request({"HOLD", "a"}) + request({"BIG", "1000000"}));
  ASSERT_TRUE(until([&] { return world_.executed.size() == 2; }));
  client.reset();
  EXPECT_TRUE(until([&] { return listener_->size() == 0; }));
}

TEST_F(ListenerTest, StopWaitsForOutstandingRepliesWithinItsGrace) {
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

TEST_F(ListenerTest, StopCutsOffWhoTakesLongerThanTheGrace) {
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
