// What the RDB reader understands, and what it refuses, and how.
#include "storage/snapshot/rdb_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/unit/snapshot/rdb_kit.h"

namespace raftkv::test {
namespace {

using storage::ByteSource;
using testing::HasSubstr;

// "\xfa" and the like are followed by letters that would belong to the escape: so they are apart.
std::string text(const std::string& bytes) {
  return static_cast<char>(bytes.size()) + bytes;
}
std::string string_key(const std::string& key, const std::string& value_field) {
  return "\0"s + text(key) + value_field;
}

std::string value_of(const std::string& value_field) {
  const RdbContents contents = read_rdb(rdb_file(string_key("k", value_field)));
  return contents.error.empty() ? contents.keys.at("k").first : "-" + contents.error;
}

std::string error_of(const std::string& records) {
  return read_rdb(rdb_file(records)).error;
}

// --- what it understands -----------------------------------------------------------------------

TEST(RdbReader, ReadsAFileThatRedisWrote) {
  // Of redis-server 7.0.15, after SET a 1, SET b hello PXAT 4102444800000, SET c aaa...
  const std::string file =
      "REDIS0010\xfa\x09redis-ver\x06"s + "7.0.15\xfa\x0aredis-bits\xc0@\xfa\x05" +
      "ctime\xc2\xbc(\x06k\xfa\x08used-mem\xc2xv\x0f\x00\xfa\x08"s + "aof-base\xc0\x00\xfe\x00"s +
      "\xfb\x03\x01\xfc\x00\xd8\xc3,\xbb\x03\x00\x00\x00\x01"s + "b\x05hello\x00\x01"s +
      "c\xc3\x09\x1e\x01" + "aa\xe0\x11\x00\x01"s + "aa\x00\x01"s +
      "a\xc0\x01\xff\xb6\xcd\xf9P\x9f.t\x0e";
  const RdbContents contents = read_rdb(file);
  EXPECT_EQ(contents.error, "");
  EXPECT_EQ(contents.aux.at("redis-ver"), "7.0.15");
  EXPECT_EQ(contents.aux.at("redis-bits"), "64");
  EXPECT_EQ(contents.keys.at("a"), std::make_pair("1"s, int64_t{-1}));
  EXPECT_EQ(contents.keys.at("b"), std::make_pair("hello"s, int64_t{4102444800000}));
  EXPECT_EQ(contents.keys.at("c"), std::make_pair(std::string(30, 'a'), int64_t{-1}));
}

TEST(RdbReader, KnowsEveryFormOfAString) {
  EXPECT_EQ(value_of("\x00"s), "");
  EXPECT_EQ(value_of("\x03"s + "a\0b"s), "a\0b"s);
  EXPECT_EQ(value_of("\x40\x03"s + "abc"), "abc");
  EXPECT_EQ(value_of("\x41\x00"s + std::string(256, 'x')), std::string(256, 'x'));
  EXPECT_EQ(value_of("\x80\x00\x00\x00\x03"s + "abc"), "abc");
  EXPECT_EQ(value_of("\x81\x00\x00\x00\x00\x00\x00\x00\x03"s + "abc"), "abc");
  EXPECT_EQ(value_of("\xc0\x7f"s), "127");
  EXPECT_EQ(value_of("\xc0\x80"s), "-128");
  EXPECT_EQ(value_of("\xc1\x00\x80"s), "-32768");
  EXPECT_EQ(value_of("\xc1\xe8\x03"s), "1000");
  EXPECT_EQ(value_of("\xc2\xff\xff\xff\x7f"s), "2147483647");
  EXPECT_EQ(value_of("\xc2\x00\x00\x00\x80"s), "-2147483648");
  // LZF: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" as one literal and one back reference.
  EXPECT_EQ(value_of("\xc3\x05\x1e\x00"s + "a\xe0\x14\x00"s), std::string(30, 'a'));
}

TEST(RdbReader, KeysHaveTheSameForms) {
  const RdbContents contents =
      read_rdb(rdb_file("\0\xc0\x05\x01v\0\xc3\x05\x1e\x00"s + "a\xe0\x14\x00\x01w"s));
  EXPECT_EQ(contents.error, "");
  EXPECT_EQ(contents.keys.at("5").first, "v");
  EXPECT_EQ(contents.keys.at(std::string(30, 'a')).first, "w");
}

TEST(RdbReader, StringsLongerThanItsBufferComeWhole) {
  for (const size_t size : {size_t{1} << 18, (size_t{1} << 18) + 1, size_t{9} << 20}) {
    std::string value(size, '\0');
    std::mt19937_64 random(size);
    for (char& c : value) c = static_cast<char>(random());
    std::string field = "\x80"s;
    for (int i = 3; i >= 0; --i) field += static_cast<char>(size >> (8 * i));
    EXPECT_TRUE(value_of(field + value) == value) << size;
    const RdbContents contents = read_rdb(rdb_file("\0"s + field + value + "\x01v"));
    EXPECT_EQ(contents.error, "");
    EXPECT_TRUE(contents.keys.contains(value)) << size;
  }
}

TEST(RdbReader, DeadlinesAndHowKeysWereUsedStandBeforeAKeyAndForNoOther) {
  const RdbContents contents = read_rdb(rdb_file(
      "\xfd\xe8\x03\x00\x00"s + string_key("s", "\x01v") + "\xfc\xd0\x07\x00\x00\x00\x00\x00\x00"s +
      "\xf9\x05" + string_key("lfu", "\x01v") + "\xf8\x41\x00"s + string_key("lru", "\x01v")));
  EXPECT_EQ(contents.error, "");
  EXPECT_EQ(contents.keys.at("s").second, 1'000'000);
  EXPECT_EQ(contents.keys.at("lfu").second, 2000);
  EXPECT_EQ(contents.keys.at("lru").second, -1);
}

TEST(RdbReader, ReadsEveryVersionUpToRedis72) {
  for (int version = 1; version <= 11; ++version) {
    char digits[5];
    std::snprintf(digits, sizeof(digits), "%04d", version);
    std::string file = rdb_file("\xfe\x00"s + string_key("k", "\x01v"), digits);
    if (version < 5) file.resize(file.size() - 8);
    EXPECT_EQ(read_rdb(file).error, "") << version;
  }
  EXPECT_THAT(read_rdb(rdb_file("", "0012")).error, HasSubstr("version 12"));
  EXPECT_THAT(read_rdb(rdb_file("", "0000")).error, HasSubstr("version 0"));
  EXPECT_THAT(read_rdb(rdb_file("", "00x9")).error, HasSubstr("four digits"));
}

TEST(RdbReader, AnEmptyDatabaseBesideTheFirstIsFine) {
  const RdbContents contents = read_rdb(
      rdb_file("\xfe\x00\xfb\x01\x00"s + string_key("k", "\x01v") + "\xfe\x03\xfb\x00\x00"s));
  EXPECT_EQ(contents.error, "");
  EXPECT_EQ(contents.keys.size(), 1u);
}

TEST(RdbReader, TellsHowManyKeysAreAnnounced) {
  const std::string file = rdb_file("\xfe\x00\xfb\x41\x00\x07"s);
  storage::ViewSource source(file);
  storage::RdbReader reader(source);
  ASSERT_EQ(reader.next(), storage::RdbReader::Item::kResize);
  EXPECT_EQ(reader.keys_announced(), 256u);
  EXPECT_EQ(reader.keys_with_expiry_announced(), 7u);
  ASSERT_EQ(reader.next(), storage::RdbReader::Item::kEnd);
  ASSERT_EQ(reader.next(), storage::RdbReader::Item::kEnd);
}

// --- what it refuses ---------------------------------------------------------------------------

TEST(RdbReader, AKeyOfAnotherTypeIsNamed) {
  const std::pair<char, const char*> types[] = {
      {1, "list"},         {2, "set"},          {3, "zset"},    {4, "hash"},    {5, "zset"},
      {6, "module value"}, {7, "module value"}, {9, "hash"},    {10, "list"},   {11, "set"},
      {12, "zset"},        {13, "hash"},        {14, "list"},   {15, "stream"}, {16, "hash"},
      {17, "zset"},        {18, "list"},        {19, "stream"}, {20, "set"},    {21, "stream"}};
  for (const auto& [type, name] : types) {
    const std::string error = error_of(type + "\x01q\x01\x01x"s);
    EXPECT_THAT(error, HasSubstr("at byte 9: key 'q' is a "s + name)) << int{type};
  }
  EXPECT_THAT(error_of("\x08\x01q"s), HasSubstr("0x08 is neither"));
  EXPECT_THAT(error_of("\xf4\x01q"s), HasSubstr("0xf4 is neither"));
}

TEST(RdbReader, AKeyOfAnotherDatabaseIsNamed) {
  EXPECT_THAT(error_of("\xfe\x05\xfb\x07\x00"s + string_key("k", "\x01v")),
              HasSubstr("key 'k' (of 7) is in database 5"));
  EXPECT_THAT(error_of("\xfe\x05"s + string_key("k", "\x01v")),
              HasSubstr("key 'k' is in database 5"));
}

TEST(RdbReader, FunctionsAndDataOfModulesAreNamed) {
  EXPECT_THAT(error_of("\xf5\x14#!lua name=lib\nx = 1"s), HasSubstr("'#!lua name=lib'"));
  // The id of "ReJSON-RL", as Redis packs it.
  EXPECT_THAT(error_of("\xf7\x81\x45\xe2\x49\x38\xdf\x91\x22\xe5\x02"s),
              HasSubstr("data of the module"));
}

TEST(RdbReader, WhatIsNoRdbFileIsSaidToBeNone) {
  EXPECT_THAT(read_rdb("").error, HasSubstr("the file ends within the header"));
  EXPECT_THAT(read_rdb("REDIS").error, HasSubstr("the file ends within the header"));
  EXPECT_THAT(read_rdb("*3\r\n$3\r\nSET\r\n").error, HasSubstr("no RDB file"));
}

TEST(RdbReader, LengthsAreCheckedAgainstWhatIsThere) {
  EXPECT_THAT(error_of(string_key("k", "\x80\x10\x00\x00\x00"s)),
              HasSubstr("are left in the file"));
  EXPECT_THAT(error_of(string_key("k", "\x81\xff\xff\xff\xff\xff\xff\xff\xff"s)),
              HasSubstr("more than the 536870912"));
  EXPECT_THAT(error_of(string_key("k", "\x82"s)), HasSubstr("0x82 begins no length"));
  EXPECT_THAT(error_of(string_key("k", "\xc4"s)), HasSubstr("0xc4 begins no string"));
  // A length where only a number may stand.
  EXPECT_THAT(error_of("\xfe\xc0\x01"s), HasSubstr("0xc0 begins no length"));
}

TEST(RdbReader, BadCompressionIsNoticed) {
  // More than any compressed bytes can become: nothing is allocated for it.
  EXPECT_THAT(error_of(string_key("k", "\xc3\x05\x80\x20\x00\x00\x00"s + "\0a\xe0\x14\0"s)),
              HasSubstr("can't be the"));
  EXPECT_THAT(error_of(string_key("k", "\xc3\x05\x1f"s + "\0a\xe0\x14\0"s)),
              HasSubstr("can't be decompressed"));
  // A back reference to before the beginning.
  EXPECT_THAT(error_of(string_key("k", "\xc3\x05\x1e"s + "\0a\xe0\x14\x09"s)),
              HasSubstr("can't be decompressed"));
  EXPECT_THAT(error_of(string_key("k", "\xc3\x00\x00"s)), HasSubstr("can't be the"));
}

TEST(RdbReader, TheChecksumIsOfEveryByte) {
  std::string file = rdb_file(string_key("k", "\x01v"));
  file[file.size() - 1] = static_cast<char>(file.back() ^ 1);
  EXPECT_THAT(read_rdb(file).error, HasSubstr("the file is damaged"));
}

TEST(RdbReader, AMissingChecksumIsFineUnlessOneIsRequired) {
  std::string file = rdb_file(string_key("k", "\x01v"));
  std::fill(file.end() - 8, file.end(), '\0');
  EXPECT_EQ(read_rdb(file).error, "");
  EXPECT_THAT(read_rdb(file, {.checksum_required = true}).error, HasSubstr("no checksum"));
  std::string old = rdb_file(string_key("k", "\x01v"), "0004");
  old.resize(old.size() - 8);
  EXPECT_EQ(read_rdb(old).error, "");
  EXPECT_THAT(read_rdb(old, {.checksum_required = true}).error, HasSubstr("no checksum"));
}

TEST(RdbReader, NothingMayFollowBehindTheEnd) {
  EXPECT_THAT(read_rdb(rdb_file("") + "x").error, HasSubstr("bytes follow behind the end mark"));
}

// Everything that a file can hold, so that each cut and each flip meets each field.
std::string varied_file() {
  return rdb_file("\xfa\x09redis-ver\x06"s + "7.0.15\xfa\x01" + "n\xc0\x40\xfe\x00\xfb\x05\x02"s +
                  string_key("a", "\xc1\xe8\x03"s) + "\xfd\xe8\x03\x00\x00"s +
                  string_key("bb", "\x40\x05hello"s) + "\xfc\xd0\x07\x00\x00\x00\x00\x00\x00"s +
                  "\xf9\x05" + string_key("ccc", "\xc3\x05\x1e\x00"s + "a\xe0\x14\x00"s) +
                  "\xf8\x41\x00"s + string_key("d", "\x80\x00\x00\x00\x04"s + "long") +
                  string_key("e", "\xc2\x00\x00\x00\x80"s));
}

TEST(RdbReader, AFileThatEndsAtAnyByteIsRefused) {
  const std::string file = varied_file();
  ASSERT_EQ(read_rdb(file).error, "");
  ASSERT_EQ(read_rdb(file).keys.size(), 5u);
  for (size_t size = 0; size < file.size(); ++size) {
    const RdbContents contents = read_rdb(file.substr(0, size));
    EXPECT_THAT(contents.error, HasSubstr("at byte ")) << size;
  }
}

TEST(RdbReader, AFileWithAnyBitFlippedIsRefused) {
  const std::string file = varied_file();
  for (size_t byte = 0; byte < file.size(); ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = file;
      damaged[byte] = static_cast<char>(damaged[byte] ^ (1 << bit));
      EXPECT_THAT(read_rdb(damaged).error, HasSubstr("at byte ")) << byte << "." << bit;
    }
  }
}

// A source that gives bytes in pieces, does not know how many there are, and may break.
class PieceSource : public ByteSource {
 public:
  PieceSource(std::string_view bytes, size_t piece, size_t breaks_at = SIZE_MAX)
      : bytes_(bytes), piece_(piece), breaks_at_(breaks_at) {}
  std::expected<size_t, std::string> read(char* to, size_t size) override {
    if (given_ >= breaks_at_) return std::unexpected("the disk is broken");
    const size_t count = std::min({size, piece_, bytes_.size() - given_});
    bytes_.copy(to, count, given_);
    given_ += count;
    return count;
  }
  std::optional<uint64_t> remaining() const override { return std::nullopt; }

