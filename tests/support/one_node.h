// The production replica with a log in memory, time and disk in the test's hands, and clients that
// speak in words and get replies as bytes. It is alone, or leads followers that agree with whatever
// they are told until the test silences them.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/command/member_context.h"
#include "server/replica/replica.h"
#include "server/replica/session.h"
#include "server/replica/start_point.h"
#include "storage/log/memory_log_store.h"
#include "storage/snapshot/snapshot_loader.h"
#include "storage/snapshot/snapshot_memory.h"
#include "tests/support/fake_host.h"

namespace raftkv::test {

class OneNode final : public server::ReplicaPorts {
 public:
  // Leads `voters` nodes, itself included, when it returns.
  explicit OneNode(server::ReplicaOptions options = {}, size_t voters = 1) {
    options.raft.id = 1;
    for (uint64_t id = host_.members_field.size() + 1; id <= voters; ++id) {
      const auto port = static_cast<uint16_t>(7000 + id);
      host_.members_field.push_back(
          {id, "127.0.0.1", port, "127.0.0.1", static_cast<uint16_t>(port + 10'000)});
    }
    host_.members_field.resize(voters);
    options.raft.bootstrap = server::bootstrap_membership(host_.members_field);
    options_ = options;
    replica_ = std::make_unique<server::Replica>(options, *disk_.recover(), disk_, snapshots_,
                                                 stats_, *this);
    become_leader();
  }
  void become_leader() {
    settle();
    while (!replica_->node().is_leader()) {
      pass_ms(50);
      settle();
    }
  }

  // The process dies, and starts again from what its disks kept. Clients must be gone. It does not
  // lead yet; if it starts from a snapshot, that waits for load().
  // Of its next life.
  server::ReplicaOptions& options() { return options_; }
  server::StartPoint restart() {
    replica_.reset();
    writing_.clear();
    answers_.clear();
    disk_.crash(0);
    snapshots_.crash();
    raft::Restored restored = *disk_.recover();
    server::StartPoint start = *server::find_start_point(disk_, snapshots_, restored);
    replica_ = std::make_unique<server::Replica>(options_, std::move(restored), disk_, snapshots_,
                                                 stats_, *this);
    return start;
  }
  std::expected<storage::LoadedSnapshot, std::string> read_snapshot(storage::SnapshotId id) {
    return storage::load_snapshot(**snapshots_.open(id), id, "", 7);
  }
  storage::MemoryLogStore& log_store() { return disk_; }
  storage::SnapshotMemory& snapshot_files() { return snapshots_; }

  // Has no group, and waits to be added to one.
  struct Waiting {};
  explicit OneNode(Waiting) {
    server::ReplicaOptions options;
    options.raft.id = 1;
    replica_ = std::make_unique<server::Replica>(options, *disk_.recover(), disk_, snapshots_,
                                                 stats_, *this);
    settle();
  }

  // Turns, disk writes and the followers' answers until nothing is left to do.
  void settle() {
    bool more = true;
    while (more) {
      more = replica_->end_turn();
      if (disk_works_) more |= finish_writes();
      more |= deliver_answers();
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
  // The answers of the followers reach the replica.
  bool deliver_answers() {
    const bool any = !answers_.empty();
    while (!answers_.empty()) {
      raft::Message answer = std::move(answers_.front());
      answers_.pop_front();
      replica_->step(std::move(answer));
    }
    return any;
  }
  void silence_followers() { followers_answer_ = false; }
  void silence_follower(raft::NodeId id) { silent_.insert(id); }
  void wake_follower(raft::NodeId id) { silent_.erase(id); }
  void wake_followers() { followers_answer_ = followers_store_ = true; }
  // They still follow, but what they are sent for their logs stays on their way to the disk.
  void stop_followers_disks() { followers_store_ = false; }
  // Node 2 leads a later term: this node learns of it, and steps down.
  void depose() {
    replica_->step({.from = 2,
                    .to = 1,
                    .term = replica_->node().term() + 1,
                    .body = raft::Heartbeat{.commit = 0, .round = 1}});
  }
  // While this node follows node 2: node 2's entry of this kind and time, committed at once.
  void follow_entry(uint64_t time_us, std::string payload = "",
                    raft::EntryKind kind = raft::EntryKind::kCommands) {
    raft::Entry entry{.term = replica_->node().term(),
                      .index = replica_->node().last_index() + 1,
                      .time_us = time_us,
                      .kind = kind,
                      .payload = std::make_shared<const std::string>(std::move(payload))};
    const raft::Index index = entry.index;
    raft::Append append{
        .prev_index = index - 1, .prev_term = last_term_, .commit = index, .entries = {}};
    last_term_ = entry.term;
    append.entries.push_back(std::move(entry));
    replica_->step({.from = 2, .to = 1, .term = replica_->node().term(), .body = append});
  }
  // While this node follows: node 2's dataset takes the place of its own.
  bool install(storage::LoadedSnapshot snapshot) {
    last_term_ = snapshot.facts.meta.term;
    return replica_->install(std::move(snapshot));
  }
  // Node 2 answers the questions of this follower with its commit index.
  void answer_reads(bool yes) { reads_answered_ = yes; }
  size_t read_requests = 0;                // that this node has sent
  std::vector<raft::NodeId> told_to_lead;  // by this node

  void stop_disk() { disk_works_ = false; }
  void start_disk() { disk_works_ = true; }
  // Both clocks move on.
  void pass_ms(uint64_t ms) {
    monotonic_us_ += ms * 1000;
    wall_us_ += static_cast<int64_t>(ms) * 1000;
  }
  void pass_us(uint64_t us) {
    monotonic_us_ += us;
    wall_us_ += static_cast<int64_t>(us);
  }
  void set_wall_back_ms(int64_t ms) { wall_us_ -= ms * 1000; }

  server::Replica& replica() { return *replica_; }
  FakeHost& host() { return host_; }
  uint64_t now_ms() const { return static_cast<uint64_t>(wall_us_) / 1000; }

  void send(raft::Message message) override {
    if (std::holds_alternative<raft::TimeoutNow>(message.body)) told_to_lead.push_back(message.to);
    if (std::holds_alternative<raft::ReadRequest>(message.body)) ++read_requests;
    if (std::holds_alternative<raft::HostNote>(message.body)) notes.push_back(message);
    if (!followers_answer_ || silent_.contains(message.to)) return;
    raft::Message answer{.from = message.to, .to = 1, .term = message.term, .body = {}};
    if (const auto* vote = std::get_if<raft::VoteRequest>(&message.body)) {
      answer.body = raft::VoteReply{.pre = vote->pre, .granted = true};
    } else if (const auto* append = std::get_if<raft::Append>(&message.body)) {
      if (!followers_store_) return;
      const raft::Index match = append->prev_index + append->entries.size();
      raft::Index& last = follower_last_[message.to];
      if (append->prev_index > last) {  // it was away
        answer.body = raft::AppendReply{
            .rejected_prev = append->prev_index, .hint_index = last, .hint_term = message.term};
      } else {
        last = std::max(last, match);
        answer.body = raft::AppendReply{.accepted = true, .match = match};
      }
    } else if (const auto* heartbeat = std::get_if<raft::Heartbeat>(&message.body)) {
      answer.body =
          raft::HeartbeatReply{.round = heartbeat->round, .last_index = follower_last_[message.to]};
    } else if (const auto* request = std::get_if<raft::ReadRequest>(&message.body)) {
      if (!reads_answered_) return;
      answer.body =
          raft::ReadReply{.number = request->number, .index = replica_->node().commit_index()};
    } else {
      return;
    }
    answers_.push_back(std::move(answer));
  }
  void persist(raft::Persist persist) override {
    disk_.stage(persist);
    writing_.push_back(std::move(persist));
  }
  bool disk_full() const override { return disk_full_; }
  void fill_disk(bool full) { disk_full_ = full; }
  raft::MonotonicUs now_monotonic_us() override { return monotonic_us_; }
  uint64_t now_wall_us() override { return static_cast<uint64_t>(wall_us_); }
  void leadership_changed(const raft::Status&) override {}
  void send_snapshot(raft::NodeId to, const raft::SnapshotMeta&) override {
    snapshots_wanted.push_back(to);
  }
  void dataset_differs(const server::DigestDifference& difference) override {
    differences.push_back(difference);
  }
  void digests_undecided(raft::Index index) override { undecided.push_back(index); }
  void membership_changed(const server::MembershipFacts&,
                          const std::vector<server::Member>& members) override {
    told_members = members;
  }

  std::vector<server::Member> told_members;  // as the ports were told last
  std::vector<server::DigestDifference> differences;
  std::vector<raft::Index> undecided;
  std::vector<raft::Message> notes;            // that this node has sent
  std::vector<raft::NodeId> snapshots_wanted;  // by the leader, for these followers

 private:
  FakeHost host_;
  server::ReplicaOptions options_;
  server::Stats stats_;
  storage::MemoryLogStore disk_;
  storage::SnapshotMemory snapshots_;
  std::deque<raft::Persist> writing_;
  std::deque<raft::Message> answers_;
  std::map<raft::NodeId, raft::Index> follower_last_;
  raft::Term last_term_ = 1;  // of the log's last entry, while this node follows
  std::set<raft::NodeId> silent_;
  bool reads_answered_ = true;
  bool followers_answer_ = true;
  bool followers_store_ = true;
  bool disk_works_ = true;
  bool disk_full_ = false;
  uint64_t monotonic_us_ = 1'000'000;
  int64_t wall_us_ = 1'767'225'600'000'000;
  std::unique_ptr<server::Replica> replica_;
};

// One connection. Commands are words separated by spaces.
class Client final : public server::SessionOwner {
 public:
  explicit Client(OneNode& node, server::ClientState state = {})
      : node_(node),
        session_(server::Session::open(node.replica(), node.host(), *this, std::move(state))) {}
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
  // What a connection goes by: without it nothing is flushed, and nothing more is parsed.
  bool output_ready_called() { return std::exchange(output_ready_, false); }

  void output_ready() override { output_ready_ = true; }
  void may_resume() override { resume_ = true; }

 private:
  OneNode& node_;
  bool output_ready_ = false;
  bool resume_ = false;
  server::Session* session_;
};

}  // namespace raftkv::test
