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
//   entry           term, index, time_us, kind (0 no-op, 1 commands), payload length, payload
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

}  // namespace raftkv::raft