 private:
  std::string_view bytes_;
  size_t piece_;
  size_t breaks_at_;
  size_t given_ = 0;
};

TEST(RdbReader, HowTheStreamIsCutMakesNoDifference) {
  const std::string file = varied_file();
  const RdbContents whole = read_rdb(file);
  for (const size_t piece : {1, 2, 3, 7, 64}) {
    PieceSource source(file, piece);
    const RdbContents cut = read_rdb(source);
    EXPECT_EQ(cut.error, "");
    EXPECT_EQ(cut.keys, whole.keys);
    EXPECT_EQ(cut.aux, whole.aux);
  }
}

TEST(RdbReader, AStreamOfUnknownLengthThatEndsInALongStringIsRefused) {
  const std::string file =
      "REDIS0010"s + string_key("k", "\x80\x1f\x00\x00\x00"s) + std::string(1 << 20, 'x');
  PieceSource source(file, 4096);
  EXPECT_THAT(read_rdb(source).error, HasSubstr("the file ends within a value"));
}

TEST(RdbReader, AReadThatFailsIsToldWithItsReason) {
  const std::string file = varied_file();
  for (size_t at = 1; at < file.size(); ++at) {
    PieceSource source(file, 1, at);
    EXPECT_THAT(read_rdb(source).error, HasSubstr("the disk is broken")) << at;
  }
}

TEST(PrintableKey, EscapesAndShortens) {
  EXPECT_EQ(storage::printable_key("a'b\n"), "'a\\x27b\\x0a'");
  EXPECT_EQ(storage::printable_key(std::string(100, 'x')),
            "'" + std::string(64, 'x') + "'... (100 bytes)");
}

}  // namespace
}  // namespace raftkv::test
