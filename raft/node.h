// One member of a Raft group: the public face of the core. Pure and single-threaded: no I/O, no
// clock, no thread, no global state. The host feeds it messages, time and completions, and after
// each burst of input takes one Ready and carries it out.
//
//   node.tick(now); node.step(message); node.propose(...); ...   any number of inputs
//   Ready ready = node.take_ready();                              what to do about them
//
// Errors: a host's mistake (a completion of a write that never was, a log that contradicts itself)
// ends the process with the facts, and so does a betrayal of consensus: two leaders in one term, a
// leader that would replace what is committed, a disk that lost what it had synced. A stranger's or
// a senseless message is ignored and counted.
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
  std::vector<NodeId> voters;  // includes id

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

  uint64_t random_seed = 1;
};

// A run of entries of one term: all that the core needs to know of the terms of a durable log.
struct TermStart {
  Term term = 0;
  Index first_index = 0;

  friend bool operator==(const TermStart&, const TermStart&) = default;
};

// What the disk held when the process started.
struct Restored {
  HardState hard_state;
  Index last_index = 0;                // 0 if the log is empty
  uint64_t last_time_us = 0;           // of the last entry
  std::vector<TermStart> term_starts;  // ascending, covers [1, last_index]
};

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
  bool active = false;     // heard from within an election timeout
  uint64_t silent_us = 0;  // since its last answer
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
  // max(time_us, time of the entry before). Returns the entry's index.
  std::expected<Index, ProposeError> propose(Payload payload, uint64_t time_us);

  // Registers a linearizable read (thesis 6.4) and returns its number; numbers grow by one. It is
  // granted by some later Ready, or never, if leadership ends first: the host drops what it has
  // waiting when it sees the role or term change. 0 if this node is not leader.
  //
  // Under a lease reads are granted by the very next take_ready(), judged by the last tick(). A
  // request may have come after that tick (the process may have been stopped in between), so with
  // lease_reads a host ticks once more between its last read() and take_ready().
  uint64_t read();

  // The log write named by `token`, and all before it, is durable. Of several that became durable
  // together, telling the newest is enough; a token is told once more without harm.
  void persisted(const PersistToken& token);

  // Hands leadership to `target` (thesis 3.10), 0 for the most caught-up peer. Proposals are
  // refused meanwhile; gives up after one election timeout. False if this is not possible now.
  bool transfer(NodeId target);

  // --- outputs ------------------------------------------------------------------------------

  // What is to be done now. Apply and catch-up are handed out in slices, so that one turn stays
  // short: has_ready() then stays true.
  Ready take_ready();
  bool has_ready() const;

  // --- questions ----------------------------------------------------------------------------

  Role role() const;
  Term term() const;
  NodeId leader() const;
  bool is_leader() const { return role() == Role::kLeader; }
  Index commit_index() const;
  Index last_index() const;
  // The time of the last entry in the log, committed or not.
  uint64_t last_time_us() const;
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
