// A message as bytes: the payload of a frame of the peer protocol. Framing, checksum and handshake
// are the transport's (server/peer); this is what stands inside a frame of type kRaft.
//
// All numbers are varints (seven bits a byte, the lowest first, the high bit says that more follow;
// the shortest form only), kinds and flags are single bytes:
//
//   message         from, to, term, kind, body
//   1 VoteRequest     flags (1 pre, 2 transfer), last_index, last_term
//   2 VoteReply       flags (1 pre, 2 granted)
//   3 Append          prev_index, prev_term, commit, number of entries, entries
//   4 AppendReply     flags (1 accepted), match, rejected_prev, hint_index, hint_term
//   5 Heartbeat       commit, round
//   6 HeartbeatReply  round, last_index
//   7 TimeoutNow      -
//   8 ReadRequest     number
//   9 ReadReply       flags (1 refused), number, index
//   10 HostNote       length, bytes
//   entry           term, index, time_us, kind (0 no-op, 1 commands, 2 membership, 3 host), payload
//                   length, payload
//   membership      flags (1 joint), number of voters, voters, if joint: number of outgoing voters
//                   and these, number of learners, learners, then for each member, in the order of
//                   the ids: length of its context, context
//   snapshot meta   index, term, time_us, flags (1 has a membership), membership
//
// decode() trusts nothing: lengths are checked against what is there before anything is allocated,
// unknown kinds, unknown flags and trailing bytes are errors. An empty payload comes back as null.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "raft/types.h"

namespace raftkv::raft {

// Appends the encoding of `message` to `out`.
void encode_message(const Message& message, std::string& out);

// The error says in words what is wrong with the bytes.
std::expected<Message, std::string> decode_message(std::string_view bytes);

// One entry as it stands in a message and in the log on disk: term, index, time, kind, payload.
void encode_entry(const Entry& entry, std::string& out);
// Takes one entry off the front of `bytes`.
std::expected<Entry, std::string> decode_entry(std::string_view& bytes);

// The payload of an entry of kind kMembership. The membership is sound (raft/membership.h): it has
// a voter, its sets are ascending and, but for the two of voters, disjoint, its contexts are
// exactly those of its members. Anything else is an error of decode_membership(), and a check here.
void encode_membership(const Membership& membership, std::string& out);
std::expected<Membership, std::string> decode_membership(std::string_view bytes);

// What a snapshot stands for, as it stands on disk and in the transfer. Its membership is sound or
// wholly empty (of a node that did not know its group yet).
void encode_snapshot_meta(const SnapshotMeta& meta, std::string& out);
std::expected<SnapshotMeta, std::string> decode_snapshot_meta(std::string_view bytes);

}  // namespace raftkv::raft
