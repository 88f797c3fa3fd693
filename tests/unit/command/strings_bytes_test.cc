// Strings as bytes.

#include "tests/unit/command/data_world.h"

namespace raftkv::test {
namespace {

class Strings : public testing::Test {
 protected:
  DataWorld world;
};

TEST_F(Strings, ReadsCountHitsAndMisses) {
  world.run("SET k v");
  EXPECT_EQ(world.hits + world.misses, 0u);
  world.run("MGET k absent k");
  EXPECT_EQ(world.hits, 2u);
  EXPECT_EQ(world.misses, 1u);
  world.run("INCR n");
  EXPECT_EQ(world.hits + world.misses, 0u);
}

TEST_F(Strings, GetdelReturnsAndDeletes) {
  world.run("SET k v");
  EXPECT_EQ(world.run("GETDEL k"), "'v'");
  EXPECT_EQ(world.run("GETDEL k"), "nil");
  EXPECT_EQ(world.keyspace.size(), 0u);
}

TEST_F(Strings, StrlenCountsBytes) {
  EXPECT_EQ(world.run("STRLEN k"), "0");
  world.call({"SET", "k", std::string("a\0b", 3)});
  EXPECT_EQ(world.run("STRLEN k"), "3");
  world.run("SET k -1234");
  EXPECT_EQ(world.run("STRLEN k"), "5");
}

TEST_F(Strings, AppendCreatesAndExtends) {
  EXPECT_EQ(world.run("APPEND k Hello"), "5");
  EXPECT_EQ(world.run("APPEND k World"), "10");
  EXPECT_EQ(world.run("GET k"), "'HelloWorld'");
  EXPECT_EQ(world.call({"APPEND", "k", ""}), "10");
  EXPECT_EQ(world.call({"APPEND", "empty", ""}), "0");
  EXPECT_EQ(world.run("EXISTS empty"), "1");
}

TEST_F(Strings, AppendKeepsTheDeadline) {
  world.run("SET k v EX 10");
  world.run("APPEND k w");
  EXPECT_EQ(world.run("TTL k"), "10");
}

TEST_F(Strings, AppendToAnIntegerMakesItText) {
  world.run("SET k 12");
  EXPECT_EQ(world.run("OBJECT ENCODING k"), "'int'");
  EXPECT_EQ(world.run("APPEND k 3"), "3");
  EXPECT_EQ(world.run("OBJECT ENCODING k"), "'raw'");
  EXPECT_EQ(world.run("INCR k"), "124");
  EXPECT_EQ(world.run("OBJECT ENCODING k"), "'int'");
}

TEST_F(Strings, WritesBeginFromNothingWhereTheKeyIsDue) {
  for (const std::string_view write : {"APPEND k new", "SETRANGE k 0 new"}) {
    world.run("SET k old-and-longer PX 10");
    world.now += 10;
    EXPECT_EQ(world.run(write), "3") << write;
    EXPECT_EQ(world.run("GET k"), "'new'") << write;
    EXPECT_EQ(world.run("TTL k"), "-1") << write;
  }
}

TEST_F(Strings, SetrangeOverwritesAndFillsGaps) {
  EXPECT_EQ(world.run("SETRANGE k 2 ab"), "4");
  EXPECT_EQ(world.run("GET k"), "'" + std::string("\0\0ab", 4) + "'");
  world.run("SET k Hello");
  EXPECT_EQ(world.run("SETRANGE k 1 a"), "5");
  EXPECT_EQ(world.run("GET k"), "'Hallo'");
  EXPECT_EQ(world.run("SETRANGE k 4 ooo"), "7");
}

TEST_F(Strings, SetrangeOfNothingChangesNothing) {
  EXPECT_EQ(world.call({"SETRANGE", "k", "10", ""}), "0");
  EXPECT_EQ(world.run("EXISTS k"), "0");
  world.run("SET k abc");
  EXPECT_EQ(world.call({"SETRANGE", "k", "10", ""}), "3");
  EXPECT_EQ(world.run("GET k"), "'abc'");
}

TEST_F(Strings, SetrangeRefusesWhatGoesBeyondTheLargestString) {
  const std::string too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
  EXPECT_EQ(world.run("SETRANGE k 536870912 x"), too_long);
  EXPECT_EQ(world.run("SETRANGE k 536870911 xy"), too_long);
  EXPECT_EQ(world.run("SETRANGE k 9223372036854775807 x"), too_long);
  EXPECT_EQ(world.run("SETRANGE k -1 x"), "-ERR offset is out of range");
  EXPECT_EQ(world.run("SETRANGE k x x"), "-ERR value is not an integer or out of range");
  EXPECT_EQ(world.run("EXISTS k"), "0");
}

TEST_F(Strings, GetrangeCountsNegativePlacesFromTheEnd) {
  world.call({"SET", "k", "This is a string"});
  EXPECT_EQ(world.run("GETRANGE k 0 3"), "'This'");
  EXPECT_EQ(world.run("GETRANGE k -3 -1"), "'ing'");
  EXPECT_EQ(world.run("GETRANGE k 0 -1"), "'This is a string'");
  EXPECT_EQ(world.run("SUBSTR k 10 100"), "'string'");
  EXPECT_EQ(world.run("GETRANGE k -100 3"), "'This'");
  EXPECT_EQ(world.run("GETRANGE k 3 -100"), "''");
  EXPECT_EQ(world.run("GETRANGE k -100 -99"), "'T'") << "both are cut to the beginning";
  EXPECT_EQ(world.run("GETRANGE k -99 -100"), "''");
  EXPECT_EQ(world.run("GETRANGE k 5 4"), "''");
  EXPECT_EQ(world.run("GETRANGE k -9223372036854775808 9223372036854775807"), "'This is a string'");
  EXPECT_EQ(world.run("GETRANGE absent 0 -1"), "''");
  EXPECT_EQ(world.run("GETRANGE absent a 1"), "-ERR value is not an integer or out of range");
  EXPECT_EQ(world.run("GETRANGE k 0 b"), "-ERR value is not an integer or out of range");
}

TEST_F(Strings, EncodingFollowsContentAndHistory) {
  const auto encoding = [&](const std::string& value) {
    world.call({"SET", "k", value});
    return world.run("OBJECT ENCODING k");
  };
  EXPECT_EQ(encoding("9223372036854775807"), "'int'");
  EXPECT_EQ(encoding("9223372036854775808"), "'embstr'");
  EXPECT_EQ(encoding("01"), "'embstr'");
  EXPECT_EQ(encoding(""), "'embstr'");
  EXPECT_EQ(encoding(std::string(44, 'x')), "'embstr'");
  EXPECT_EQ(encoding(std::string(45, 'x')), "'raw'");
}

}  // namespace
}  // namespace raftkv::test
