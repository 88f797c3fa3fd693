// For the tests of the client port: a scripted session, and a listener with clients around it.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/net/listener.h"
#include "tests/support/fake_host.h"
#include "tests/unit/server/net_kit.h"

namespace raftkv::server::test {

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

inline std::string request(std::initializer_list<std::string_view> args) {
  std::string out = "*" + std::to_string(args.size()) + "\r\n";
  for (const std::string_view arg : args) {
    out += "$" + std::to_string(arg.size()) + "\r\n" + std::string(arg) + "\r\n";
  }
  return out;
}

inline std::string bulk(std::string_view bytes) {
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
  ::raftkv::test::FakeHost host_;
  ScriptedSink::World world_;
  std::unique_ptr<ClientListener> listener_;
  std::vector<std::unique_ptr<Socket>> sockets_;
};

}  // namespace raftkv::server::test
