// A cluster of one: the production replica with a log in memory, time and disk in the test's hands,
// and clients that speak in words and get replies as bytes.
#pragma once

#include <deque>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "server/replica/replica.h"
#include "server/replica/session.h"
#include "storage/log/memory_log_store.h"
#include "tests/support/fake_host.h"

namespace raftkv::test {

class OneNode final : public server::ReplicaPorts {
 public:
  explicit OneNode(server::ReplicaOptions options = {}) {
    options.raft.id = 1;
    options.raft.voters = {1};
    host_.members_field.resize(1);
    replica_ = std::make_unique<server::Replica>(options, *disk_.recover(), disk_,
                                                 host_.members_field, stats_, *this);
    settle();
  }

  // Turns and disk writes until nothing is left to do.
  void settle() {
    bool more = true;
    while (more) {
      more = replica_->end_turn();
      if (disk_works_) more |= finish_writes();
    }
  }
  // One turn; the disk does not move.
  void turn() { replica_->end_turn(); }
  // The disk finishes what it was given, and its completions reach the replica.
  bool finish_writes() {
    const bool any = !writing_.empty();
    while (!writing_.empty()) {
      raft::Persist persist = std::move(writing_.front());
      writing_.pop_front();
      if (!disk_.sync_through(persist.token.sequence)) std::abort();
      replica_->persisted(std::move(persist));
    }
    return any;
  }
  void stop_disk() { disk_works_ = false; }
  void start_disk() { disk_works_ = true; }
  // Both clocks move on.
  void pass_ms(uint64_t ms) {
    monotonic_us_ += ms * 1000;
    wall_us_ += static_cast<int64_t>(ms) * 1000;
  }
  void set_wall_back_ms(int64_t ms) { wall_us_ -= ms * 1000; }

  server::Replica& replica() { return *replica_; }
  FakeHost& host() { return host_; }
  uint64_t now_ms() const { return static_cast<uint64_t>(wall_us_) / 1000; }

  void send(raft::Message) override {}
  void persist(raft::Persist persist) override {
    disk_.stage(persist);
    writing_.push_back(std::move(persist));
  }
  raft::MonotonicUs now_monotonic_us() override { return monotonic_us_; }
  uint64_t now_wall_us() override { return static_cast<uint64_t>(wall_us_); }
  void leadership_changed(const raft::Status&) override {}

 private:
  FakeHost host_;
  server::Stats stats_;
  storage::MemoryLogStore disk_;
  std::deque<raft::Persist> writing_;
  bool disk_works_ = true;
  uint64_t monotonic_us_ = 1'000'000;
  int64_t wall_us_ = 1'767'225'600'000'000;
  std::unique_ptr<server::Replica> replica_;
};

// One connection. Commands are words separated by spaces.
class Client final : public server::SessionOwner {
 public:
  explicit Client(OneNode& node, server::ClientState state = {})
      : node_(node), session_(server::Session::open(node.replica(), node.host(), *this, state)) {}
  ~Client() override { close(); }

  // Sends without waiting for anything; false if the session said kWait.
  bool send(const std::string& command) {
    std::istringstream words(command);
    std::vector<std::string> owned;
    for (std::string word; words >> word;) owned.push_back(word);
    const std::vector<std::string_view> args(owned.begin(), owned.end());
    return session_->execute(args) == server::Execution::kDone;
  }
  // What has come so far.
  std::string take() { return std::exchange(session_->output(), {}); }
  // Sends, lets the node settle, and returns the reply.
  std::string call(const std::string& command) {
    while (!send(command)) node_.settle();
    node_.settle();
    return take();
  }
  void close() {
    if (session_ != nullptr) session_->close();
    session_ = nullptr;
  }

  server::Session& session() { return *session_; }
  bool may_resume_called() { return std::exchange(resume_, false); }

  void output_ready() override { output_ready_ = true; }
  void may_resume() override { resume_ = true; }

 private:
  OneNode& node_;
  bool output_ready_ = false;
  bool resume_ = false;
  server::Session* session_;
};

}  // namespace raftkv::test
