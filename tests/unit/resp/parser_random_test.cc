// Random and mutated streams: what the parser says may not depend on where the stream is cut, and a
// stream that a client wrote comes back as it was written.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "resp/request_parser.h"
#include "tests/unit/resp/parse_stream.h"

namespace raftkv::resp {
namespace {

// Small limits, so that short streams meet every one of them.
constexpr ParserLimits kSmall = {
    .inline_bytes_max = 24, .args_max = 6, .bulk_bytes_max = 40, .request_bytes_max = 120};

class RandomStreams {
 public:
  explicit RandomStreams(uint64_t seed) : random_(seed) {}

  size_t below(size_t bound) {
    return std::uniform_int_distribution<size_t>(0, bound - 1)(random_);
  }

  std::string bytes(size_t size) {
    std::string out(size, '\0');
    for (char& c : out) c = static_cast<char>(below(256));
    return out;
  }

  Request request() {
    Request out(1 + below(5));
    for (auto& arg : out) arg = bytes(below(30));
    return out;
  }

  // Bytes that mean something to the parser are much likelier than others.
  std::string noise(size_t size) {
    static constexpr std::string_view kMeaning = "**$$\r\n\r\n\r\n0123456789-\"'\\x a";
    std::string out(size, '\0');
    for (char& c : out) {
      c = below(10) == 0 ? static_cast<char>(below(256)) : kMeaning[below(kMeaning.size())];
    }
    return out;
  }

  void mutate(std::string& stream) {
    for (size_t edits = 1 + below(4); edits > 0 && !stream.empty(); --edits) {
      const size_t at = below(stream.size());
      switch (below(4)) {
        case 0:
          stream[at] = noise(1)[0];
          break;
        case 1:
          stream.erase(at, 1 + below(3));
          break;
        case 2:
          stream.insert(at, noise(1 + below(3)));
          break;
        default:
          stream.insert(at, stream.substr(below(stream.size()), below(12)));
          break;
      }
    }
  }

  Parsed parse_cut_at_random(std::string_view stream, ParserLimits limits) {
    StreamReader reader(limits);
    while (!stream.empty()) {
      const size_t size = std::min(stream.size(), 1 + below(9));
      reader.feed(stream.substr(0, size));
      stream.remove_prefix(size);
    }
    return reader.parsed();
  }

 private:
  std::mt19937_64 random_;
};

// Leftover bytes count only without an error: how much is kept behind one depends on what arrived.
void expect_same(const Parsed& cut, const Parsed& whole, const std::string& stream) {
  ASSERT_EQ(cut.requests, whole.requests) << ::testing::PrintToString(stream);
  ASSERT_EQ(cut.error, whole.error) << ::testing::PrintToString(stream);
  if (whole.error.empty()) {
    ASSERT_EQ(cut.leftover, whole.leftover) << ::testing::PrintToString(stream);
  }
}

TEST(ParserRandom, WhatAClientWritesComesBackHoweverItIsCut) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    RandomStreams random(seed);
    std::vector<Request> written;
    std::string stream;
    for (size_t count = random.below(20); count > 0; --count) {
      written.push_back(random.request());
      stream += multibulk(written.back());
      if (random.below(5) == 0) stream += "*0\r\n\r\n";
    }
    const Parsed parsed = random.parse_cut_at_random(stream, {});
    ASSERT_EQ(parsed.requests, written) << "seed " << seed;
    ASSERT_EQ(parsed.error, "");
  }
}

TEST(ParserRandom, NoiseSaysTheSameHoweverItIsCut) {
  size_t requests = 0;
  size_t errors = 0;
  for (uint64_t seed = 1; seed <= 20'000; ++seed) {
    RandomStreams random(seed);
    const std::string stream = random.noise(random.below(80));
    const Parsed whole = parse_whole(stream, kSmall);
    expect_same(random.parse_cut_at_random(stream, kSmall), whole, stream);
    expect_same(parse_bytewise(stream, kSmall), whole, stream);
    requests += whole.requests.size();
    errors += whole.error.empty() ? 0 : 1;
  }
  EXPECT_GT(requests, 1000U) << "the noise no longer reaches the good paths";
  EXPECT_GT(errors, 1000U) << "the noise no longer reaches the errors";
}

TEST(ParserRandom, MutatedRequestsSayTheSameHoweverTheyAreCut) {
  size_t whole_streams = 0;
  for (uint64_t seed = 1; seed <= 20'000; ++seed) {
    RandomStreams random(seed);
    std::string stream;
    for (size_t count = 1 + random.below(4); count > 0; --count)
      stream += multibulk(random.request());
    random.mutate(stream);
    const Parsed whole = parse_whole(stream, kSmall);
    expect_same(random.parse_cut_at_random(stream, kSmall), whole, stream);
    whole_streams += whole.error.empty() ? 1 : 0;
  }
  EXPECT_GT(whole_streams, 1000U) << "mutations no longer leave anything intact";
}

}  // namespace
}  // namespace raftkv::resp
