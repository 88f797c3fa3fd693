#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/command/config_command.h"
#include "tests/support/run_local.h"

namespace raftkv::server {
namespace {

using test::LocalWorld;
using testing::HasSubstr;
using testing::Not;

struct ConfigWorld : LocalWorld {
  ConfigWorld() {
    host.settings_field = {
        {"maxclients", "100", true}, {"timeout", "0", true}, {"data_dir", "/data", false}};
  }
  std::string value(std::string_view name) const { return setting_value(host, name); }
};

TEST(ConfigGet, AnswersWhatToolsAsk) {
  ConfigWorld world;
  EXPECT_EQ(world.run({"CONFIG", "GET", "save"}), "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
  EXPECT_EQ(world.run({"CONFIG", "GET", "appendonly"}), "*2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n");
  EXPECT_EQ(world.run({"CONFIG", "GET", "databases"}), "*2\r\n$9\r\ndatabases\r\n$1\r\n1\r\n");
  EXPECT_EQ(world.run({"CONFIG", "GET", "port"}), "*2\r\n$4\r\nport\r\n$4\r\n7001\r\n");
  EXPECT_EQ(world.run({"CONFIG", "GET", "nonsense"}), "*0\r\n");
}

TEST(ConfigGet, PrefersTheHostsValue) {
  ConfigWorld world;
  EXPECT_EQ(world.run({"CONFIG", "GET", "maxclients"}), "*2\r\n$10\r\nmaxclients\r\n$3\r\n100\r\n");
}

TEST(ConfigGet, TakesSeveralPatternsInAnyCaseAndNamesEachSettingOnce) {
  ConfigWorld world;
  EXPECT_EQ(world.run({"CONFIG", "GET", "MAXCLIENT?", "max*s", "[t]imeout"}),
            "*4\r\n$10\r\nmaxclients\r\n$3\r\n100\r\n$7\r\ntimeout\r\n$1\r\n0\r\n");
  world.client.protocol = resp::Protocol::kResp3;
  EXPECT_TRUE(world.run({"CONFIG", "GET", "*"}).starts_with("%"));
}

TEST(ConfigSet, ChangesSeveralAtOnce) {
  ConfigWorld world;
  EXPECT_EQ(world.run({"CONFIG", "SET", "maxclients", "5", "TIMEOUT", "30"}), "+OK\r\n");
  EXPECT_EQ(world.value("maxclients"), "5");
  EXPECT_EQ(world.value("timeout"), "30");
}

TEST(ConfigSet, ChangesAllOrNothing) {
  ConfigWorld world;
  EXPECT_EQ(
      world.run({"CONFIG", "SET", "maxclients", "5", "timeout", "bad"}),
      "-ERR CONFIG SET failed (possibly related to argument 'timeout') - argument couldn't be "
      "parsed into an integer\r\n");
  EXPECT_EQ(world.value("maxclients"), "100");
  EXPECT_EQ(world.run({"CONFIG", "SET", "maxclients", "5", "nonsense", "1"}),
            "-ERR Unknown option or number of arguments for CONFIG SET - 'nonsense'\r\n");
  EXPECT_EQ(world.value("maxclients"), "100");
  EXPECT_EQ(world.run({"CONFIG", "SET", "maxclients", "5", "maxclients", "6"}),
            "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - duplicate "
            "parameter\r\n");
  EXPECT_EQ(world.value("maxclients"), "100");
}

TEST(ConfigSet, RefusesToChangeWhatIsFixed) {
  ConfigWorld world;
  const std::string refusal =
      "-ERR CONFIG SET failed (possibly related to argument 'appendonly') - can't set immutable "
      "config\r\n";
  EXPECT_EQ(world.run({"CONFIG", "SET", "appendonly", "no"}), refusal);
  EXPECT_EQ(
      world.run({"CONFIG", "SET", "data_dir", "/tmp"}),
      "-ERR CONFIG SET failed (possibly related to argument 'data_dir') - can't set immutable "
      "config\r\n");
}

TEST(ConfigSet, AcceptsTheValueThatAFixedSettingHas) {
  ConfigWorld world;
  EXPECT_EQ(world.run({"CONFIG", "SET", "save", ""}), "+OK\r\n");
  EXPECT_EQ(world.run({"CONFIG", "SET", "appendonly", "yes"}), "+OK\r\n");
}

TEST(ConfigSet, WantsPairs) {
  ConfigWorld world;
  EXPECT_EQ(world.run({"CONFIG", "SET", "maxclients", "5", "timeout"}), "-ERR syntax error\r\n");
}

TEST(ConfigRewrite, HasNoFileToWrite) {
  ConfigWorld world;
  EXPECT_EQ(world.run({"CONFIG", "REWRITE"}),
            "-ERR The server is running without a config file\r\n");
}

}  // namespace
}  // namespace raftkv::server
