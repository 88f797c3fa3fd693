// What all roles of a node share: its log, its term and vote, its clock, and what waits to be
// handed to the host. The parts (election, follower, leader) act on it; it knows none of them.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "raft/durability.h"
#include "raft/log.h"
#include "raft/membership_history.h"
#include "raft/node.h"
#include "raft/ready.h"
#include "raft/types.h"

namespace raftkv::raft {

using Body = decltype(Message::body);

class Core {
 public:
  Core(Options options_in, const Restored& restored, const LogReader& reader, MonotonicUs now_in);

  NodeId self() const { return options.id; }
  Term term() const { return hard.term; }
  Index commit() const { return hard.commit; }
  // The membership in force: the newest one in the log.
  const Configuration& config() const { return members.config(); }
  const SnapshotMeta& snapshot() const { return snapshot_; }

  // --- messages -------------------------------------------------------------------------------

  // Leaves with the next Ready.
  void send(NodeId to, Term term, Body body);
  // Leaves when all that this node has promised so far is durable. With nothing to wait for, that
  // is the next Ready.
  void seal(NodeId to, Term term, Body body);
  // An answer that tells our term, and nothing else that needs the disk.
  void reply(NodeId to, Body body);

  // --- the log --------------------------------------------------------------------------------

  // Appends to the log, dropping what it held from the first entry's index on. A membership counts
  // from here (thesis 4.1).
  void append(std::span<Entry> entries);
  // Moves the commit index forward; `index` is in the log.
  void commit_to(Index index);
  // Entries that are committed and not handed out yet.
  bool has_apply() const { return applied < hard.commit; }
  std::vector<Entry> take_apply();
  // Forgets old entries that can be read back from the host.
  void trim_log();

  // --- snapshots ------------------------------------------------------------------------------

  // See Node.
  void compact(Index index, Index first_index);
  SnapshotMeta snapshot_meta(Index index) const;
  bool wants_snapshot(const SnapshotMeta& meta) const;
  // A snapshot that is wanted takes the place of the state, and of the log if that contradicts it
  // or does not reach it. Else what follows in the log stays: it may have been acknowledged.
  void restore(const SnapshotMeta& meta);

  // --- the disk -------------------------------------------------------------------------------

  bool term_is_durable() const { return disk.durable_state().term == hard.term; }
  bool needs_persist() const;
  Persist take_persist();
  void persisted(const PersistToken& token);
  // The disk has hung for so long that this node should not serve (or become) a leader.
  bool disk_stalled() const { return now >= disk_stall_deadline(); }
  MonotonicUs disk_stall_deadline() const;
  // Entries that this node may have acknowledged were lost, and are not all back on the disk.
  bool repairing() const { return lost_up_to_ != 0; }

  // --- state ----------------------------------------------------------------------------------

  const Options options;
  Log log;
  MembershipHistory members;
  Durability disk;
  HardState hard;  // as it should be; Durability knows what of it is on the disk
  Role role = Role::kFollower;
  NodeId leader = 0;
  bool electable = options.electable;  // see Node::set_electable
  Index applied = 0;                   // handed out
  MonotonicUs now;

  std::vector<Message> outgoing;
  uint64_t elections_started = 0;
  uint64_t leader_changes = 0;
  uint64_t messages_ignored = 0;

 private:
  void end_repair_when_done();

  SnapshotMeta snapshot_;  // the newest one, as the disk will know it
  Index lost_up_to_;
  std::optional<LogCut> cut_;    // for the next Persist
  std::vector<Message> sealed_;  // as well
  // Sealed behind a Persist that was handed out already: its sequence, and the message.
  std::deque<std::pair<uint64_t, Message>> held_;
};

// A time that never comes.
inline constexpr MonotonicUs kNever = UINT64_MAX;

}  // namespace raftkv::raft
