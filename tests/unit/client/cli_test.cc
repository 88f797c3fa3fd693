#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/client/cli_harness.h"
#include "tests/unit/client/fake_node.h"

namespace raftkv::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Json = nlohmann::json;

// Runs a command against one node that knows no sessions and gives one answer to everything else,
// and keeps what that was.
class CliKv : public ::testing::Test {
 protected:
  CliRun run(const Answer& answer, std::vector<std::string> args) {
    FakeNode node([&answer](const Args& request) {
      return request[0] == "RAFT.SESSION" ? text("-ERR unknown command 'RAFT.SESSION'") : answer;
    });
    args.insert(args.end(), {"--nodes", node.address().to_string(), "--timeout_ms", "300"});
    const CliRun result = cli(args);
    asked_ = node.requests();
    std::erase_if(asked_, [](const Args& request) { return request[0] == "RAFT.SESSION"; });
    return result;
  }

  std::vector<Args> asked_;
};

TEST(CliUsage, HelpListsTheCommands) {
  for (const auto& args : {Args{"--help"}, Args{"-h"}, Args{"help"}}) {
    const CliRun run = cli(args);
    EXPECT_EQ(run.exit_code, kExitOk);
    for (const char* command : {"status", "put", "get", "del", "incr", "bench", "import"}) {
      EXPECT_THAT(run.out, HasSubstr(std::string("\n  ") + command + " "));
    }
  }
}

TEST(CliUsage, HelpOfACommandListsItsFlagsAndTheCommonOnes) {
  for (const auto& args :
       {Args{"help", "bench"}, Args{"bench", "--help"}, Args{"bench", "--n", "5", "-h"}}) {
    const CliRun run = cli(args);
    EXPECT_EQ(run.exit_code, kExitOk);
    for (const char* flag : {"--n", "--clients", "--pipeline", "--value_size", "--read_share",
                             "--duration_s", "--warmup_s", "--keyspace", "--patience_s", "--once",
                             "--incr", "--nodes", "--timeout_ms", "--json"}) {
      EXPECT_THAT(run.out, HasSubstr(std::string("\n  ") + flag)) << flag;
    }
  }
}

TEST(CliUsage, AWrongCommandLineIsExplainedAndSendsNothing) {
  const auto expect_usage = [](const Args& args, const std::string& part) {
    const CliRun run = cli(args);
    EXPECT_EQ(run.exit_code, kExitUsage) << part;
    EXPECT_THAT(run.err, StartsWith("raftkv-cli: "));
    EXPECT_THAT(run.err, HasSubstr(part));
    EXPECT_THAT(run.err, HasSubstr("See: raftkv-cli "));
    EXPECT_EQ(run.out, "");
  };
  expect_usage({}, "no command is given");
  expect_usage({"pet"}, "unknown command 'pet'");
  expect_usage({"help", "pet"}, "unknown command 'pet'");
  expect_usage({"get"}, "get: --key is missing");
  expect_usage({"get", "--key", "k", "--color"}, "get: unknown flag --color");
  expect_usage({"get", "--key", "k", "--nodes", "here"}, "--nodes: 'here' is not an address");
  expect_usage({"bench", "--clients", "1001"}, "--clients takes a number from 1 to 1000");
}

TEST_F(CliKv, PutPrintsOk) {
  const CliRun result = run(ok(), {"put", "--key", "k", "--value", "v"});
  EXPECT_EQ(result.exit_code, kExitOk);
  EXPECT_EQ(result.out, "OK\n");
  EXPECT_THAT(asked_, ElementsAre(Args{"SET", "k", "v"}));
}

TEST_F(CliKv, PutTakesATimeToLive) {
  run(ok(), {"put", "--key=k", "--value=v", "--ttl_ms=1500"});
  EXPECT_THAT(asked_, ElementsAre(Args{"SET", "k", "v", "PX", "1500"}));
}

TEST_F(CliKv, GetPrintsTheValue) {
  const CliRun result = run(bulk("a\nb"), {"get", "--key", "k"});
  EXPECT_EQ(result.exit_code, kExitOk);
  EXPECT_EQ(result.out, "a\nb\n");
  EXPECT_THAT(asked_, ElementsAre(Args{"GET", "k"}));
}

TEST_F(CliKv, GetOfAMissingKeyPrintsNilAndFails) {
  const CliRun result = run(text("$-1"), {"get", "--key", "k"});
  EXPECT_EQ(result.exit_code, kExitFailed);
  EXPECT_EQ(result.out, "(nil)\n");
}

