// The peer codec on arbitrary bytes: decoding never reads beyond them, and what decodes is encoded
// again into bytes that mean the same. Entries as they stand on disk are read by the same code.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "raft/codec.h"
#include "raft/membership.h"
#include "tests/fuzz/seeds.h"

namespace {

using namespace raftkv::raft;  // NOLINT(google-build-using-namespace): a program of one file
using raftkv::fuzz::require;

std::string encoded(const Message& message) {
  std::string bytes;
  encode_message(message, bytes);
  return bytes;
}

// Encoding is a function of the message alone, so equal encodings mean equal messages, and one
// round through them must change nothing.
void check_message(std::string_view bytes) {
  const auto message = decode_message(bytes);
  if (!message) {
    require(!message.error().empty(), "a refusal says what is wrong");
    return;
  }
  const std::string first = encoded(*message);
  const auto again = decode_message(first);
  require(again.has_value(), "what was encoded can be decoded");
  require(encoded(*again) == first, "a message survives encoding and decoding");
}

void check_entries(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t before = bytes.size();
    const auto entry = decode_entry(bytes);
    if (!entry) {
      require(!entry.error().empty(), "a refusal says what is wrong");
      return;
    }
    require(bytes.size() < before, "an entry takes its bytes off the front");
    std::string first;
    encode_entry(*entry, first);
    std::string_view rest = first;
    const auto again = decode_entry(rest);
    require(again.has_value() && rest.empty(), "what was encoded can be decoded, to its last byte");
    std::string second;
    encode_entry(*again, second);
    require(second == first, "an entry survives encoding and decoding");
  }
}

void check_membership(std::string_view bytes) {
  if (const auto membership = decode_membership(bytes)) {
    require(membership_fault(*membership).empty(), "only sound memberships are decoded");
    std::string again;
    encode_membership(*membership, again);
    require(again == bytes, "a membership has one encoding");
  }
  if (const auto meta = decode_snapshot_meta(bytes)) {
    std::string again;
    encode_snapshot_meta(*meta, again);
    require(again == bytes, "what a snapshot stands for has one encoding");
  }
}

Entry entry(Index index, EntryKind kind, std::string payload) {
  return {.term = 7,
          .index = index,
          .time_us = 1'700'000'000'000'000,
          .kind = kind,
          .payload =
              payload.empty() ? nullptr : std::make_shared<const std::string>(std::move(payload))};
}

std::vector<std::string> seeds() {
  std::vector<std::string> out;
  const auto add = [&out](auto body) {
    out.push_back(encoded({.from = 1, .to = 2, .term = 7, .body = std::move(body)}));
  };
  add(VoteRequest{.pre = true, .transfer = false, .last_index = 300, .last_term = 6});
  add(VoteReply{.pre = false, .granted = true});
  add(Append{.prev_index = 41, .prev_term = 6, .commit = 40, .entries = {}});
  add(Append{.prev_index = 41,
             .prev_term = 6,
             .commit = 40,
             .entries = {entry(42, EntryKind::kNoop, ""),
                         entry(43, EntryKind::kCommands, std::string(200, 'x'))}});
  add(AppendReply{.accepted = true, .match = 43});
  add(AppendReply{.accepted = false, .rejected_prev = 41, .hint_index = 30, .hint_term = 5});
  add(Heartbeat{.commit = 43, .round = 1'000'000});
  add(HeartbeatReply{.round = 1'000'000, .last_index = 43});
  add(TimeoutNow{});
  add(ReadRequest{.number = 1'000'000});
  add(ReadReply{.number = 1'000'000, .index = 43, .refused = false});
  add(HostNote{.bytes = "a note"});
  Membership joint{
      .voters = {1, 2, 4}, .outgoing_voters = {1, 2, 3}, .learners = {9}, .contexts = {}};
  for (NodeId id : {1, 2, 3, 4, 9}) joint.contexts[id] = "127.0.0.1:7000";
  std::string members;
  encode_membership(joint, members);
  out.push_back(members);
  std::string meta;
  encode_snapshot_meta({.index = 300, .term = 7, .time_us = 1'700'000, .membership = joint}, meta);
  out.push_back(meta);
  add(Append{.prev_index = 41,
             .prev_term = 6,
             .commit = 40,
             .entries = {entry(42, EntryKind::kMembership, members)}});
  std::string bytes;
  encode_entry(entry(42, EntryKind::kCommands, "payload"), bytes);
  encode_entry(entry(43, EntryKind::kNoop, ""), bytes);
  encode_entry(entry(44, EntryKind::kHost, "settled"), bytes);
  out.push_back(bytes);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  raftkv::fuzz::write_seeds_if_asked(*argc, *argv, seeds());
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A heap copy of the exact size: the sanitizer then sees every byte read too far.
  const std::vector<char> copy(data, data + size);
  const std::string_view bytes(copy.data(), copy.size());
  check_message(bytes);
  check_entries(bytes);
  check_membership(bytes);
  return 0;
}
