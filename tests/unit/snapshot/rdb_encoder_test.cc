// The RDB writer: byte for byte where Redis's format leaves no choice, and read back by the reader.
#include "storage/snapshot/rdb_encoder.h"

#include <gtest/gtest.h>

#include <random>

#include "storage/snapshot/rdb_payload.h"
#include "tests/unit/snapshot/rdb_kit.h"

namespace raftkv::test {
namespace {

using data::Keyspace;
using storage::RdbBlock;
using storage::RdbEncoder;

TEST(Crc64, IsThatOfRedis) {
  EXPECT_EQ(storage::crc64(0, ""), 0u);
  EXPECT_EQ(storage::crc64(0, "123456789"), 0xe9c6d914c4b8d9caULL);
  EXPECT_EQ(storage::crc64(storage::crc64(0, "1234"), "56789"), 0xe9c6d914c4b8d9caULL);
  std::string all(70'000, '\0');
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<char>(i * 31 >> 3);
  uint64_t in_pieces = 0;
  for (size_t at = 0, size = 1; at < all.size(); at += size++) {
    in_pieces = storage::crc64(in_pieces, std::string_view(all).substr(at, size));
  }
  EXPECT_EQ(storage::crc64(0, all), in_pieces);
}

std::string field(std::string_view text) {
  RdbBlock block;
  RdbEncoder(block).string(text);
  return packed(block);
}

TEST(RdbEncoder, StringsHaveTheFormThatRedisGivesThem) {
  EXPECT_EQ(field(""), "\0"s);
  EXPECT_EQ(field("abc"), "\x03"s + "abc");
  EXPECT_EQ(field("127"), "\xc0\x7f");
  EXPECT_EQ(field("-128"), "\xc0\x80");
  EXPECT_EQ(field("128"), "\xc1\x80\x00"s);
  EXPECT_EQ(field("-32768"), "\xc1\x00\x80"s);
  EXPECT_EQ(field("32768"), "\xc2\x00\x80\x00\x00"s);
  EXPECT_EQ(field("2147483647"), "\xc2\xff\xff\xff\x7f");
  EXPECT_EQ(field("2147483648"),
            "\x0a"
            "2147483648");
  EXPECT_EQ(field("-2147483648"), "\xc2\x00\x00\x00\x80"s);
  for (const char* text : {"+1", "01", "-0", " 1", "1 ", "1.0", "-"}) {
    EXPECT_EQ(field(text), static_cast<char>(std::string_view(text).size()) + std::string(text));
  }
}

std::string noise(size_t size) {
  std::string bytes(size, '\0');
  std::mt19937_64 random(size);
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

TEST(RdbEncoder, LengthsTakeAsFewBytesAsTheyCan) {
  EXPECT_EQ(field(noise(63)).substr(0, 1), "\x3f");
  EXPECT_EQ(field(noise(64)).substr(0, 2), "\x40\x40");
  EXPECT_EQ(field(noise(16383)).substr(0, 2), "\x7f\xff");
  EXPECT_EQ(field(noise(16384)).substr(0, 5), "\x80\x00\x00\x40\x00"s);
}

TEST(RdbEncoder, WhatItWritesTheReaderReads) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 60; ++round) {
    Keyspace keyspace(static_cast<uint64_t>(round));
    RdbContents expected;
    for (uint64_t i = random() % 60; i > 0; --i) {
      std::string key = std::to_string(random() % 1000);
      if (random() % 2 == 0) key += std::string(random() % 80, 'k');
      std::string value;
      switch (random() % 5) {
        case 0:
          value = std::to_string(static_cast<int64_t>(random()) >> random() % 64);
          break;
        case 1:
          value = noise(random() % 100);
          break;
        case 2:
          value = noise(random() % 70'000);
          break;
        default:
          value = std::string(random() % 40'000, static_cast<char>(random()));
      }
      const int64_t expiry = random() % 3 == 0 ? static_cast<int64_t>(random() >> 20) : -1;
      keyspace.set_string(key, value, expiry);
      expected.keys[key] = {value, expiry};
    }
    RdbBlock block;
    RdbEncoder encoder(block);
    encoder.header();
    encoder.aux("name", "17");
    encoder.aux("long", std::string(1000, 'l'));
    encoder.database(0, keyspace.size(), keyspace.size_with_expiry());
    keyspace.for_each([&](const data::Entry& entry) { encoder.entry(entry); });
    encoder.end_mark();
    for (const bool compress : {true, false}) {
      const RdbContents contents = read_rdb(with_checksum(packed(block, compress)));
      ASSERT_EQ(contents.error, "");
      ASSERT_TRUE(contents.keys == expected.keys);
      ASSERT_EQ(contents.aux.at("name"), "17");
      ASSERT_EQ(contents.aux.at("long"), std::string(1000, 'l'));
    }
  }
}

TEST(RdbEncoder, AStringEntryIsWrittenLikeOneOfTheDataset) {
  Keyspace keyspace(1);
  for (const std::string& value : {"17"s, "text"s, std::string(100, 'l'), "12345678901234"s}) {
    keyspace.set_string("key", value, 99);
    data::Clock clock = data::Clock::at(1);
    RdbBlock of_dataset;
    RdbEncoder(of_dataset).entry(*keyspace.find("key", clock));
    RdbBlock of_strings;
    RdbEncoder(of_strings).string_entry("key", value, 99);
    EXPECT_EQ(packed(of_dataset), packed(of_strings));
  }
}

// --- DUMP --------------------------------------------------------------------------------------

std::string dump(const std::string& value) {
  Keyspace keyspace(1);
  keyspace.set_string("key", value);
  data::Clock clock = data::Clock::at(1);
  return storage::dump_value(*keyspace.find("key", clock));
}

TEST(RdbPayload, ADumpIsRestored) {
  for (const std::string& value : {""s, "a"s, "17"s, "-99999"s, std::to_string(INT64_MIN),
                                   std::string(100'000, 'x'), noise(300'000), noise(30)}) {
    const auto restored = storage::restore_string(dump(value));
    ASSERT_TRUE(restored.has_value()) << restored.error().text;
    EXPECT_TRUE(*restored == value);
  }
}

TEST(RdbPayload, IsTheSameEachTime) {
  for (const std::string& value : {std::string(1000, 'x'), noise(500) + noise(500)}) {
    const std::string first = dump(value);
    (void)dump(noise(5000));
    EXPECT_EQ(dump(value), first);
    EXPECT_GT(first.size(), value.size());
  }
}

TEST(RdbPayload, RestoresWhatRedisDumped) {
  // redis-server 7.0.15: SET k 10, DUMP k; and SET k hello.
  const auto number =
      storage::restore_string("\x00\xc0\x0a\x0a\x00\x6e\x9f\x57\x45\x0e\xae\x63\xbb"s);
  ASSERT_TRUE(number.has_value()) << number.error().text;
  EXPECT_EQ(*number, "10");
  const auto text = storage::restore_string("\x00\x05hello\x0a\x00"s + "cr\xdfve4 \x0a");
  ASSERT_TRUE(text.has_value()) << text.error().text;
  EXPECT_EQ(*text, "hello");
}

TEST(RdbPayload, DamageAndUnknownVersionsAreNoticed) {
  using Kind = storage::PayloadError::Kind;
  const std::string payload = dump("value");
  for (size_t size = 0; size < payload.size(); ++size) {
    const auto restored = storage::restore_string(payload.substr(0, size));
    ASSERT_FALSE(restored.has_value());
    EXPECT_EQ(restored.error().kind, Kind::kFooter);
  }
  for (size_t bit = 0; bit < 8 * payload.size(); ++bit) {
    std::string damaged = payload;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const auto restored = storage::restore_string(damaged);
    ASSERT_FALSE(restored.has_value());
    EXPECT_EQ(restored.error().kind, Kind::kFooter);
  }
  EXPECT_FALSE(storage::restore_string(with_checksum("\0\x01v\x0c\0"s)).has_value());  // version 12
  EXPECT_TRUE(storage::restore_string(with_checksum("\0\x01v\x0b\0"s)).has_value());
}

TEST(RdbPayload, AnythingButOneStringIsABadFormat) {
  using Kind = storage::PayloadError::Kind;
  for (const std::string& body :
       {""s, "\x01\x00"s, "\x12\x01\x01\x01x"s, "\x08\x01v"s, "\0\x05v"s, "\0\x01vv"s, "\0"s}) {
    const auto restored = storage::restore_string(with_checksum(body + "\x09\0"s));
    ASSERT_FALSE(restored.has_value());
    EXPECT_EQ(restored.error().kind, Kind::kFormat) << restored.error().text;
  }
  const auto list = storage::restore_string(with_checksum("\x12\x01\x01\x01x\x09\0"s));
  EXPECT_NE(list.error().text.find("a list"), std::string::npos) << list.error().text;
}

}  // namespace
}  // namespace raftkv::test
