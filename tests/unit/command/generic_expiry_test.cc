// Deadlines.

#include "tests/unit/command/data_world.h"

namespace raftkv::test {
namespace {

class Expiry : public testing::Test {
 protected:
  void SetUp() override { world.run("SET k v"); }

  DataWorld world;
};

TEST_F(Expiry, IsRelativeToTheTimeOfTheEntry) {
  EXPECT_EQ(world.run("EXPIRE k 10"), "1");
  EXPECT_EQ(world.run("PEXPIRETIME k"), std::to_string(world.now + 10'000));
  EXPECT_EQ(world.run("PEXPIRE k 10"), "1");
  EXPECT_EQ(world.run("PEXPIRETIME k"), std::to_string(world.now + 10));
  EXPECT_EQ(world.run("EXPIRE absent 10"), "0");
}

TEST_F(Expiry, MayBeGivenAsATime) {
  EXPECT_EQ(world.run("EXPIREAT k 2000000000"), "1");
  EXPECT_EQ(world.run("PEXPIRETIME k"), "2000000000000");
  EXPECT_EQ(world.run("EXPIRETIME k"), "2000000000");
  EXPECT_EQ(world.run("PEXPIREAT k 2000000000500"), "1");
  EXPECT_EQ(world.run("EXPIRETIME k"), "2000000001") << "seconds are rounded";
}

TEST_F(Expiry, EndsAKeyOnTheMillisecond) {
  world.run("PEXPIRE k 10");
  world.now += 9;
  EXPECT_EQ(world.run("GET k"), "'v'");
  EXPECT_EQ(world.run("PTTL k"), "1");
  world.now += 1;
  EXPECT_EQ(world.run("GET k"), "nil");
  EXPECT_EQ(world.run("PTTL k"), "-2");
  EXPECT_EQ(world.run("EXPIRE k 10"), "0");
  EXPECT_EQ(world.run("PERSIST k"), "0");
}

TEST_F(Expiry, InThePastDeletesAtOnce) {
  for (const std::string_view write : {"EXPIRE k 0", "EXPIRE k -1", "PEXPIRE k -100",
                                       "EXPIREAT k 1", "PEXPIREAT k -1", "PEXPIREAT k 1"}) {
    world.run("SET k v");
    EXPECT_EQ(world.run(write), "1") << write;
    EXPECT_EQ(world.keyspace.size(), 0u) << write;
  }
}

TEST_F(Expiry, InThePastStillObeysConditions) {
  EXPECT_EQ(world.run("EXPIRE k -1 XX"), "0");
  EXPECT_EQ(world.run("EXPIRE k -1 GT"), "0");
  EXPECT_EQ(world.run("EXISTS k"), "1");
  EXPECT_EQ(world.run("EXPIRE k -1 LT"), "1");
  EXPECT_EQ(world.run("EXISTS k"), "0");
}

TEST_F(Expiry, NxWantsNoDeadlineAndXxOne) {
  EXPECT_EQ(world.run("EXPIRE k 100 XX"), "0");
  EXPECT_EQ(world.run("EXPIRE k 100 nx"), "1");
  EXPECT_EQ(world.run("EXPIRE k 200 NX"), "0");
  EXPECT_EQ(world.run("EXPIRE k 300 XX"), "1");
  EXPECT_EQ(world.run("TTL k"), "300");
}

TEST_F(Expiry, NoDeadlineIsTheLatestOfAll) {
  EXPECT_EQ(world.run("EXPIRE k 100 GT"), "0");
  EXPECT_EQ(world.run("EXPIRE k 100 LT"), "1");
  EXPECT_EQ(world.run("EXPIRE k 100 GT"), "0") << "equal is not greater";
  EXPECT_EQ(world.run("EXPIRE k 100 LT"), "0");
  EXPECT_EQ(world.run("EXPIRE k 101 GT"), "1");
  EXPECT_EQ(world.run("EXPIRE k 50 LT XX"), "1");
  EXPECT_EQ(world.run("TTL k"), "50");
}

TEST_F(Expiry, RefusesConditionsThatContradict) {
  const std::string nx = "-ERR NX and XX, GT or LT options at the same time are not compatible";
  EXPECT_EQ(world.run("EXPIRE k 10 NX XX"), nx);
  EXPECT_EQ(world.run("EXPIRE k 10 GT NX"), nx);
  EXPECT_EQ(world.run("EXPIRE k 10 NX LT"), nx);
  EXPECT_EQ(world.run("EXPIRE k 10 GT LT"),
            "-ERR GT and LT options at the same time are not compatible");
  EXPECT_EQ(world.run("EXPIRE k 10 Foo"), "-ERR Unsupported option Foo");
  EXPECT_EQ(world.run("TTL k"), "-1");
}

TEST_F(Expiry, RefusesTimesThatOverflow) {
  const auto invalid = [](const std::string& name) {
    return "-ERR invalid expire time in '" + name + "' command";
  };
  EXPECT_EQ(world.run("EXPIRE k 9223372036854775807"), invalid("expire"));
  EXPECT_EQ(world.run("EXPIRE k -9223372036854775808"), invalid("expire"));
  EXPECT_EQ(world.run("EXPIRE k 9223372036854775"), invalid("expire"));
  EXPECT_EQ(world.run("PEXPIRE k 9223372036854775807"), invalid("pexpire"));
  EXPECT_EQ(world.run("EXPIREAT k 9223372036854776"), invalid("expireat"));
  EXPECT_EQ(world.run("EXPIRE k 1.5"), "-ERR value is not an integer or out of range");
  EXPECT_EQ(world.run("PEXPIREAT k 9223372036854775807"), "1");
  EXPECT_EQ(world.run("PEXPIRETIME k"), "9223372036854775807");
  EXPECT_EQ(world.run("EXPIRETIME k"), "9223372036854776");
}

TEST_F(Expiry, TtlTellsMissingKeysFromMissingDeadlines) {
  for (const std::string command : {"TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"}) {
    EXPECT_EQ(world.run(command + " absent"), "-2") << command;
    EXPECT_EQ(world.run(command + " k"), "-1") << command;
  }
}

TEST_F(Expiry, TtlRoundsToTheNearestSecond) {
  world.run("PEXPIRE k 1499");
  EXPECT_EQ(world.run("TTL k"), "1");
  world.run("PEXPIRE k 1500");
  EXPECT_EQ(world.run("TTL k"), "2");
  world.run("PEXPIRE k 1");
  EXPECT_EQ(world.run("TTL k"), "0");
}

TEST_F(Expiry, PersistTakesTheDeadlineAway) {
  world.run("EXPIRE k 10");
  EXPECT_EQ(world.run("PERSIST k"), "1");
  EXPECT_EQ(world.run("PERSIST k"), "0");
  EXPECT_EQ(world.run("PERSIST absent"), "0");
  EXPECT_EQ(world.run("TTL k"), "-1");
}

// The leader's clock has passed the deadline, the log's has not: the read may neither show the
// value nor say that it is gone.
TEST_F(Expiry, ThatIsDueButNotSettledStopsEveryRead) {
  world.run("PEXPIRE k 10");
  world.now += 12;
  world.unsettled_ms = 5;
  for (const std::string_view read :
       {"GET k", "MGET k", "STRLEN k", "GETRANGE k 0 1", "LCS k k", "EXISTS k", "TOUCH k", "TYPE k",
        "TTL k", "PEXPIRETIME k", "OBJECT ENCODING k", "KEYS *", "SCAN 0", "RANDOMKEY"}) {
    world.run(read);
    EXPECT_TRUE(world.unsettled) << read;
  }
  world.unsettled_ms = 2;
  for (const std::string_view read : {"GET k", "KEYS *", "SCAN 0", "RANDOMKEY"}) {
    world.run(read);
    EXPECT_FALSE(world.unsettled) << read;
  }
  EXPECT_EQ(world.run("EXISTS k"), "0");
  EXPECT_EQ(world.run("KEYS *"), "[]");
}

}  // namespace
}  // namespace raftkv::test
