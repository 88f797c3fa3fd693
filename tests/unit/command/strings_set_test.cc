// SET and its relatives.

#include "tests/unit/command/data_world.h"

namespace raftkv::test {
namespace {

class Set : public testing::Test {
 protected:
  DataWorld world;
};

TEST_F(Set, StoresAValueInPlaceOfAnyOther) {
  EXPECT_EQ(world.run("GET k"), "nil");
  EXPECT_EQ(world.run("SET k one"), "OK");
  EXPECT_EQ(world.run("SET k two"), "OK");
  EXPECT_EQ(world.run("GET k"), "'two'");
}

TEST_F(Set, KeepsAnyBytes) {
  const std::string value("\0\xff\r\n$5", 6);
  EXPECT_EQ(world.call({"SET", std::string("\0", 1), value}), "OK");
  EXPECT_EQ(world.call({"GET", std::string("\0", 1)}), "'" + value + "'");
  EXPECT_EQ(world.call({"SET", "", ""}), "OK");
  EXPECT_EQ(world.call({"GET", ""}), "''");
}

TEST_F(Set, DropsTheDeadlineUnlessToldToKeepIt) {
  world.run("SET k v EX 100");
  EXPECT_EQ(world.run("SET k v KEEPTTL"), "OK");
  EXPECT_EQ(world.run("TTL k"), "100");
  EXPECT_EQ(world.run("SET k v"), "OK");
  EXPECT_EQ(world.run("TTL k"), "-1");
  EXPECT_EQ(world.run("SET fresh v KEEPTTL"), "OK");
  EXPECT_EQ(world.run("TTL fresh"), "-1");
}

TEST_F(Set, TakesADeadlineInFourForms) {
  const auto until = [&](const std::string& options) {
    EXPECT_EQ(world.run("SET k v " + options), "OK");
    return world.run("PEXPIRETIME k");
  };
  EXPECT_EQ(until("EX 10"), std::to_string(world.now + 10'000));
  EXPECT_EQ(until("px 10"), std::to_string(world.now + 10));
  EXPECT_EQ(until("ExAt 2000000000"), "2000000000000");
  EXPECT_EQ(until("PXAT 2000000000001"), "2000000000001");
  EXPECT_EQ(until("EX 10 EX 20"), std::to_string(world.now + 20'000)) << "the last one counts";
}

TEST_F(Set, RefusesTwoKindsOfDeadline) {
  for (const std::string_view options : {"EX 10 PX 10", "KEEPTTL EX 10", "EX 10 KEEPTTL",
                                         "PXAT 10 EXAT 10", "PX 10 EXAT 99999999999"}) {
    EXPECT_EQ(world.run("SET k v " + std::string(options)), "-ERR syntax error") << options;
  }
}

TEST_F(Set, RefusesWordsItDoesNotKnow) {
  for (const std::string_view options :
       {"FOO", "EX", "PX", "NX XX", "XX NX", "PERSIST", "EX 10 PXAT", "1"}) {
    EXPECT_EQ(world.run("SET k v " + std::string(options)), "-ERR syntax error") << options;
  }
  EXPECT_EQ(world.run("EXISTS k"), "0");
}

TEST_F(Set, RefusesTimesThatAreNotPositiveOrOverflow) {
  const std::string invalid = "-ERR invalid expire time in 'set' command";
  for (const std::string_view options :
       {"EX 0", "PX -1", "EXAT 0", "PXAT -5", "EX 9223372036854775", "PX 9223372036854775807",
        "EXAT 9223372036854776", "EX 9223372036854775807"}) {
    EXPECT_EQ(world.run("SET k v " + std::string(options)), invalid) << options;
  }
  EXPECT_EQ(world.run("SET k v EX 1.5"), "-ERR value is not an integer or out of range");
  EXPECT_EQ(world.run("SET k v EX nx"), "-ERR value is not an integer or out of range");
  EXPECT_EQ(world.run("EXISTS k"), "0");
}

TEST_F(Set, UntilATimeThatHasPassedRemovesTheKey) {
  world.run("SET k v");
  EXPECT_EQ(world.run("SET k w EXAT 1"), "OK");
  EXPECT_EQ(world.run("EXISTS k"), "0");
  EXPECT_EQ(world.keyspace.size(), 0u);
  EXPECT_EQ(world.run("SET k w PXAT " + std::to_string(world.now)), "OK");
  EXPECT_EQ(world.run("EXISTS k"), "0");
  EXPECT_EQ(world.run("SET k w PXAT " + std::to_string(world.now + 1)), "OK");
  EXPECT_EQ(world.run("EXISTS k"), "1");
}

TEST_F(Set, NxStoresOnlyWhereThereIsNoKey) {
  EXPECT_EQ(world.run("SET k one NX"), "OK");
  EXPECT_EQ(world.run("SET k two NX EX 10"), "nil");
  EXPECT_EQ(world.run("GET k"), "'one'");
  EXPECT_EQ(world.run("TTL k"), "-1");
}

TEST_F(Set, XxStoresOnlyWhereThereIsAKey) {
  EXPECT_EQ(world.run("SET k one XX"), "nil");
  EXPECT_EQ(world.run("EXISTS k"), "0");
  world.run("SET k one");
  EXPECT_EQ(world.run("SET k two XX"), "OK");
  EXPECT_EQ(world.run("GET k"), "'two'");
}

TEST_F(Set, GetReturnsTheOldValueWhetherOrNotItStores) {
  EXPECT_EQ(world.run("SET k one GET"), "nil");
  EXPECT_EQ(world.run("SET k two GET"), "'one'");
  EXPECT_EQ(world.run("SET k three NX GET"), "'two'");
  EXPECT_EQ(world.run("GET k"), "'two'");
  EXPECT_EQ(world.run("SET fresh one NX GET"), "nil");
  EXPECT_EQ(world.run("GET fresh"), "'one'");
  EXPECT_EQ(world.run("SET absent one XX GET"), "nil");
  EXPECT_EQ(world.run("EXISTS absent"), "0");
}

TEST_F(Set, TakesAKeyThatIsDueForAbsent) {
  world.run("SET k old PX 10");
  world.now += 10;
  EXPECT_EQ(world.run("SET k v XX"), "nil");
  EXPECT_EQ(world.run("SET k v GET"), "nil");
  EXPECT_EQ(world.run("TTL k"), "-1");
  world.run("SET k old PX 10");
  world.now += 10;
  EXPECT_EQ(world.run("SET k new NX"), "OK");
  world.run("SET k old PX 10");
  world.now += 10;
  EXPECT_EQ(world.run("SET k new KEEPTTL"), "OK");
  EXPECT_EQ(world.run("TTL k"), "-1") << "there was no deadline to keep";
}

TEST_F(Set, RepliesWithRespThreesNull) {
  world.protocol = resp::Protocol::kResp3;
  world.run("SET k v");
  EXPECT_EQ(world.run_bytes({"SET", "k", "v", "NX"}), "_\r\n");
}

TEST_F(Set, RelativesSetADeadline) {
  EXPECT_EQ(world.run("SETEX k 10 v"), "OK");
  EXPECT_EQ(world.run("PTTL k"), "10000");
  EXPECT_EQ(world.run("PSETEX k 10 v"), "OK");
  EXPECT_EQ(world.run("PTTL k"), "10");
  EXPECT_EQ(world.run("SETEX k 0 v"), "-ERR invalid expire time in 'setex' command");
  EXPECT_EQ(world.run("PSETEX k -1 v"), "-ERR invalid expire time in 'psetex' command");
  EXPECT_EQ(world.run("SETEX k x v"), "-ERR value is not an integer or out of range");
}

TEST_F(Set, SetnxTellsWhetherItStored) {
  EXPECT_EQ(world.run("SETNX k one"), "1");
  EXPECT_EQ(world.run("SETNX k two"), "0");
  EXPECT_EQ(world.run("GET k"), "'one'");
}

TEST_F(Set, GetsetReturnsTheOldValueAndDropsTheDeadline) {
  EXPECT_EQ(world.run("GETSET k one"), "nil");
  world.run("EXPIRE k 10");
  EXPECT_EQ(world.run("GETSET k two"), "'one'");
  EXPECT_EQ(world.run("TTL k"), "-1");
}

TEST_F(Set, MsetStoresAllAndTheLastOfEqualKeysWins) {
  EXPECT_EQ(world.run("MSET a 1 b 2 a 3"), "OK");
  EXPECT_EQ(world.run("MGET a b c"), "['3', '2', nil]");
  EXPECT_EQ(world.run("MSET a"), "-ERR wrong number of arguments for 'mset' command");
  EXPECT_EQ(world.run("MSET a 9 b"), "-ERR wrong number of arguments for 'mset' command");
  EXPECT_EQ(world.run("GET a"), "'3'");
}

TEST_F(Set, MsetnxStoresAllOrNothing) {
  EXPECT_EQ(world.run("MSETNX a 1 b 2"), "1");
  EXPECT_EQ(world.run("MSETNX c 3 b 9"), "0");
  EXPECT_EQ(world.run("MGET a b c"), "['1', '2', nil]");
  EXPECT_EQ(world.run("MSETNX d 1 d 2"), "1");
  EXPECT_EQ(world.run("GET d"), "'2'");
  EXPECT_EQ(world.run("MSETNX a 1 b"), "-ERR wrong number of arguments for 'msetnx' command");
}

class Getex : public Set {};

TEST_F(Getex, ReturnsTheValueAndChangesTheDeadline) {
  world.run("SET k v");
  EXPECT_EQ(world.run("GETEX k EX 10"), "'v'");
  EXPECT_EQ(world.run("PTTL k"), "10000");
  EXPECT_EQ(world.run("GETEX k"), "'v'");
  EXPECT_EQ(world.run("PTTL k"), "10000");
  EXPECT_EQ(world.run("GETEX k PERSIST"), "'v'");
  EXPECT_EQ(world.run("PTTL k"), "-1");
  EXPECT_EQ(world.run("GETEX k PXAT 2000000000000"), "'v'");
  EXPECT_EQ(world.run("PEXPIRETIME k"), "2000000000000");
}

TEST_F(Getex, UntilATimeThatHasPassedRemovesTheKey) {
  world.run("SET k v");
  EXPECT_EQ(world.run("GETEX k EXAT 1"), "'v'");
  EXPECT_EQ(world.run("EXISTS k"), "0");
}

TEST_F(Getex, ChecksTheTimeOnlyWhereThereIsAKey) {
  EXPECT_EQ(world.run("GETEX k EX 0"), "nil");
  EXPECT_EQ(world.run("GETEX k EX"), "-ERR syntax error");
  world.run("SET k v");
  EXPECT_EQ(world.run("GETEX k EX 0"), "-ERR invalid expire time in 'getex' command");
  EXPECT_EQ(world.run("GETEX k EX x"), "-ERR value is not an integer or out of range");
}

TEST_F(Getex, RefusesOptionsOfSet) {
  world.run("SET k v");
  for (const std::string_view options :
       {"NX", "KEEPTTL", "GET", "EX 10 PERSIST", "PERSIST EX 10"}) {
    EXPECT_EQ(world.run("GETEX k " + std::string(options)), "-ERR syntax error") << options;
  }
}

}  // namespace
}  // namespace raftkv::test
