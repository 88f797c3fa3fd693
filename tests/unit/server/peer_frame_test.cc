#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "server/peer/frame.h"

namespace raftkv::server {
namespace {

constexpr size_t kLimit = 1 << 20;

void give(FrameReader& reader, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::span<char> space = reader.space();
    const size_t count = std::min(space.size(), bytes.size());
    std::memcpy(space.data(), bytes.data(), count);
    reader.received(count);
    bytes.remove_prefix(count);
  }
}

std::string frame(FrameType type, std::string_view payload) {
  std::string out;
  append_frame(out, type, payload);
  return out;
}

// The error that `bytes` end in, or "" if they only lack more.
std::string error_of(std::string_view bytes, size_t limit = kLimit) {
  FrameReader reader(limit);
  give(reader, bytes);
  for (;;) {
    const auto next = reader.next();
    if (!next) return next.error();
    if (!*next) return "";
  }
}

TEST(Frame, IsReadBackAtEverySplitPoint) {
  const std::string stream = frame(FrameType::kHello, "hello") + frame(FrameType::kPing, "") +
                             frame(FrameType::kRaft, std::string(300, 'r'));
  for (size_t split = 0; split <= stream.size(); ++split) {
    FrameReader reader(kLimit);
    std::vector<std::pair<FrameType, std::string>> frames;
    for (const std::string_view part :
         {std::string_view(stream).substr(0, split), std::string_view(stream).substr(split)}) {
      give(reader, part);
      for (;;) {
        const auto next = reader.next();
        ASSERT_TRUE(next) << next.error();
        if (!*next) break;
        frames.emplace_back((*next)->type, (*next)->payload);
      }
    }
    ASSERT_EQ(frames.size(), 3u) << "split at " << split;
    EXPECT_EQ(frames[0], std::make_pair(FrameType::kHello, std::string("hello")));
    EXPECT_EQ(frames[1], std::make_pair(FrameType::kPing, std::string()));
    EXPECT_EQ(frames[2], std::make_pair(FrameType::kRaft, std::string(300, 'r')));
  }
}

TEST(Frame, IsReadBackByteByByte) {
  const std::string stream = frame(FrameType::kRaft, std::string(1000, 'x'));
  FrameReader reader(kLimit);
  for (size_t i = 0; i < stream.size(); ++i) {
    const auto early = reader.next();
    ASSERT_TRUE(early);
    ASSERT_FALSE(*early) << "complete after " << i << " bytes";
    give(reader, std::string_view(stream).substr(i, 1));
  }
  const auto next = reader.next();
  ASSERT_TRUE(next && *next);
  EXPECT_EQ((*next)->payload, std::string(1000, 'x'));
}

TEST(Frame, EveryFlippedBitIsNoticedOrWaitsForMore) {
  const std::string good = frame(FrameType::kRaft, "the payload of a message");
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    FrameReader reader(kLimit);
    give(reader, bad);
    const auto next = reader.next();
    // A larger length waits for bytes that never come; everything else is an error at once.
    EXPECT_TRUE(!next || !*next) << "bit " << bit << " went unnoticed";
    if (bit >= 32) {
      EXPECT_FALSE(next) << "bit " << bit;
    }
  }
}

TEST(Frame, ALengthBeyondTheLimitIsRefusedBeforeItsPayload) {
  const std::string whole = frame(FrameType::kRaft, std::string(101, 'x'));
  EXPECT_EQ(error_of(whole.substr(0, kFrameHeaderBytes), 100),
            "a frame of 101 bytes, more than the 100 allowed");
  EXPECT_EQ(error_of(frame(FrameType::kRaft, std::string(100, 'x')), 100), "");
}

TEST(Frame, AClaimedLengthCostsNoMemoryBeforeTheBytesArrive) {
  std::string header = frame(FrameType::kRaft, "");
  const uint32_t claimed = 1u << 30;
  std::memcpy(header.data(), &claimed, sizeof claimed);
  FrameReader reader(size_t{1} << 31);
  give(reader, header);
  const auto next = reader.next();
  ASSERT_TRUE(next);
  EXPECT_FALSE(*next);
  EXPECT_LE(reader.space().size(), size_t{128} << 10);
}

TEST(Frame, UnknownTypesAndVersionsAreNamed) {
  std::string other = frame(FrameType::kRaft, "x");
  other[4] = 99;
  EXPECT_EQ(error_of(other), "unknown frame type 99");
  other = frame(FrameType::kRaft, "x");
  other[5] = 7;
  EXPECT_EQ(error_of(other), "unknown frame version 7 (this node speaks 1)");
  other = frame(FrameType::kRaft, "x");
  other[6] = 1;
  EXPECT_EQ(error_of(other), "reserved bytes of a frame header are not zero");
}

TEST(Frame, AnotherProtocolIsRefusedAfterItsFirstBytes) {
  EXPECT_NE(error_of("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "");
  EXPECT_NE(error_of("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n"), "");
  EXPECT_NE(error_of(std::string(64, '\0')), "");
}

// Damaged streams end in an error or wait for more; a frame that is delivered is one that was sent.
TEST(Frame, MutatedStreamsDeliverOnlyWhatWasSent) {
  std::mt19937_64 random(20240607);
  const auto below = [&](size_t bound) { return static_cast<size_t>(random() % bound); };
  for (int round = 0; round < 20'000; ++round) {
    std::string stream;
    std::vector<std::string> sent;
    for (size_t i = 0; i < 1 + below(4); ++i) {
      sent.emplace_back(below(200), static_cast<char>('a' + below(26)));
      append_frame(stream, FrameType::kRaft, sent.back());
    }
    for (size_t i = 0; i < 1 + below(3) && !stream.empty(); ++i) {
      switch (below(3)) {
        case 0:
          stream[below(stream.size())] = static_cast<char>(random());
          break;
        case 1:
          stream.erase(below(stream.size()), 1 + below(8));
          break;
        default:
          stream.insert(below(stream.size() + 1), 1 + below(8), static_cast<char>(random()));
      }
    }
    FrameReader reader(256);
    size_t delivered = 0;
    std::string_view rest(stream);
    bool broken = false;
    while (!rest.empty() && !broken) {
      const size_t part = 1 + below(rest.size());
      give(reader, rest.substr(0, part));
      rest.remove_prefix(part);
      for (;;) {
        const auto next = reader.next();
        if (!next) {
          EXPECT_FALSE(next.error().empty());
          broken = true;
          break;
        }
        if (!*next) break;
        ASSERT_LT(delivered, sent.size());
        ASSERT_EQ((*next)->payload, sent[delivered]) << "round " << round;
        ++delivered;
      }
    }
  }
}

}  // namespace
}  // namespace raftkv::server
