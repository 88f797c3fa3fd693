// One member of a Raft group: the public face of the core. Pure and single-threaded: no I/O, no
// clock, no thread, no global state. The host feeds it messages, time and completions, and after
// each burst of input takes one Ready and carries it out.
//
//   node.tick(now); node.step(message); node.propose(...); ...   any number of inputs
//   Ready ready = node.take_ready();                              what to do about them
//
// Errors: a host's mistake (a completion of a write that never was, a log that contradicts itself)
// ends the process with the facts, and so does a betrayal of consensus: two leaders in one term, a
// leader that would replace what is committed, a disk that lost what it had synced. A stranger's
// answer and a senseless message are ignored and counted. (A stranger that leads or campaigns is
// heard: its membership may be newer than ours.)
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "raft/log_reader.h"
#include "raft/ready.h"
#include "raft/types.h"

namespace raftkv::raft {

// Microseconds on a clock that never jumps and counts a suspended machine's sleep; its zero is
// arbitrary. The host reads it once a turn and says it with tick().
using MonotonicUs = uint64_t;

enum class Role : uint8_t { kFollower, kPreCandidate, kCandidate, kLeader };
const char* role_name(Role role);

struct Options {
  NodeId id = 0;
  // The members of a group that has never been: used only when neither the log nor a snapshot names
  // any. Empty for a node that is to be added to a running group: it waits to be told.
  Membership bootstrap;

  uint64_t heartbeat_us = 50'000;
  // A follower campaigns after a silence drawn anew each time from [election, 2 * election).
  uint64_t election_timeout_us = 400'000;
  // A leader whose oldest disk write is pending for longer steps down: its heartbeats must not hold
  // a cluster that it cannot serve.
  uint64_t disk_stall_us = 2'000'000;
  // How much faster another node's clock may run than ours while a lease is valid, in percent.
  uint32_t clock_drift_percent = 10;
  bool lease_reads = false;

  // Flow control, for each follower: what may be on its way unacknowledged.
  size_t inflight_messages_max = 256;
  size_t inflight_bytes_max = size_t{16} << 20;
  size_t append_bytes_max = size_t{1} << 20;  // entries in one Append, at least one entry
  // What may be proposed and not yet committed; beyond it propose() says kBusy.
  size_t uncommitted_bytes_max = size_t{64} << 20;
  // Recent entries kept in memory beyond those that are not yet durable or not yet applied.
  size_t cache_bytes_max = size_t{64} << 20;
  // Entries handed out in one Ready.
  size_t apply_bytes_max = size_t{4} << 20;

  // What set_electable() says from the start.
  bool electable = true;

  uint64_t random_seed = 1;
};

// A run of entries of one term: all that the core needs to know of the terms of a durable log.
struct TermStart {
  Term term = 0;
  Index first_index = 0;

  friend bool operator==(const TermStart&, const TermStart&) = default;
};

// A membership entry of the log.
struct MembershipAt {
  Index index = 0;
  Membership membership;

