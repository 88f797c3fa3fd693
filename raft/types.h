// The words of consensus: what a log holds, what a node must never forget, what nodes say to each
// other. Plain values without behaviour; every room that deals with the log may include this file.
//
// Figure numbers refer to "In Search of an Understandable Consensus Algorithm (Extended Version)"
// (Ongaro, Ousterhout 2014), thesis sections to "Consensus: Bridging Theory and Practice" (2014).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace raftkv::raft {

using NodeId = uint64_t;  // 0 means "no node"
using Term = uint64_t;    // 0 before the first election
using Index = uint64_t;   // the first entry has index 1; 0 means "before the log"

// The bytes of an entry are written once and then shared by the log writer, the frames to the
// followers and the state machine, so they are immutable and reference-counted.
using Payload = std::shared_ptr<const std::string>;

enum class EntryKind : uint8_t {
  kNoop = 0,        // opens a leader's term (thesis 6.4); empty payload
  kCommands = 1,    // a batch of commands; an empty batch only moves the log's clock
  kMembership = 2,  // who belongs to the group from here on: an encoded Membership (raft/codec.h)
  kHost = 3,        // what the host has to settle beside its commands; opaque to the core
};

struct Entry {
  Term term = 0;
  Index index = 0;
  // The leader's clock, microseconds since 1970, never smaller than that of the entry before it,
  // also across leaders. All that depends on time is decided by it.
  uint64_t time_us = 0;
  EntryKind kind = EntryKind::kNoop;
  Payload payload;  // null means empty

  size_t payload_size() const { return payload ? payload->size() : 0; }
  // What the entry counts for in every limit that is given in bytes.
  size_t bytes() const { return kEntryOverhead + payload_size(); }

  static constexpr size_t kEntryOverhead = 64;
};

// What must be on disk before a node answers for it (Figure 2, "persistent state"). The commit
// index is a hint only: it shortens the start, and may lag behind.
struct HardState {
  Term term = 0;
  NodeId vote = 0;
  Index commit = 0;

  friend bool operator==(const HardState&, const HardState&) = default;
};

// Who belongs to the group. Counts from the moment at which its entry is appended, committed or not
// (thesis 4.1), and rolls back when that entry is truncated.
struct Membership {
  std::vector<NodeId> voters;  // ascending, distinct, never empty in use
  // Not empty: joint consensus (thesis 4.3). These voters' configuration ends; until the entry that
  // leaves the joint phase is appended, every decision needs a majority of both sets.
  std::vector<NodeId> outgoing_voters;
  std::vector<NodeId> learners;  // get the log, count for nothing; disjoint from both sets above
  // What the host knows of each member (its addresses). Opaque to the core, but part of the entry,
  // so that all members agree on it. Has exactly the ids of the three sets.
  std::map<NodeId, std::string> contexts;

  bool joint() const { return !outgoing_voters.empty(); }
  friend bool operator==(const Membership&, const Membership&) = default;
};

// What a snapshot stands for: the state after the entry `index`.
struct SnapshotMeta {
  Index index = 0;  // 0: no snapshot
  Term term = 0;    // of that entry
  uint64_t time_us = 0;
  Membership membership;  // in force at that entry

  friend bool operator==(const SnapshotMeta&, const SnapshotMeta&) = default;
};

// --- messages ----------------------------------------------------------------------------------

// Asks for a vote, or (pre) whether a vote would be given (thesis 9.6). `Message::term` is the term
// the candidate campaigns for, also in a pre-vote, where it is not yet its own.
struct VoteRequest {
  bool pre = false;
  bool transfer = false;  // the leader itself asked for this election: overrides leader stickiness
  Index last_index = 0;
  Term last_term = 0;
};

// `Message::term` is the voter's own term on a refusal, so that a higher term always spreads; on a
// grant it is the term that was asked for.
struct VoteReply {
  bool pre = false;
  bool granted = false;
};

struct Append {
  Index prev_index = 0;
  Term prev_term = 0;
  Index commit = 0;
  std::vector<Entry> entries;
};

// Sent after the entries are durable. On success `match` is the last index known to agree with the
// leader's log. On a refusal `match` is 0, and the other fields say where to try next.
struct AppendReply {
  bool accepted = false;
  Index match = 0;
  Index rejected_prev = 0;  // the prev_index that did not fit: tells stale refusals from fresh ones
  Index hint_index = 0;  // the follower's last index whose term is at most the leader's prev_term
  Term hint_term = 0;    // that entry's term
};

// Carries no entries and needs no disk at the receiver, so its reply proves only that the receiver
// still followed this leader when it arrived: what reads, leases and check-quorum need.
struct Heartbeat {
  Index commit = 0;    // min(commit, match): the receiver surely has it
  uint64_t round = 0;  // numbers grow within a term
};

struct HeartbeatReply {
  uint64_t round = 0;
  // The end of the receiver's log, durable or not: lets the leader notice what was lost on the way.
  Index last_index = 0;
};

// Campaign at once, without pre-vote (thesis 3.10).
struct TimeoutNow {};

// A follower asks its leader from which index on it may answer the reads that it has registered so
// far (thesis 6.4). Numbers grow while the follower runs, and begin anew elsewhere when it
// restarts: an answer to a question that was asked before must not pass for a fresh one.
struct ReadRequest {
  uint64_t number = 0;
};

// Refused: the node that was asked does not lead; the reads are not granted.
struct ReadReply {
  uint64_t number = 0;
  Index index = 0;
  bool refused = false;
};

// What hosts say to each other beside consensus. Opaque; the core neither sends nor takes it.
struct HostNote {
  std::string bytes;
};

struct Message {
  NodeId from = 0;
  NodeId to = 0;
  Term term = 0;
  std::variant<VoteRequest, VoteReply, Append, AppendReply, Heartbeat, HeartbeatReply, TimeoutNow,
               ReadRequest, ReadReply, HostNote>
      body;
};

}  // namespace raftkv::raft
