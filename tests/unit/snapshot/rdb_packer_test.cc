// Which strings of a file are compressed: those that become shorter, but where hardly any does, not
// all are tried.
#include "storage/snapshot/rdb_packer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/unit/snapshot/rdb_kit.h"

namespace raftkv::test {
namespace {

using storage::RdbBlock;
using storage::RdbEncoder;
using storage::RdbPacker;

// The packed strings of one file, a block each.
class Packed {
 public:
  // Whether it became shorter.
  bool shorter(const std::string& text) {
    RdbBlock block;
    RdbEncoder(block).string(text);
    std::string bytes;
    packer_.pack(block, bytes);
    return bytes.size() < text.size();
  }
  bool regular(size_t size = 100) { return shorter(std::string(size, 'a')); }
  bool noise(size_t size = 100) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(random_());
    return shorter(bytes);
  }
  void much_noise(size_t size = 100) {
    for (int i = 0; i < 1000; ++i) EXPECT_FALSE(noise(size));
  }

 private:
  RdbPacker packer_{true};
  std::mt19937_64 random_{7};
};

std::string field(std::string_view text, bool compress = true) {
  RdbBlock block;
  RdbEncoder(block).string(text);
  return packed(block, compress);
}

TEST(RdbPacker, LongStringsAreCompressedIfThatMakesThemShorter) {
  EXPECT_EQ(field(std::string(20, 'a')), "\x14" + std::string(20, 'a'));
  EXPECT_LT(field(std::string(21, 'a')).size(), 12u);
  EXPECT_EQ(field(std::string(21, 'a'))[0], '\xc3');
  EXPECT_FALSE(Packed().noise(1000));
}

TEST(RdbPacker, NothingIsCompressedIfThatIsNotWanted) {
  EXPECT_EQ(field(std::string(100, 'a'), false), "\x40\x64" + std::string(100, 'a'));
}

TEST(RdbPacker, WhereNothingBecomesShorterOneInSixteenIsTried) {
  int tried = 0;
  for (int more_noise = 0; more_noise < 16; ++more_noise) {
    Packed file;
    file.much_noise();
    for (int i = 0; i < more_noise; ++i) file.noise();
    tried += file.regular() ? 1 : 0;
  }
  EXPECT_EQ(tried, 1);
}

TEST(RdbPacker, WhatHelpsAgainIsNoticed) {
  Packed file;
  file.much_noise();
  for (int i = 0; i < 16; ++i) file.regular();
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(file.regular());
}

TEST(RdbPacker, WhereAQuarterBecomesShorterAllAreTried) {
  Packed file;
  for (int i = 0; i < 2000; ++i) {
    if (i % 4 == 0) {
      EXPECT_TRUE(file.regular()) << i;
    } else {
      EXPECT_FALSE(file.noise());
    }
  }
}

TEST(RdbPacker, StringsOfAnotherLengthAreAnotherMatter) {
  Packed file;
  file.much_noise(100);
  EXPECT_TRUE(file.regular(300));
  EXPECT_TRUE(file.regular(40));
}

TEST(RdbPacker, AHugeStringIsCompressedLikeAnyOther) {
  Packed file;
  EXPECT_TRUE(file.regular(3 << 20));
  EXPECT_TRUE(file.regular(100));
}

}  // namespace
}  // namespace raftkv::test
