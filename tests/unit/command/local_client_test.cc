#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/support/run_local.h"

namespace raftkv::server {
namespace {

using test::LocalWorld;
using test::reply_body;
using testing::ElementsAre;
using testing::IsEmpty;

// A world with the clients 3, 7 (who asks) and 9.
struct ClientWorld : LocalWorld {
  ClientWorld() {
    for (const uint64_t id : {3, 9}) {
      ClientState other;
      other.id = id;
      other.address = "127.0.0.1:5000" + std::to_string(id);
      other.local_address = "127.0.0.1:7001";
      host.clients_field[id] = other;
    }
  }

  std::vector<uint64_t> listed(const std::vector<std::string_view>& words) {
    std::vector<uint64_t> ids;
    std::istringstream lines(reply_body(run(words)));
    for (std::string line; std::getline(lines, line);) ids.push_back(std::stoull(line.substr(3)));
    return ids;
  }
};

TEST(Client, TellsItsNumber) {
  LocalWorld world;
  EXPECT_EQ(world.run({"CLIENT", "ID"}), ":7\r\n");
}

TEST(ClientSetname, GivesAndTakesAName) {
  LocalWorld world;
  EXPECT_EQ(world.run({"CLIENT", "GETNAME"}), "$-1\r\n");
  EXPECT_EQ(world.run({"CLIENT", "SETNAME", "web-1"}), "+OK\r\n");
  EXPECT_EQ(world.run({"CLIENT", "GETNAME"}), "$5\r\nweb-1\r\n");
  EXPECT_EQ(world.run({"CLIENT", "SETNAME", "a\nb"}),
            "-ERR Client names cannot contain spaces, newlines or special characters.\r\n");
  EXPECT_EQ(world.run({"CLIENT", "GETNAME"}), "$5\r\nweb-1\r\n");
  EXPECT_EQ(world.run({"CLIENT", "SETNAME", ""}), "+OK\r\n");
  EXPECT_EQ(world.run({"CLIENT", "GETNAME"}), "$-1\r\n");
}

TEST(ClientSetinfo, KeepsWhatTheLibrarySays) {
  LocalWorld world;
  EXPECT_EQ(world.run({"CLIENT", "SETINFO", "LIB-NAME", "redis-py"}), "+OK\r\n");
  EXPECT_EQ(world.run({"CLIENT", "SETINFO", "lib-ver", "5.0"}), "+OK\r\n");
  EXPECT_EQ(world.client.library_name, "redis-py");
  EXPECT_EQ(world.client.library_version, "5.0");
  EXPECT_EQ(world.run({"CLIENT", "SETINFO", "lib-os", "x"}),
            "-ERR Unrecognized option 'lib-os'\r\n");
  EXPECT_EQ(world.run({"CLIENT", "SETINFO", "lib-ver", "a b"}),
            "-ERR lib-ver cannot contain spaces, newlines or special characters.\r\n");
}

TEST(ClientInfo, ShowsTheConnectionInRedisFields) {
  LocalWorld world;
  world.client.name = "me";
  world.client.library_name = "lib";
  const std::string line = reply_body(world.run({"CLIENT", "INFO"}));
  EXPECT_TRUE(
      line.starts_with("id=7 addr=127.0.0.1:50007 laddr=127.0.0.1:7001 fd=12 name=me "
                       "age=90 idle=3 flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 "))
      << line;
  EXPECT_NE(line.find(" cmd=ping user=default redir=-1 resp=2 lib-name=lib lib-ver= "),
            std::string::npos)
      << line;
  EXPECT_TRUE(line.ends_with("\n"));
}

TEST(ClientInfo, FlagsSayWhatAConnectionIsIn) {
  LocalWorld world;
  world.client.readonly = true;
  EXPECT_NE(world.run({"CLIENT", "INFO"}).find(" flags=r "), std::string::npos);
  world.client.multi_queued = 0;
  EXPECT_NE(world.run({"CLIENT", "INFO"}).find(" flags=xr "), std::string::npos);
}

TEST(ClientList, ShowsAllOrThoseAskedFor) {
  ClientWorld world;
  EXPECT_THAT(world.listed({"CLIENT", "LIST"}), ElementsAre(3, 7, 9));
  EXPECT_THAT(world.listed({"CLIENT", "LIST", "TYPE", "normal"}), ElementsAre(3, 7, 9));
  EXPECT_THAT(world.listed({"CLIENT", "LIST", "TYPE", "PUBSUB"}), IsEmpty());
  EXPECT_THAT(world.listed({"CLIENT", "LIST", "TYPE", "slave"}), IsEmpty());
  EXPECT_THAT(world.listed({"CLIENT", "LIST", "ID", "9", "3", "55"}), ElementsAre(3, 9));
  EXPECT_EQ(world.run({"CLIENT", "LIST", "TYPE", "x"}), "-ERR Unknown client type 'x'\r\n");
  EXPECT_EQ(world.run({"CLIENT", "LIST", "ID", "x"}), "-ERR Invalid client ID\r\n");
  EXPECT_EQ(world.run({"CLIENT", "LIST", "ID"}), "-ERR syntax error\r\n");
  EXPECT_EQ(world.run({"CLIENT", "LIST", "TYPE", "normal", "x"}), "-ERR syntax error\r\n");
}

TEST(ClientList, IsVerbatimInResp3) {
  LocalWorld world;
  world.client.protocol = resp::Protocol::kResp3;
  EXPECT_TRUE(world.run({"CLIENT", "LIST"}).starts_with("="));
}

TEST(ClientKill, ByAddressClosesExactlyThatOne) {
  ClientWorld world;
  EXPECT_EQ(world.run({"CLIENT", "KILL", "127.0.0.1:50009"}), "+OK\r\n");
  EXPECT_THAT(world.host.killed_field, ElementsAre(9));
  EXPECT_EQ(world.run({"CLIENT", "KILL", "127.0.0.1:50009"}), "-ERR No such client\r\n");
}

TEST(ClientKill, TheOldFormMayCloseItself) {
  ClientWorld world;
  EXPECT_EQ(world.run({"CLIENT", "KILL", "127.0.0.1:50007"}), "+OK\r\n");
  EXPECT_TRUE(world.client.close_after_reply);
  EXPECT_THAT(world.host.killed_field, IsEmpty());
}

TEST(ClientKill, FiltersMustAllHold) {
  ClientWorld world;
  EXPECT_EQ(world.run({"CLIENT", "KILL", "ID", "9", "ADDR", "127.0.0.1:50003"}), ":0\r\n");
  EXPECT_EQ(world.run({"CLIENT", "KILL", "TYPE", "pubsub"}), ":0\r\n");
  EXPECT_EQ(world.run({"CLIENT", "KILL", "ID", "9", "USER", "default"}), ":1\r\n");
  EXPECT_EQ(world.run({"CLIENT", "KILL", "LADDR", "127.0.0.1:7001"}), ":1\r\n");
  EXPECT_THAT(world.host.killed_field, ElementsAre(9, 3));
}

TEST(ClientKill, SparesTheCallerUnlessToldOtherwise) {
  ClientWorld world;
  EXPECT_EQ(world.run({"CLIENT", "KILL", "TYPE", "normal"}), ":2\r\n");
  EXPECT_FALSE(world.client.close_after_reply);
  EXPECT_EQ(world.run({"CLIENT", "KILL", "ID", "7"}), ":0\r\n");
  EXPECT_EQ(world.run({"CLIENT", "KILL", "ID", "7", "SKIPME", "no"}), ":1\r\n");
  EXPECT_TRUE(world.client.close_after_reply);
}

TEST(ClientKill, RefusesWhatItDoesNotUnderstandBeforeItClosesAnybody) {
  ClientWorld world;
  EXPECT_EQ(world.run({"CLIENT", "KILL", "ID", "0"}),
            "-ERR client-id should be greater than 0\r\n");
  EXPECT_EQ(world.run({"CLIENT", "KILL", "ID", "9", "TYPE", "x"}),
            "-ERR Unknown client type 'x'\r\n");
  EXPECT_EQ(world.run({"CLIENT", "KILL", "USER", "bob"}), "-ERR No such user 'bob'\r\n");
  EXPECT_EQ(world.run({"CLIENT", "KILL", "SKIPME", "maybe"}), "-ERR syntax error\r\n");
  EXPECT_EQ(world.run({"CLIENT", "KILL", "ID", "9", "ADDR"}), "-ERR syntax error\r\n");
  EXPECT_THAT(world.host.killed_field, IsEmpty());
}

TEST(ClientReply, OffAndSkipAreSilent) {
  LocalWorld world;
  EXPECT_EQ(world.run({"CLIENT", "REPLY", "SKIP"}), "");
  EXPECT_EQ(world.client.reply_mode, ReplyMode::kSkipNext);
  EXPECT_EQ(world.run({"CLIENT", "REPLY", "OFF"}), "");
  EXPECT_EQ(world.client.reply_mode, ReplyMode::kOff);
  EXPECT_EQ(world.run({"CLIENT", "REPLY", "SKIP"}), "");
  EXPECT_EQ(world.client.reply_mode, ReplyMode::kOff) << "SKIP must not turn replies on";
  EXPECT_EQ(world.run({"CLIENT", "REPLY", "ON"}), "+OK\r\n");
  EXPECT_EQ(world.client.reply_mode, ReplyMode::kOn);
  EXPECT_EQ(world.run({"CLIENT", "REPLY", "x"}), "-ERR syntax error\r\n");
}

TEST(ClientSwitches, AreOnOrOff) {
  LocalWorld world;
  EXPECT_EQ(world.run({"CLIENT", "NO-EVICT", "ON"}), "+OK\r\n");
  EXPECT_TRUE(world.client.no_evict);
  EXPECT_EQ(world.run({"CLIENT", "NO-EVICT", "off"}), "+OK\r\n");
  EXPECT_FALSE(world.client.no_evict);
  EXPECT_EQ(world.run({"CLIENT", "NO-TOUCH", "on"}), "+OK\r\n");
  EXPECT_TRUE(world.client.no_touch);
  EXPECT_EQ(world.run({"CLIENT", "NO-TOUCH", "x"}), "-ERR syntax error\r\n");
}

TEST(ClientHelp, NamesEverySubcommand) {
  LocalWorld world;
  const std::string help = world.run({"CLIENT", "HELP"});
  EXPECT_TRUE(
      help.starts_with("*23\r\n+CLIENT <subcommand> [<arg> [value] [opt] ...]. "
                       "Subcommands are:\r\n"))
      << help;
  EXPECT_NE(help.find("+SETNAME <connection-name>\r\n"), std::string::npos) << help;
  EXPECT_NE(help.find("+REPLY ON|OFF|SKIP\r\n"), std::string::npos) << help;
  EXPECT_NE(help.find("+LIST [TYPE NORMAL|MASTER|REPLICA|PUBSUB] [ID <client-id> [...]]\r\n"),
            std::string::npos)
      << help;
}

TEST(Client, RefusesWhatItDoesNotHave) {
  LocalWorld world;
  EXPECT_EQ(world.run({"CLIENT", "MAINT_NOTIFICATIONS", "ON"}),
            "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n");
}

}  // namespace
}  // namespace raftkv::server