  friend bool operator==(const MembershipAt&, const MembershipAt&) = default;
};

// What the disk held when the process started.
struct Restored {
  HardState hard_state;
  SnapshotMeta snapshot;  // the one to start from, the newest that is recorded; index 0: none
  // Not 0: `snapshot` is an older one, for the file of the newest, at this index, is lost. No other
  // snapshot before this index may be recorded.
  Index lost_snapshot = 0;
  // The log's first entry, 1 if nothing was ever cut. first_index <= snapshot.index + 1.
  Index first_index = 1;
  Term base_term = 0;                     // of the entry before first_index, 0 if there is none
  Index last_index = 0;                   // first_index - 1 if the log is empty
  uint64_t last_time_us = 0;              // of the last entry, or of the snapshot
  std::vector<TermStart> term_starts;     // ascending, covers [first_index, last_index]
  std::vector<MembershipAt> memberships;  // those in [first_index, last_index], ascending
  // Not 0: the log was damaged, and entries up to here, which this node may have acknowledged, are
  // lost. The log is then empty, begins behind `snapshot` if that one is good, and the node neither
  // votes nor campaigns until it has this index again: else what a majority was told to be safe
  // could be voted away.
  Index lost_up_to = 0;
};

// One wish for another membership. Several may be granted together.
struct MemberChange {
  enum class Kind : uint8_t { kAddLearner, kPromote, kRemove, kUpdateContext };
  Kind kind = Kind::kAddLearner;
  NodeId id = 0;
  std::string context{};  // for kAddLearner and kUpdateContext
};

enum class ChangeError : uint8_t {
  kNotLeader,
  kInProgress,  // an earlier change is not finished, or no entry of this term is committed yet
  kTransferring,
  kNotMember,      // there is nobody of that id to promote, remove or update
  kAlreadyMember,  // kAddLearner of a member, kPromote of a voter
  kLastVoter,      // nobody would be left to vote
  kTooMany,        // more members than the core can count
};
const char* change_error_text(ChangeError error);

enum class ProposeError : uint8_t {
  kNotLeader,
  kTransferring,  // leadership is being handed over: nothing was appended
  kBusy,          // uncommitted_bytes_max is reached: nothing was appended
};

// What others may want to know of a follower.
struct PeerStatus {
  NodeId id = 0;
  Index match = 0;
  Index next = 0;
  bool learner = false;
  bool snapshotting = false;  // a snapshot is on its way to it
  bool active = false;        // heard from within an election timeout
  uint64_t silent_us = 0;     // since its last answer
  uint64_t round = 0;         // the newest round of heartbeats of this term that it has answered
  size_t inflight_messages = 0;
};

struct Status {
  NodeId id = 0;
  Role role = Role::kFollower;
  Term term = 0;
  NodeId leader = 0;  // 0: not known
  NodeId vote = 0;
  Index commit = 0;
  Index applied = 0;  // handed out for applying
  Index durable = 0;  // last index behind our own sync
  Index last = 0;
  Index first = 1;           // of the log
  Index snapshot_index = 0;  // of the newest snapshot
  bool repairing = false;    // Restored::lost_up_to is not reached again
  NodeId transfer_target = 0;
  uint64_t elections_started = 0;
  uint64_t leader_changes = 0;
  uint64_t messages_ignored = 0;    // strangers' and senseless ones
  std::vector<PeerStatus> peers{};  // filled on the leader only
};

class Node {
 public:
  // `reader` must outlive the node. `now` starts the election timer: a fresh node grants no vote
  // for one election timeout, because it may have promised its silence to a leader before it
  // restarted. (A group of one campaigns at once.)
  Node(Options options, const Restored& restored, const LogReader& reader, MonotonicUs now);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // --- inputs -------------------------------------------------------------------------------

  // Time passes. Never goes backwards; to be called before the other inputs of a turn, since they
  // are judged by it.
  void tick(MonotonicUs now);
  // The time at which tick() has something to do even if no input comes; UINT64_MAX: never. It may
  // move with any input.
  MonotonicUs next_deadline() const;

  // A message from a peer. Unknown senders and stale terms are dealt with here.
  void step(Message message);

  // A message of `peer` is arriving, but is not complete yet. A large append takes its time, and
  // the heartbeats queue up behind it: from our leader this counts as hearing from it, and it is
  // told, once a heartbeat interval, that we are there.
  void receiving_from(NodeId peer);

  // Appends a batch to the log of the leader. `time_us` is this host's clock; the entry gets
  // max(time_us, time of the entry before). Returns the entry's index. `kind`: kCommands or kHost.
  std::expected<Index, ProposeError> propose(Payload payload, uint64_t time_us,
                                             EntryKind kind = EntryKind::kCommands);

  // Registers a linearizable read (thesis 6.4) and returns its number; numbers grow by one. It is
  // granted by some later Ready, or never, if leadership ends first: the host drops what it has
  // waiting when it sees the role or term change. 0 if this node is not leader.
  //
  // Under a lease reads are granted by the very next take_ready(), judged by the last tick(). A
  // request may have come after that tick (the process may have been stopped in between), so with
  // lease_reads a host ticks once more between its last read() and take_ready().
  uint64_t read();

  // Registers a linearizable read on a follower (or learner): the leader is asked for a read index,
  // and the read is granted by a later Ready once it answered, like one of read(). 0 if no leader
  // is known. Reads of one turn share one question. It or its answer may be lost: the host gives up
  // on a read that waits too long, and on all when it sees the leader or the term change. On the
  // leader this is read().
  uint64_t read_from_leader();

