// What RAFT.ONCE and RAFT.SESSION refuse before the log, and which keys a carried command has.
#include "server/command/once_command.h"

#include "tests/support/run_local.h"
#include "tests/unit/command/data_world.h"

namespace raftkv::test {
namespace {

using server::CommandSpec;
using server::CommandTable;

std::string error_of(std::string_view line) {
  const std::vector<std::string> words = split_words(line);
  const std::vector<std::string_view> args(words.begin(), words.end());
  const CommandSpec* spec = nullptr;
  return CommandTable::instance().admission_error(args, &spec);
}

TEST(OnceAdmission, TakesWritesWithAndWithoutAck) {
  EXPECT_EQ(error_of("RAFT.ONCE 17 1 INCR k"), "");
  EXPECT_EQ(error_of("raft.once 17 5 ack 3 mset a 1 b 2"), "");
  EXPECT_EQ(error_of("RAFT.ONCE 17 5 ACK 5 FLUSHALL"), "");
}

TEST(OnceAdmission, RefusesNumbersThatAreNone) {
  EXPECT_THAT(error_of("RAFT.ONCE x 1 INCR k"), testing::HasSubstr("RAFT.SESSION OPEN"));
  EXPECT_THAT(error_of("RAFT.ONCE 0 1 INCR k"), testing::StartsWith("ERR the session"));
  for (const char* sequence : {"0", "-1", "x", "1.5", "9223372036854775808"}) {
    EXPECT_THAT(error_of(std::string("RAFT.ONCE 1 ") + sequence + " INCR k"),
                testing::StartsWith("ERR the sequence number"));
  }
  EXPECT_THAT(error_of("RAFT.ONCE 1 5 ACK 0 INCR k"), testing::StartsWith("ERR ACK"));
  EXPECT_THAT(error_of("RAFT.ONCE 1 5 ACK"), testing::StartsWith("ERR ACK"));
  EXPECT_THAT(error_of("RAFT.ONCE 1 5 ACK 6 INCR k"), testing::HasSubstr("must not be above"));
}

TEST(OnceAdmission, RefusesWhatItCanNotCarry) {
  EXPECT_EQ(error_of("RAFT.ONCE 1 1"), "ERR wrong number of arguments for 'raft.once' command");
  EXPECT_THAT(error_of("RAFT.ONCE 1 1 ACK 1"), testing::HasSubstr("carries no command"));
  EXPECT_THAT(error_of("RAFT.ONCE 1 1 NOPE k"), testing::StartsWith("ERR unknown command 'NOPE'"));
  EXPECT_EQ(error_of("RAFT.ONCE 1 1 INCR"), "ERR wrong number of arguments for 'incr' command");
  EXPECT_THAT(error_of("RAFT.ONCE 1 1 GET k"), testing::HasSubstr("only writes"));
  EXPECT_THAT(error_of("RAFT.ONCE 1 1 PING"), testing::HasSubstr("only writes"));
  EXPECT_THAT(error_of("RAFT.ONCE 1 1 MULTI"), testing::HasSubstr("only writes"));
  EXPECT_THAT(error_of("RAFT.ONCE 1 1 RAFT.ONCE 1 2 INCR k"), testing::HasSubstr("nested"));
  EXPECT_THAT(error_of("RAFT.ONCE 1 1 RAFT.SESSION OPEN"), testing::HasSubstr("nested"));
}

// A client must not choose how deep the server's stack gets.
TEST(OnceAdmission, DoesNotFollowCallsWithinCalls) {
  std::vector<std::string_view> args;
  for (int i = 0; i < 300'000; ++i) args.insert(args.end(), {"RAFT.ONCE", "1", "1"});
  const CommandSpec* spec = nullptr;
  EXPECT_THAT(CommandTable::instance().admission_error(args, &spec), testing::HasSubstr("nested"));
}

TEST(SessionAdmission, TakesAndRefusesArguments) {
  EXPECT_EQ(error_of("RAFT.SESSION OPEN"), "");
  EXPECT_EQ(error_of("raft.session open ttl 60"), "");
  EXPECT_EQ(error_of("RAFT.SESSION OPEN 60"), "ERR syntax error");
  EXPECT_EQ(error_of("RAFT.SESSION OPEN TTL"), "ERR syntax error");
  EXPECT_EQ(error_of("RAFT.SESSION OPEN TTL 60 RESP 3"), "ERR syntax error");
  for (const char* ttl : {"0", "-1", "x", "315360001"}) {
    EXPECT_THAT(error_of(std::string("RAFT.SESSION OPEN TTL ") + ttl),
                testing::HasSubstr("from 1 to 315360000"));
  }
  EXPECT_EQ(error_of("RAFT.SESSION CLOSE 5"), "");
  EXPECT_THAT(error_of("RAFT.SESSION CLOSE x"), testing::StartsWith("ERR the session"));
  EXPECT_EQ(error_of("RAFT.SESSION LIST"), "");
  EXPECT_EQ(error_of("RAFT.SESSION LIST FROM 5"), "");
  EXPECT_EQ(error_of("RAFT.SESSION LIST 5"), "ERR syntax error");
  EXPECT_THAT(error_of("RAFT.SESSION LIST FROM x"), testing::StartsWith("ERR the session"));
}

TEST(OnceKeys, AreThoseOfTheCarriedCommand) {
  const CommandSpec& once = *CommandTable::instance().find("raft.once");
  const std::vector<std::string_view> plain = {"RAFT.ONCE", "1", "1", "MSET", "foo", "1", "b", "2"};
  const std::vector<std::string_view> acked = {"RAFT.ONCE", "1", "2", "ACK", "1", "INCR", "foo"};
  const std::vector<std::string_view> none = {"RAFT.ONCE", "1", "2", "FLUSHALL"};
  EXPECT_EQ(server::command_slot(once, plain), server::key_slot("foo"));
  EXPECT_EQ(server::command_slot(once, acked), server::key_slot("foo"));
  EXPECT_EQ(server::command_slot(once, none), 0);
  std::vector<std::string_view> keys;
  server::for_each_key(once, plain, [&keys](std::string_view key) { keys.push_back(key); });
  EXPECT_THAT(keys, testing::ElementsAre("foo", "b"));
}

TEST(OnceKeys, AreToldByCommandGetkeys) {
  LocalWorld world;
  const auto run = [&world](std::string_view line) {
    const std::vector<std::string> words = split_words(line);
    return readable(world.run({words.begin(), words.end()}));
  };
  EXPECT_EQ(run("COMMAND GETKEYS RAFT.ONCE 1 1 MSET a 1 b 2"), "['a', 'b']");
  EXPECT_EQ(run("COMMAND GETKEYS RAFT.ONCE 1 2 ACK 1 INCR k"), "['k']");
  EXPECT_EQ(run("COMMAND GETKEYSANDFLAGS RAFT.ONCE 1 1 SET k v GET"),
            "[['k', [RW, access, update]]]");
  EXPECT_EQ(run("COMMAND GETKEYS RAFT.ONCE 1 1 NOPE k"), "-ERR Invalid command specified");
  EXPECT_EQ(run("COMMAND GETKEYS RAFT.ONCE 1 1 FLUSHALL"), "-ERR The command has no key arguments");
  EXPECT_EQ(run("COMMAND GETKEYS RAFT.ONCE 1"), "-ERR Invalid command specified");
}

TEST(OnceOpening, StandsInTheLogWithTheLeadersLimits) {
  const std::vector<std::string_view> plain = {"RAFT.SESSION", "OPEN"};
  const std::vector<std::string_view> given = {"RAFT.SESSION", "OPEN", "TTL", "60"};
  const server::OnceLimits limits{
      .ttl_s = 1, .replies_max = 2, .reply_bytes_max = 3, .sessions_max = 4};
  const auto opening = [&](server::Args args, resp::Protocol protocol) {
    const std::vector<std::string> words = server::opening_for_log(args, limits, protocol);
    return server::read_opening(std::vector<std::string_view>(words.begin(), words.end())).value();
  };
  EXPECT_EQ(opening(plain, resp::Protocol::kResp2).ttl_s, 1u);
  const server::SessionOpening read = opening(given, resp::Protocol::kResp3);
  EXPECT_EQ(read.ttl_s, 60u);
  EXPECT_EQ(read.protocol, resp::Protocol::kResp3);
  EXPECT_EQ(read.replies_max, 2u);
  EXPECT_EQ(read.reply_bytes_max, 3u);
  EXPECT_EQ(read.sessions_max, 4u);
  EXPECT_EQ(server::read_opening(plain), std::nullopt);
  EXPECT_EQ(server::read_opening(given), std::nullopt);
}

}  // namespace
}  // namespace raftkv::test
