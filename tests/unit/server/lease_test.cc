// Lease reads of a leader that was stopped in the middle of a turn.
#include <gtest/gtest.h>

#include <deque>

#include "server/command/member_context.h"
#include "server/replica/replica.h"
#include "server/replica/session.h"
#include "storage/log/memory_log_store.h"
#include "storage/snapshot/snapshot_memory.h"
#include "tests/support/fake_host.h"

namespace raftkv {
namespace {

// Member 1 of three; the other two agree to everything, at once, until they are silenced.
class Leader final : public server::ReplicaPorts, public server::SessionOwner {
 public:
  Leader() {
    server::ReplicaOptions options;
    options.read_mode = server::ReadMode::kLease;
    options.raft.id = 1;
    options.raft.bootstrap = server::bootstrap_membership(host_.members_field);
    replica_ = std::make_unique<server::Replica>(options, *disk_.recover(), disk_, snapshots_,
                                                 stats_, *this);
    for (int i = 0; i < 100 && !replica_->leads(); ++i) {
      pass_ms(50);
      settle();
    }
    session_ = server::Session::open(*replica_, host_, *this, {});
  }
  ~Leader() override { session_->close(); }

  void settle() {
    for (int i = 0; i < 20; ++i) {
      replica_->end_turn();
      while (!writing_.empty()) {
        raft::Persist persist = std::move(writing_.front());
        writing_.pop_front();
        EXPECT_TRUE(disk_.sync_through(persist.token.sequence).has_value());
        replica_->persisted(std::move(persist));
      }
      for (raft::Message& message : std::exchange(sent_, {})) agree(message);
    }
  }
  void silence_others() { silent_ = true; }
  void pass_ms(uint64_t ms) { now_us_ += ms * 1000; }
  void send_command(std::vector<std::string_view> args) {
    ASSERT_EQ(session_->execute(args), server::Execution::kDone);
  }
  std::string replies() { return std::exchange(session_->output(), {}); }
  server::Replica& replica() { return *replica_; }

  void send(raft::Message message) override { sent_.push_back(std::move(message)); }
  void persist(raft::Persist persist) override {
    disk_.stage(persist);
    writing_.push_back(std::move(persist));
  }
  raft::MonotonicUs now_monotonic_us() override { return now_us_; }
  uint64_t now_wall_us() override { return now_us_; }
  void leadership_changed(const raft::Status&) override {}
  void send_snapshot(raft::NodeId, const raft::SnapshotMeta&) override {}
  void dataset_differs(const server::DigestDifference&) override {}
  void digests_undecided(raft::Index) override {}
  void membership_changed(const server::MembershipFacts&,
                          const std::vector<server::Member>&) override {}
  void output_ready() override {}
  void may_resume() override {}

 private:
  void agree(const raft::Message& message) {
    if (silent_) return;
    raft::Message answer{.from = message.to, .to = 1, .term = message.term, .body = {}};
    if (const auto* vote = std::get_if<raft::VoteRequest>(&message.body)) {
      answer.body = raft::VoteReply{.pre = vote->pre, .granted = true};
    } else if (const auto* append = std::get_if<raft::Append>(&message.body)) {
      last_[message.to] = append->prev_index + append->entries.size();
      answer.body = raft::AppendReply{.accepted = true, .match = last_[message.to]};
    } else if (const auto* heartbeat = std::get_if<raft::Heartbeat>(&message.body)) {
      answer.body =
          raft::HeartbeatReply{.round = heartbeat->round, .last_index = last_[message.to]};
    }
    replica_->step(std::move(answer));
  }

  test::FakeHost host_;
  server::Stats stats_;
  storage::MemoryLogStore disk_;
  storage::SnapshotMemory snapshots_;
  std::deque<raft::Persist> writing_;
  std::vector<raft::Message> sent_;
  std::map<uint64_t, raft::Index> last_;
  bool silent_ = false;
  uint64_t now_us_ = 1'000'000'000;
  std::unique_ptr<server::Replica> replica_;
  server::Session* session_ = nullptr;
};

TEST(Lease, AnswersWithoutARoundWhileItLasts) {
  Leader leader;
  leader.send_command({"SET", "x", "1"});
  leader.settle();
  EXPECT_EQ(leader.replies(), "+OK\r\n");
  leader.silence_others();
  leader.send_command({"GET", "x"});
  leader.replica().end_turn();
  EXPECT_EQ(leader.replies(), "$1\r\n1\r\n");
}

TEST(Lease, EndsForReadsThatCameInATurnDuringWhichTheProcessWasStopped) {
  Leader leader;
  leader.send_command({"SET", "x", "1"});
  leader.settle();
  leader.replies();
  leader.silence_others();
  leader.replica().touch();  // the turn begins; then the process is stopped for five seconds
  leader.pass_ms(5000);
  leader.send_command({"GET", "x"});
  leader.replica().end_turn();
  EXPECT_EQ(leader.replies().find("$1"), std::string::npos)
      << "others may have elected a leader and written meanwhile";
}

}  // namespace
}  // namespace raftkv
