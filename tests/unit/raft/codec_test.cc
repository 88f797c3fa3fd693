// Messages as bytes: there and back, cut off anywhere, and damaged.
#include "raft/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "raft/random.h"
#include "tests/unit/raft/host.h"

namespace raftkv::raft::test {
namespace {

using testing::HasSubstr;

std::vector<Message> one_of_each() {
  auto entries = entries_of({1, 1, 300}, 70'000);
  entries[1].kind = EntryKind::kNoop;
  entries[1].payload = nullptr;
  entries[2].payload = text(std::string(1000, '\0') + "\xff");
  entries[2].kind = EntryKind::kHost;
  const std::vector<decltype(Message::body)> bodies = {
      VoteRequest{.pre = true, .transfer = false, .last_index = 5, .last_term = 4},
      VoteRequest{.pre = false, .transfer = true, .last_index = UINT64_MAX, .last_term = 127},
      VoteReply{.pre = true, .granted = false},
      VoteReply{.pre = false, .granted = true},
      Append{.prev_index = 69'999, .prev_term = 1, .commit = 128, .entries = entries},
      Append{},
      AppendReply{.accepted = true, .match = 1ULL << 63},
      AppendReply{.accepted = false, .rejected_prev = 9, .hint_index = 8, .hint_term = 7},
      Heartbeat{.commit = 1, .round = 2},
      HeartbeatReply{.round = 3, .last_index = 4},
      TimeoutNow{},
      ReadRequest{.number = 1ULL << 50},
      ReadReply{.number = 77, .index = 88, .refused = false},
      ReadReply{.number = 79, .index = 0, .refused = true},
      HostNote{.bytes = std::string("\0\xff note", 7)},
      HostNote{},
  };
  std::vector<Message> messages;
  for (const auto& body : bodies) {
    messages.push_back({.from = 1, .to = 200, .term = 1ULL << 40, .body = body});
  }
  return messages;
}

std::string encoded(const Message& message) {
  std::string bytes;
  encode_message(message, bytes);
  return bytes;
}

bool same(const Entry& a, const Entry& b) {
  return a.term == b.term && a.index == b.index && a.time_us == b.time_us && a.kind == b.kind &&
         (a.payload ? *a.payload : "") == (b.payload ? *b.payload : "");
}

TEST(Codec, WhatIsEncodedComesBack) {
  for (const Message& message : one_of_each()) {
    const std::string bytes = encoded(message);
    const auto decoded = decode_message(bytes);
    ASSERT_TRUE(decoded) << decoded.error();
    EXPECT_EQ(decoded->from, message.from);
    EXPECT_EQ(decoded->to, message.to);
    EXPECT_EQ(decoded->term, message.term);
    EXPECT_EQ(decoded->body.index(), message.body.index());
    EXPECT_EQ(encoded(*decoded), bytes);
  }
}

TEST(Codec, EveryFieldArrivesInItsPlace) {
  const auto messages = one_of_each();
  const auto request = std::get<VoteRequest>(decode_message(encoded(messages[1]))->body);
  EXPECT_FALSE(request.pre);
  EXPECT_TRUE(request.transfer);
  EXPECT_EQ(request.last_index, UINT64_MAX);
  EXPECT_EQ(request.last_term, 127U);
  const auto append = std::get<Append>(decode_message(encoded(messages[4]))->body);
  EXPECT_EQ(append.prev_index, 69'999U);
  EXPECT_EQ(append.prev_term, 1U);
  EXPECT_EQ(append.commit, 128U);
  ASSERT_EQ(append.entries.size(), 3U);
  for (size_t i = 0; i < 3; i++) {
    EXPECT_TRUE(same(append.entries[i], std::get<Append>(messages[4].body).entries[i]));
  }
  const auto reply = std::get<AppendReply>(decode_message(encoded(messages[7]))->body);
  EXPECT_FALSE(reply.accepted);
  EXPECT_EQ(reply.rejected_prev, 9U);
  EXPECT_EQ(reply.hint_index, 8U);
  EXPECT_EQ(reply.hint_term, 7U);
  const auto heartbeat = std::get<Heartbeat>(decode_message(encoded(messages[8]))->body);
  EXPECT_EQ(heartbeat.commit, 1U);
  EXPECT_EQ(heartbeat.round, 2U);
  const auto read = std::get<ReadReply>(decode_message(encoded(messages[12]))->body);
  EXPECT_EQ(read.number, 77U);
  EXPECT_EQ(read.index, 88U);
  EXPECT_FALSE(read.refused);
  const auto note = std::get<HostNote>(decode_message(encoded(messages[14]))->body);
  EXPECT_EQ(note.bytes, std::string("\0\xff note", 7));
}

TEST(Codec, AMessageCutOffAnywhereIsAnError) {
  for (const Message& message : one_of_each()) {
    const std::string bytes = encoded(message);
    for (size_t size = 0; size < bytes.size(); size++) {
      const auto decoded = decode_message(std::string_view(bytes).substr(0, size));
      ASSERT_FALSE(decoded) << size << " of " << bytes.size();
      EXPECT_FALSE(decoded.error().empty());
    }
  }
}

TEST(Codec, BytesTooManyAreAnError) {
  for (const Message& message : one_of_each()) {
    EXPECT_THAT(decode_message(encoded(message) + "x").error(), HasSubstr("1 bytes too many"));
  }
}

TEST(Codec, UnknownKindsAndFlagsAreErrors) {
  const std::string head("\x01\x02\x03", 3);
  EXPECT_THAT(decode_message(head + '\x00').error(), HasSubstr("unknown kind of message"));
  EXPECT_THAT(decode_message(head + '\x0b').error(), HasSubstr("unknown kind of message"));
  EXPECT_THAT(decode_message(head + "\x02\x04").error(), HasSubstr("unknown flags"));
  EXPECT_THAT(decode_message(head + std::string("\x04\x02\0\0\0\0", 6)).error(),
              HasSubstr("unknown flags"));
  std::string_view entry("\x01\x01\x01\x04\x00", 5);
  EXPECT_THAT(decode_entry(entry).error(), HasSubstr("unknown kind of entry"));
}

TEST(Codec, ANumberHasOneEncoding) {
  const auto with_sender = [](const std::string& sender) {
    return decode_message(sender + std::string("\x02\x03\x07", 3));
  };
  EXPECT_TRUE(with_sender("\x7f"));
  EXPECT_EQ(with_sender(std::string(9, '\xff') + '\x01')->from, UINT64_MAX);
  EXPECT_THAT(with_sender(std::string("\x81\x00", 2)).error(), HasSubstr("needless bytes"));
  EXPECT_THAT(with_sender(std::string(9, '\xff') + '\x02').error(), HasSubstr("too large"));
  EXPECT_THAT(with_sender(std::string(10, '\xff') + '\x01').error(), HasSubstr("too large"));
}

TEST(Codec, AFalseNumberOfEntriesOrBytesAllocatesNothing) {
  const std::string huge = std::string(9, '\xff') + '\x01';
  const std::string append("\x01\x02\x03\x03\x00\x00\x00", 7);
  EXPECT_THAT(decode_message(append + huge).error(), HasSubstr("ends before its entries"));
  EXPECT_THAT(decode_message(append + huge + std::string(1000, '\x01')).error(),
              HasSubstr("ends before its entries"));
  EXPECT_THAT(decode_message(append + '\x01' + std::string("\x01\x01\x01\x01", 4) + huge).error(),
              HasSubstr("ends before an entry's payload"));
}

TEST(Codec, EntriesAreTakenOneAfterTheOther) {
  const auto entries = entries_of({1, 2, 2});
  std::string bytes;
  for (const Entry& entry : entries) encode_entry(entry, bytes);
  std::string_view rest = bytes;
  for (const Entry& entry : entries) {
    const auto decoded = decode_entry(rest);
    ASSERT_TRUE(decoded);
    EXPECT_TRUE(same(*decoded, entry));
  }
  EXPECT_TRUE(rest.empty());
  const std::string_view cut = std::string_view(bytes).substr(0, 3);
  std::string_view left = cut;
  EXPECT_FALSE(decode_entry(left));
  EXPECT_EQ(left, cut) << "after an error nothing is taken";
}

TEST(Codec, AnEmptyPayloadComesBackAsNone) {
  Entry entry{
      .term = 1, .index = 1, .time_us = 1, .kind = EntryKind::kCommands, .payload = text("")};
  std::string bytes;
  encode_entry(entry, bytes);
  std::string_view rest = bytes;
  EXPECT_EQ(decode_entry(rest)->payload, nullptr);
}

TEST(Codec, DamagedMessagesAreErrorsOrOtherMessagesButNeverWorse) {
  const auto messages = one_of_each();
  Random random(1);
  size_t errors = 0;
  for (int round = 0; round < 100'000; round++) {
    std::string bytes = encoded(messages[random.below(messages.size())]);
    for (uint64_t i = 0; i <= random.below(4); i++) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    }
    if (random.below(4) == 0) bytes.resize(random.below(bytes.size() + 1));
    const auto decoded = decode_message(bytes);
    if (!decoded) {
      errors++;
    } else {
      // The encoding is canonical: what can be read is written back the same.
      ASSERT_EQ(encoded(*decoded), bytes);
    }
  }
  EXPECT_GT(errors, 1000U);
}

TEST(Codec, RandomBytesAreNoMessages) {
  Random random(2);
  for (int round = 0; round < 50'000; round++) {
    std::string bytes(random.below(64), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.next());
    if (const auto decoded = decode_message(bytes)) {
      ASSERT_EQ(encoded(*decoded), bytes);
    }
  }
}

}  // namespace
}  // namespace raftkv::raft::test
