// Keys as a whole.

#include "tests/unit/command/data_world.h"

namespace raftkv::test {
namespace {

class GenericKeys : public testing::Test {
 protected:
  DataWorld world;
};

TEST_F(GenericKeys, DelCountsWhatItDeleted) {
  world.run("MSET a 1 b 2 c 3");
  EXPECT_EQ(world.run("DEL a absent b b"), "2");
  EXPECT_EQ(world.run("UNLINK c"), "1");
  EXPECT_EQ(world.run("DBSIZE"), "0");
}

TEST_F(GenericKeys, DelDoesNotCountWhatIsDueButRemovesIt) {
  world.run("SET a 1 PX 10");
  world.run("SET b 1");
  world.now += 10;
  EXPECT_EQ(world.keyspace.size(), 2u);
  EXPECT_EQ(world.run("DEL a b"), "1");
  EXPECT_EQ(world.keyspace.size(), 0u);
}

TEST_F(GenericKeys, ExistsAndTouchCountAKeyAsOftenAsItIsGiven) {
  world.run("MSET a 1 b 2");
  EXPECT_EQ(world.run("EXISTS a a absent b"), "3");
  EXPECT_EQ(world.run("TOUCH a a absent b"), "3");
  EXPECT_EQ(world.hits, 3u);
  EXPECT_EQ(world.misses, 1u);
}

TEST_F(GenericKeys, TypeNamesTheTypeOrNone) {
  world.run("SET k 1");
  EXPECT_EQ(world.run_bytes({"TYPE", "k"}), "+string\r\n");
  EXPECT_EQ(world.run_bytes({"TYPE", "absent"}), "+none\r\n");
}

TEST_F(GenericKeys, RenameMovesValueAndDeadline) {
  world.run("SET a 1 EX 10");
  world.run("SET b 2 EX 99");
  EXPECT_EQ(world.run("RENAME a b"), "OK");
  EXPECT_EQ(world.run("MGET a b"), "[nil, '1']");
  EXPECT_EQ(world.run("TTL b"), "10");
  world.run("SET c 3");
  world.run("RENAME c b");
  EXPECT_EQ(world.run("TTL b"), "-1");
}

TEST_F(GenericKeys, RenameNeedsItsSource) {
  EXPECT_EQ(world.run("RENAME a b"), "-ERR no such key");
  EXPECT_EQ(world.run("RENAME a a"), "-ERR no such key");
  EXPECT_EQ(world.run("RENAMENX a b"), "-ERR no such key");
  world.run("SET a 1 PX 10");
  world.now += 10;
  EXPECT_EQ(world.run("RENAME a b"), "-ERR no such key");
}

TEST_F(GenericKeys, RenameToItselfDoesNothing) {
  world.run("SET a 1 EX 10");
  EXPECT_EQ(world.run("RENAME a a"), "OK");
  EXPECT_EQ(world.run("RENAMENX a a"), "0");
  EXPECT_EQ(world.run("GET a"), "'1'");
  EXPECT_EQ(world.run("TTL a"), "10");
}

TEST_F(GenericKeys, RenamenxLeavesAnExistingTarget) {
  world.run("MSET a 1 b 2");
  EXPECT_EQ(world.run("RENAMENX a b"), "0");
  EXPECT_EQ(world.run("MGET a b"), "['1', '2']");
  EXPECT_EQ(world.run("RENAMENX a c"), "1");
  EXPECT_EQ(world.run("GET c"), "'1'");
}

TEST_F(GenericKeys, RenamenxMayReplaceWhatIsDue) {
  world.run("SET a 1");
  world.run("SET b 2 PX 10");
  world.now += 10;
  EXPECT_EQ(world.run("RENAMENX a b"), "1");
  EXPECT_EQ(world.run("GET b"), "'1'");
  EXPECT_EQ(world.run("TTL b"), "-1");
}

TEST_F(GenericKeys, CopyTakesValueAndDeadlineAlong) {
  world.run("SET a 1 EX 10");
  EXPECT_EQ(world.run("COPY a b"), "1");
  EXPECT_EQ(world.run("MGET a b"), "['1', '1']");
  EXPECT_EQ(world.run("TTL b"), "10");
  EXPECT_EQ(world.run("COPY absent b REPLACE"), "0");
  EXPECT_EQ(world.run("GET b"), "'1'");
}

TEST_F(GenericKeys, CopyReplacesOnlyWhenTold) {
  world.run("MSET a 1 b 2");
  EXPECT_EQ(world.run("COPY a b"), "0");
  EXPECT_EQ(world.run("GET b"), "'2'");
  EXPECT_EQ(world.run("COPY a b REPLACE DB 0"), "1");
  EXPECT_EQ(world.run("GET b"), "'1'");
}

TEST_F(GenericKeys, CopyKnowsOneDatabase) {
  world.run("SET a 1");
  EXPECT_EQ(world.run("COPY a b DB 1"), "-ERR DB index is out of range");
  EXPECT_EQ(world.run("COPY a b DB -1"), "-ERR DB index is out of range");
  EXPECT_EQ(world.run("COPY a b DB x"), "-ERR value is not an integer or out of range");
  EXPECT_EQ(world.run("COPY a b DB 2147483648"),
            "-ERR value is out of range, value must between -2147483648 and 2147483647");
  EXPECT_EQ(world.run("COPY a b DB"), "-ERR syntax error");
  EXPECT_EQ(world.run("COPY a b FOO"), "-ERR syntax error");
  EXPECT_EQ(world.run("COPY a a"), "-ERR source and destination objects are the same");
  EXPECT_EQ(world.run("EXISTS b"), "0");
}

TEST_F(GenericKeys, FlushDeletesEverything) {
  for (const std::string_view flush : {"FLUSHALL", "FLUSHDB", "FLUSHALL async", "FLUSHDB SYNC"}) {
    world.run("MSET a 1 b 2");
    EXPECT_EQ(world.run(flush), "OK") << flush;
    EXPECT_EQ(world.run("DBSIZE"), "0") << flush;
  }
  world.run("SET a 1");
  EXPECT_EQ(world.run("FLUSHALL now"), "-ERR syntax error");
  EXPECT_EQ(world.run("FLUSHDB SYNC ASYNC"), "-ERR syntax error");
  EXPECT_EQ(world.run("DBSIZE"), "1");
}

TEST_F(GenericKeys, ObjectAnswersNullWithoutTheKey) {
  for (const std::string_view facet : {"ENCODING", "FREQ", "IDLETIME", "REFCOUNT"}) {
    EXPECT_EQ(world.run("OBJECT " + std::string(facet) + " absent"), "nil") << facet;
  }
}

TEST_F(GenericKeys, ObjectTellsWhatIsKept) {
  world.run("SET k 1");
  EXPECT_EQ(world.run("OBJECT ENCODING k"), "'int'");
  EXPECT_EQ(world.run("OBJECT REFCOUNT k"), "1");
  EXPECT_EQ(world.run("OBJECT IDLETIME k"), "0");
  EXPECT_THAT(world.run("OBJECT FREQ k"),
              testing::StartsWith("-ERR An LFU maxmemory policy is not selected"));
}

}  // namespace
}  // namespace raftkv::test