  // Proposes another membership. A change of voters goes through joint consensus by itself: the
  // second entry is appended when the first is committed, by whoever leads then. A leader that is
  // no voter of the final membership steps down when that is committed, after it has handed over
  // leadership. Returns the index of the first entry; the change may still be lost with leadership.
  // A voter that is to become a learner is removed first, and added when that is finished.
  std::expected<Index, ChangeError> change_members(const std::vector<MemberChange>& changes);

  // --- snapshots ----------------------------------------------------------------------------

  // The host has a snapshot of its own state at `index` (applied, at least the newest snapshot's)
  // behind a sync. Its record, and the cut of the log before `first_index` (at most index + 1; an
  // earlier cut is not undone, and entries that are not durable yet are kept), go out with the next
  // Persist.
  void compact(Index index, Index first_index);
  // What a snapshot at `index` (between the newest snapshot and the applied index) stands for.
  SnapshotMeta snapshot_meta(Index index) const;

  // Whether a snapshot that somebody offers would help this node: it reaches beyond what is
  // committed here. (A snapshot holds nothing but what is committed, so it may come from anyone
  // whose term this node has reached, as it has that of a leader that a SnapshotRequest was for.)
  bool wants_snapshot(const SnapshotMeta& meta) const;
  // The host holds that snapshot's file behind a sync and its state loaded beside its own. If true,
  // the host's state is to be replaced by it now, before the next Ready: it counts as applied up to
  // meta.index. Entries of the log that follow on the snapshot stay. False, and nothing is to be
  // done, if the node has got that far by itself meanwhile.
  bool restore(const SnapshotMeta& meta);
  // The transfer that a SnapshotRequest asked for has ended. `index`: what the follower installed,
  // 0 if it failed and may be asked for again.
  void snapshot_sent(NodeId to, Index index);

  // The log write named by `token`, and all before it, is durable. Of several that became durable
  // together, telling the newest is enough; a token is told once more without harm.
  void persisted(const PersistToken& token);

  // Hands leadership to the voter `target` (thesis 3.10), 0 for the most caught-up one. Proposals
  // are refused meanwhile; gives up after one election timeout. False if this is not possible now.
  bool transfer(NodeId target);

  // Whether this node may become leader; it may at first. A host that still loads its state could
  // not serve, and says so. It goes on voting and following; a leader stays one.
  void set_electable(bool electable);

  // --- outputs ------------------------------------------------------------------------------

  // What is to be done now. Apply and catch-up are handed out in slices, so that one turn stays
  // short: has_ready() then stays true.
  // Without `with_apply` nothing is handed out for applying, for a host that can't take more now.
  Ready take_ready(bool with_apply = true);
  bool has_ready(bool with_apply = true) const;

  // --- questions ----------------------------------------------------------------------------

  Role role() const;
  Term term() const;
  NodeId leader() const;
  bool is_leader() const { return role() == Role::kLeader; }
  Index commit_index() const;
  Index last_index() const;
  // The time of the last entry in the log, committed or not.
  uint64_t last_time_us() const;
  Index first_index() const;     // of the log; last_index() + 1 if it is empty
  Index snapshot_index() const;  // of the newest snapshot, 0 if there is none
  // The membership in force: the newest in the log, committed or not. The index is that of its
  // entry, 0 for the bootstrap's; when the entry is gone, it may be that of the snapshot that
  // stands for it. An entry can be replaced by another at the same index: who looks for changes
  // compares the whole value. Without voters while this node waits to be told. A log that is being
  // caught up passes through memberships of the past, so "I am no member" means "I was removed"
  // only to who was a member before.
  const MembershipAt& membership() const;
  // No membership entry of ours is uncommitted, and the group is not in a joint phase. False while
  // this node waits to be told.
  bool membership_settled() const;
  // Under Options::lease_reads: whether a read may be answered now without asking anybody.
  bool lease_valid() const;
  Status status() const;

  // What must always hold (raft/invariants.h); empty if it does. For tests and the simulator.
  std::string broken_invariant() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace raftkv::raft
