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
Payload text(std::string bytes);
// A log's terms as a test writes them: {1, 1, 2} is three entries.
std::vector<Entry> entries_of(const std::vector<Term>& terms, Index first = 1);

// What a crash leaves, and what is on its way to it.
class FakeDisk : public LogReader {
 public:
  void read(Index first, Index last, size_t bytes_limit, std::vector<Entry>& out) const override;

  void hold(const std::vector<Term>& terms, HardState state);
  void queue(Persist persist) { pending_.push_back(std::move(persist)); }
  // Makes the oldest write durable and returns it.
  std::optional<Persist> sync_one();
  void lose_pending() { pending_.clear(); }
  Restored restored() const;

  const std::vector<Entry>& entries() const { return entries_; }
  const HardState& state() const { return state_; }
  const std::deque<Persist>& pending() const { return pending_; }
  size_t reads() const { return reads_; }

 private:
  std::vector<Entry> entries_;
  HardState state_;
  std::deque<Persist> pending_;
  mutable size_t reads_ = 0;
};

class Host {
 public:
  Host(Options options, MonotonicUs now);
  // With a disk that already holds something.
  Host(Options options, MonotonicUs now, const std::vector<Term>& terms, HardState state);

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

  const std::vector<Entry>& applied() const { return applied_; }
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
  std::vector<ReadGrant> grants_;
};

}  // namespace raftkv::raft::test
