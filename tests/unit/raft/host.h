// One node with a host that is all test: its disk completes writes when the test says so, what it
// sends lies in a list, and a crash loses what was not synced.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "raft/node.h"

namespace raftkv::raft::test {

inline constexpr uint64_t kMs = 1000;
inline constexpr uint64_t kHeartbeat = 50 * kMs;
inline constexpr uint64_t kTimeout = 400 * kMs;
inline constexpr MonotonicUs kStart = 1'000'000;

Options options_for(NodeId id, std::vector<NodeId> voters);
Membership members(std::vector<NodeId> voters, std::vector<NodeId> learners = {},
                   std::vector<NodeId> outgoing_voters = {});
SnapshotMeta snapshot_of(Index index, Term term, Membership membership);
Entry membership_entry(Term term, Index index, const Membership& membership);
Payload text(std::string bytes);
// A log's terms as a test writes them: {1, 1, 2} is three entries.
std::vector<Entry> entries_of(const std::vector<Term>& terms, Index first = 1);

// What a crash leaves, and what is on its way to it.
class FakeDisk : public LogReader {
 public:
  void read(Index first, Index last, size_t bytes_limit, std::vector<Entry>& out) const override;

  void hold(const std::vector<Term>& terms, HardState state);
  // A snapshot, and behind it a log of its own.
  void hold(const SnapshotMeta& snapshot, const std::vector<Term>& terms, HardState state);
  void queue(Persist persist) { pending_.push_back(std::move(persist)); }
  // Makes the oldest write durable and returns it.
  std::optional<Persist> sync_one();
  void lose_pending() { pending_.clear(); }
  // The log turns out to be damaged: all of it is lost but for the snapshot.
  void lose_log();
  Restored restored() const;

  const std::vector<Entry>& entries() const { return entries_; }  // from first_index() on
  Index first_index() const { return first_index_; }
  Index last_index() const { return first_index_ + entries_.size() - 1; }
  // The entry's term, that of the one before the log too; 0 if it is not known.
  Term term_at(Index index) const;
  const SnapshotMeta& snapshot() const { return snapshot_; }
  Index lost_up_to() const { return lost_up_to_; }
  const HardState& state() const { return state_; }
  const std::deque<Persist>& pending() const { return pending_; }
  size_t reads() const { return reads_; }

 private:
  std::vector<Entry> entries_;
  Index first_index_ = 1;
  Term base_term_ = 0;
  SnapshotMeta snapshot_;
  Index lost_up_to_ = 0;
  HardState state_;
  std::deque<Persist> pending_;
  mutable size_t reads_ = 0;
};

class Host {
 public:
  Host(Options options, MonotonicUs now);
  // With a disk that already holds something.
  Host(Options options, MonotonicUs now, const std::vector<Term>& terms, HardState state);
  Host(Options options, MonotonicUs now, const SnapshotMeta& snapshot,
       const std::vector<Term>& terms, HardState state);

  Node& node() { return *node_; }
  const Node& node() const { return *node_; }
  Node* operator->() { return node_.get(); }
  NodeId id() const { return options_.id; }
  FakeDisk& disk() { return disk_; }
  const FakeDisk& disk() const { return disk_; }
  Options& options() { return options_; }  // take effect with the next restart
  MonotonicUs now() const { return now_; }

  // Carries out every Ready there is. With autosync (the default) writes are durable at once.
  void pump();
  void set_autosync(bool on) { autosync_ = on; }
  // Completes the oldest `count` writes.
  void sync(size_t count = SIZE_MAX);

  void tick_to(MonotonicUs now);
  void advance(uint64_t us) { tick_to(now_ + us); }
  void advance_to_deadline() { tick_to(node_->next_deadline()); }
  // A message arrives, and what follows from it is carried out.
  void hears(NodeId from, Term term, decltype(Message::body) body);
  std::expected<Index, ProposeError> propose(std::string bytes, uint64_t time_us = 0);
  uint64_t read();
  std::expected<Index, ChangeError> change(const std::vector<MemberChange>& changes);
  // A snapshot at what is applied; the log is cut before `first`, by default behind it.
  void compact(Index first = 0);
  // Installs a snapshot that somebody sent.
  bool restore(const SnapshotMeta& meta);

  // Loses memory, and what the disk had not synced.
  void restart();

  // What was sent and not looked at yet.
  std::vector<Message> take_sent() { return std::exchange(sent_, {}); }
  // The bodies of one kind among it, the rest is dropped.
  template <typename Kind>
  std::vector<Kind> take(NodeId to = 0) {
    std::vector<Kind> bodies;
    for (Message& message : take_sent()) {
      if (to != 0 && message.to != to) continue;
      if (auto* body = std::get_if<Kind>(&message.body)) bodies.push_back(std::move(*body));
    }
    return bodies;
  }

  const std::vector<Entry>& applied() const { return applied_; }  // since the start
  Index applied_index() const { return applied_index_; }          // a snapshot counts too
  // The snapshots that were asked for and not looked at yet.
  std::vector<SnapshotRequest> take_snapshot_requests() { return std::exchange(snapshots_, {}); }
  // The texts of the commands applied since the start.
  std::vector<std::string> commands() const;
  const std::vector<ReadGrant>& grants() const { return grants_; }
  bool granted(uint64_t read) const;

  // A leader of a group of three (1, 2, 3) with its no-op committed, in the way the protocol goes.
  void become_leader();

 private:
  void boot();
  void release(Persist& persist);

  Options options_;
  FakeDisk disk_;
  MonotonicUs now_;
  std::unique_ptr<Node> node_;
  bool autosync_ = true;
  std::vector<Message> sent_;
  std::vector<Entry> applied_;
  Index applied_index_ = 0;
  std::vector<SnapshotRequest> snapshots_;
  std::vector<ReadGrant> grants_;
};

}  // namespace raftkv::raft::test
