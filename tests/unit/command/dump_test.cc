// DUMP and RESTORE.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "storage/snapshot/crc64.h"
#include "tests/unit/command/data_world.h"

namespace raftkv::test {
namespace {

using namespace std::string_literals;  // NOLINT(google-build-using-namespace): bytes with zeros

class Dump : public testing::Test {
 protected:
  // The payload of a value, without the quotes of the reply.
  std::string dump(const std::string& value) {
    world.call({"SET", "dumped", value});
    const std::string reply = world.run("DUMP dumped");
    EXPECT_EQ(reply.substr(0, 1), "'");
    return reply.substr(1, reply.size() - 2);
  }
  std::string restore(std::vector<std::string> more, const std::string& payload,
                      const std::string& ttl = "0") {
    std::vector<std::string> words = {"RESTORE", "k", ttl, payload};
    words.insert(words.end(), more.begin(), more.end());
    return world.call(words);
  }
  static std::string sealed(std::string body) {
    body += "\x09\0"s;
    const uint64_t sum = storage::crc64(0, body);
    return body.append(reinterpret_cast<const char*>(&sum), sizeof(sum));
  }

  DataWorld world;
};

TEST_F(Dump, OfNoKeyIsNull) {
  EXPECT_EQ(world.run("DUMP k"), "nil");
  EXPECT_EQ(world.misses, 1u);
  world.run("SET k v PX 100");
  world.now += 100;
  EXPECT_EQ(world.run("DUMP k"), "nil");
}

TEST_F(Dump, IsRestoredToTheSameValue) {
  for (const std::string& value :
       {""s, "v"s, "12"s, "-7000000000"s, "\0\r\n"s, std::string(5000, 'x'), "01"s}) {
    world.run("DEL k");
    EXPECT_EQ(restore({}, dump(value)), "OK");
    EXPECT_EQ(world.run("GET k"), "'" + value + "'");
    EXPECT_EQ(world.run("OBJECT ENCODING k"), world.run("OBJECT ENCODING dumped"));
    EXPECT_EQ(world.run("PTTL k"), "-1");
  }
}

TEST_F(Dump, LeavesTheDeadlineOut) {
  world.run("SET dumped v PX 1000");
  const std::string reply = world.run("DUMP dumped");
  EXPECT_EQ(restore({}, reply.substr(1, reply.size() - 2)), "OK");
  EXPECT_EQ(world.run("PTTL k"), "-1");
}

TEST_F(Dump, RestoreTakesATimeToLiveOrADeadline) {
  const std::string payload = dump("v");
  EXPECT_EQ(restore({}, payload, "1500"), "OK");
  EXPECT_EQ(world.run("PEXPIRETIME k"), std::to_string(world.now + 1500));
  EXPECT_EQ(restore({"replace", "ABSTTL"}, payload, std::to_string(world.now + 7)), "OK");
  EXPECT_EQ(world.run("PTTL k"), "7");
  EXPECT_EQ(restore({"REPLACE", "absttl"}, payload, "0"), "OK");
  EXPECT_EQ(world.run("PTTL k"), "-1");
  for (const char* ttl : {"-1", "9223372036854775807"}) {
    EXPECT_EQ(restore({"REPLACE"}, payload, ttl), "-ERR Invalid TTL value, must be >= 0");
  }
  EXPECT_EQ(restore({"REPLACE"}, payload, "x"), "-ERR value is not an integer or out of range");
}

TEST_F(Dump, ADeadlineThatHasPassedRemovesWhatWasThere) {
  world.run("SET k old");
  EXPECT_EQ(restore({"REPLACE", "ABSTTL"}, dump("v"), std::to_string(world.now)), "OK");
  EXPECT_EQ(world.run("EXISTS k"), "0");
}

TEST_F(Dump, AKeyThatIsThereIsReplacedOnlyWhenTold) {
  world.run("SET k old");
  EXPECT_EQ(restore({}, dump("v")), "-BUSYKEY Target key name already exists.");
  EXPECT_EQ(world.run("GET k"), "'old'");
  EXPECT_EQ(restore({"REPLACE"}, dump("v")), "OK");
  EXPECT_EQ(world.run("GET k"), "'v'");
  // What is due is not there any more.
  world.run("SET k old PX 10");
  world.now += 10;
  EXPECT_EQ(restore({}, dump("w")), "OK");
  EXPECT_EQ(world.run("GET k"), "'w'");
}

TEST_F(Dump, OptionsAreCheckedAsByRedis) {
  const std::string payload = dump("v");
  EXPECT_EQ(restore({"IDLETIME", "5"}, payload), "OK");
  EXPECT_EQ(restore({"REPLACE", "FREQ", "255"}, payload), "OK");
  EXPECT_EQ(restore({"IDLETIME", "-1"}, payload), "-ERR Invalid IDLETIME value, must be >= 0");
  for (const char* freq : {"-1", "256"}) {
    EXPECT_EQ(restore({"FREQ", freq}, payload), "-ERR Invalid FREQ value, must be >= 0 and <= 255");
  }
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"x"},
                                             {"IDLETIME"},
                                             {"FREQ"},
                                             {"IDLETIME", "1", "FREQ", "1"},
                                             {"FREQ", "1", "IDLETIME", "1"}}) {
    EXPECT_EQ(restore(words, payload), "-ERR syntax error");
  }
}

TEST_F(Dump, DamagedPayloadsChangeNothing) {
  world.run("SET k old");
  std::string payload = dump("value");
  payload[2] = static_cast<char>(payload[2] ^ 1);
  EXPECT_EQ(restore({"REPLACE"}, payload), "-ERR DUMP payload version or checksum are wrong");
  EXPECT_EQ(restore({"REPLACE"}, ""), "-ERR DUMP payload version or checksum are wrong");
  EXPECT_EQ(restore({"REPLACE"}, sealed("\0\x05v"s)), "-ERR Bad data format");
  EXPECT_EQ(restore({"REPLACE"}, sealed("\x12\x01\x01\x01x"s)), "-ERR Bad data format");  // a list
  EXPECT_EQ(restore({"REPLACE"}, sealed("\0\x01v"s)), "OK");
  EXPECT_EQ(world.run("GET k"), "'v'");
}

}  // namespace
}  // namespace raftkv::test
