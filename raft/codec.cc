#include "raft/codec.h"

#include "raft/wire.h"

namespace raftkv::raft {
namespace {

// The kinds of message on the wire. Numbers are never used again for something else.
enum class Kind : uint8_t {
  kVoteRequest = 1,
  kVoteReply = 2,
  kAppend = 3,
  kAppendReply = 4,
  kHeartbeat = 5,
  kHeartbeatReply = 6,
  kTimeoutNow = 7,
  kReadRequest = 8,
  kReadReply = 9,
  kHostNote = 10,
};

// term, index, time, kind and length take at least one byte each.
constexpr size_t kEntryBytesMin = 5;

// --- bodies ------------------------------------------------------------------------------------

void put_body(const VoteRequest& body, std::string& out) {
  put_byte(out, static_cast<uint8_t>(Kind::kVoteRequest));
  put_flags(out, body.pre, body.transfer);
  put_varint(out, body.last_index);
  put_varint(out, body.last_term);
}

void put_body(const VoteReply& body, std::string& out) {
  put_byte(out, static_cast<uint8_t>(Kind::kVoteReply));
  put_flags(out, body.pre, body.granted);
}

void put_body(const Append& body, std::string& out) {
  put_byte(out, static_cast<uint8_t>(Kind::kAppend));
  put_varint(out, body.prev_index);
  put_varint(out, body.prev_term);
  put_varint(out, body.commit);
  put_varint(out, body.entries.size());
  for (const Entry& entry : body.entries) encode_entry(entry, out);
}

void put_body(const AppendReply& body, std::string& out) {
  put_byte(out, static_cast<uint8_t>(Kind::kAppendReply));
  put_flags(out, body.accepted, false);
  put_varint(out, body.match);
  put_varint(out, body.rejected_prev);
  put_varint(out, body.hint_index);
  put_varint(out, body.hint_term);
}

void put_body(const Heartbeat& body, std::string& out) {
  put_byte(out, static_cast<uint8_t>(Kind::kHeartbeat));
  put_varint(out, body.commit);
  put_varint(out, body.round);
}

void put_body(const HeartbeatReply& body, std::string& out) {
  put_byte(out, static_cast<uint8_t>(Kind::kHeartbeatReply));
  put_varint(out, body.round);
  put_varint(out, body.last_index);
}

void put_body(const TimeoutNow& /*body*/, std::string& out) {
  put_byte(out, static_cast<uint8_t>(Kind::kTimeoutNow));
}

void put_body(const ReadRequest& body, std::string& out) {
  put_byte(out, static_cast<uint8_t>(Kind::kReadRequest));
  put_varint(out, body.number);
}

void put_body(const ReadReply& body, std::string& out) {
  put_byte(out, static_cast<uint8_t>(Kind::kReadReply));
  put_flags(out, body.refused, false);
  put_varint(out, body.number);
  put_varint(out, body.index);
}

void put_body(const HostNote& body, std::string& out) {
  put_byte(out, static_cast<uint8_t>(Kind::kHostNote));
  put_varint(out, body.bytes.size());
  out.append(body.bytes);
}

Entry take_entry(Source& in) {
  Entry entry;
  entry.term = in.varint("an entry's term");
  entry.index = in.varint("an entry's index");
  entry.time_us = in.varint("an entry's time");
  const uint8_t kind = in.byte("an entry's kind");
  if (kind > static_cast<uint8_t>(EntryKind::kHost)) in.fail("unknown kind of ", "entry");
  entry.kind = static_cast<EntryKind>(kind);
  const uint64_t size = in.varint("an entry's length");
  const std::string_view payload = in.take(size, "an entry's payload");
  if (!in.failed() && !payload.empty()) {
    entry.payload = std::make_shared<const std::string>(payload);
  }
  return entry;
}

VoteRequest take_vote_request(Source& in) {
  VoteRequest body;
  const uint8_t flags = in.flags(2, "a vote request's flags");
  body.pre = (flags & 1) != 0;
  body.transfer = (flags & 2) != 0;
  body.last_index = in.varint("the last index");
  body.last_term = in.varint("the last term");
  return body;
}

VoteReply take_vote_reply(Source& in) {
  const uint8_t flags = in.flags(2, "a vote reply's flags");
  return {.pre = (flags & 1) != 0, .granted = (flags & 2) != 0};
}

Append take_append(Source& in) {
  Append body;
  body.prev_index = in.varint("the previous index");
  body.prev_term = in.varint("the previous term");
  body.commit = in.varint("the commit index");
  const uint64_t count = in.varint("the number of entries");
  // A false count must not make us allocate more than what so many bytes can hold.
  if (count > in.rest().size() / kEntryBytesMin) in.fail("ends before ", "its entries");
  if (in.failed()) return body;
  body.entries.reserve(count);
  for (uint64_t i = 0; i < count && !in.failed(); i++) body.entries.push_back(take_entry(in));
  return body;
}

AppendReply take_append_reply(Source& in) {
  AppendReply body;
  body.accepted = in.flags(1, "an append reply's flags") != 0;
  body.match = in.varint("the match index");
  body.rejected_prev = in.varint("the rejected index");
  body.hint_index = in.varint("the hinted index");
  body.hint_term = in.varint("the hinted term");
  return body;
}

Heartbeat take_heartbeat(Source& in) {
  Heartbeat body;
  body.commit = in.varint("the commit index");
  body.round = in.varint("the round");
  return body;
}

HeartbeatReply take_heartbeat_reply(Source& in) {
  HeartbeatReply body;
  body.round = in.varint("the round");
  body.last_index = in.varint("the last index");
  return body;
}

ReadReply take_read_reply(Source& in) {
  ReadReply body;
  body.refused = in.flags(1, "a read reply's flags") != 0;
  body.number = in.varint("the read's number");
  body.index = in.varint("the read index");
  return body;
}

void take_body(Kind kind, Source& in, Message& message) {
  switch (kind) {
    case Kind::kVoteRequest:
      message.body = take_vote_request(in);
      return;
    case Kind::kVoteReply:
      message.body = take_vote_reply(in);
      return;
    case Kind::kAppend:
      message.body = take_append(in);
      return;
    case Kind::kAppendReply:
      message.body = take_append_reply(in);
      return;
    case Kind::kHeartbeat:
      message.body = take_heartbeat(in);
      return;
    case Kind::kHeartbeatReply:
      message.body = take_heartbeat_reply(in);
      return;
    case Kind::kTimeoutNow:
      message.body = TimeoutNow{};
      return;
    case Kind::kReadRequest:
      message.body = ReadRequest{.number = in.varint("the read's number")};
      return;
    case Kind::kReadReply:
      message.body = take_read_reply(in);
      return;
    case Kind::kHostNote: {
      const uint64_t size = in.varint("a note's length");
      message.body = HostNote{.bytes = std::string(in.take(size, "a note"))};
      return;
    }
  }
  in.fail("unknown kind of ", "message");
}

}  // namespace

void encode_message(const Message& message, std::string& out) {
  put_varint(out, message.from);
  put_varint(out, message.to);
  put_varint(out, message.term);
  std::visit([&](const auto& body) { put_body(body, out); }, message.body);
}

std::expected<Message, std::string> decode_message(std::string_view bytes) {
  Source in(bytes);
  Message message;
  message.from = in.varint("the sender");
  message.to = in.varint("the receiver");
  message.term = in.varint("the term");
  const uint8_t kind = in.byte("the kind of message");
  if (!in.failed()) take_body(static_cast<Kind>(kind), in, message);
  if (in.failed()) return std::unexpected(in.error());
  if (!in.rest().empty()) {
    return std::unexpected(std::to_string(in.rest().size()) + " bytes too many");
  }
  return message;
}

void encode_entry(const Entry& entry, std::string& out) {
  put_varint(out, entry.term);
  put_varint(out, entry.index);
  put_varint(out, entry.time_us);
  put_byte(out, static_cast<uint8_t>(entry.kind));
  put_varint(out, entry.payload_size());
  if (entry.payload) out.append(*entry.payload);
}

std::expected<Entry, std::string> decode_entry(std::string_view& bytes) {
  Source in(bytes);
  Entry entry = take_entry(in);
  if (in.failed()) return std::unexpected(in.error());
  bytes = in.rest();
  return entry;
}

}  // namespace raftkv::raft