TEST_F(CliKv, DelAndIncrPrintTheirNumber) {
  EXPECT_EQ(run(text(":1"), {"del", "--key", "k"}).out, "1\n");
  EXPECT_THAT(asked_, ElementsAre(Args{"DEL", "k"}));
  EXPECT_EQ(run(text(":-41"), {"incr", "--key", "k", "--by", "-42"}).out, "-41\n");
  EXPECT_THAT(asked_, ElementsAre(Args{"INCRBY", "k", "-42"}));
  run(text(":1"), {"incr", "--key", "k"});
  EXPECT_THAT(asked_, ElementsAre(Args{"INCRBY", "k", "1"}));
}

TEST_F(CliKv, JsonIsOneObjectALine) {
  EXPECT_EQ(Json::parse(run(bulk("v"), {"get", "--key", "k", "--json"}).out),
            (Json{{"ok", true}, {"key", "k"}, {"value", "v"}}));
  EXPECT_EQ(Json::parse(run(text("$-1"), {"get", "--key", "k", "--json"}).out),
            (Json{{"ok", true}, {"key", "k"}, {"value", nullptr}}));
  EXPECT_EQ(Json::parse(run(ok(), {"put", "--key", "k", "--value", "v", "--json"}).out),
            (Json{{"ok", true}, {"key", "k"}}));
  EXPECT_EQ(Json::parse(run(text(":5"), {"incr", "--key", "k", "--json"}).out),
            (Json{{"ok", true}, {"key", "k"}, {"value", 5}}));
  const CliRun failed = run(text("-WRONGTYPE x"), {"incr", "--key", "k", "--json"});
  EXPECT_EQ(failed.exit_code, kExitFailed);
  EXPECT_EQ(Json::parse(failed.out),
            (Json{{"ok", false}, {"kind", "server"}, {"error", "WRONGTYPE x"}}));
}

TEST_F(CliKv, JsonOfBytesThatAreNotTextIsStillJson) {
  const CliRun result = run(bulk("\xff\x01"), {"get", "--key", "k", "--json"});
  EXPECT_TRUE(Json::accept(result.out));
}

TEST_F(CliKv, AnUnknownOutcomeHasAnExitCodeOfItsOwnAndSaysWhatIsInDoubt) {
  const CliRun incr = run(hang_up(), {"incr", "--key", "k"});
  EXPECT_EQ(incr.exit_code, kExitUnknown);
  EXPECT_THAT(incr.err, HasSubstr("outcome unknown: "));
  EXPECT_THAT(incr.err, HasSubstr("the increment may or may not have been done"));
  EXPECT_EQ(asked_.size(), 1U);
  const CliRun del = run(text("-UNKNOWN leadership lost"), {"del", "--key", "k"});
  EXPECT_EQ(del.exit_code, kExitUnknown);
  EXPECT_THAT(del.err, HasSubstr("may or may not have been deleted"));
  EXPECT_EQ(asked_.size(), 1U);
}

TEST_F(CliKv, PutAndGetAreRepeatedUntilTheDeadline) {
  EXPECT_EQ(run(hang_up(), {"put", "--key", "k", "--value", "v"}).exit_code, kExitUnknown);
  EXPECT_GT(asked_.size(), 1U);
  EXPECT_EQ(run(hang_up(), {"get", "--key", "k"}).exit_code, kExitFailed);
  EXPECT_GT(asked_.size(), 1U);
}

TEST_F(CliKv, WhatSurelyDidNotHappenIsSaidSo) {
  const CliRun result = run(text("-CLUSTERDOWN no leader"), {"incr", "--key", "k"});
  EXPECT_EQ(result.exit_code, kExitFailed);
  EXPECT_THAT(result.err, HasSubstr("nothing was changed"));
  EXPECT_THAT(result.err, HasSubstr("raftkv-cli status"));
}

TEST(CliNodes, ComeFromTheEnvironmentUnlessGiven) {
  FakeNode node([](const Args&) { return bulk("v"); });
  ASSERT_EQ(setenv("RAFTKV_NODES", node.address().to_string().c_str(), 1), 0);
  EXPECT_EQ(cli({"get", "--key", "k"}).out, "v\n");
  const ClosedPort closed;
  EXPECT_EQ(cli({"get", "--key", "k", "--timeout_ms=100", "--nodes", closed.address().to_string()})
                .exit_code,
            kExitFailed);
  ASSERT_EQ(unsetenv("RAFTKV_NODES"), 0);
}

}  // namespace
}  // namespace raftkv::client
