// A message as bytes: the payload of a frame of the peer protocol. Framing, checksum and handshake
// are the transport's (server/peer); this is what stands inside a frame of type kRaft.
//
// All integers are little-endian or varint; the layout is in docs/design.md. decode() trusts
// nothing: lengths are checked against what is there, unknown kinds and trailing bytes are errors.
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
