// RAFT.SESSION and RAFT.ONCE as a client meets them, across lost leadership and through the log.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "tests/support/one_node.h"

namespace raftkv {
namespace {

using test::Client;
using test::OneNode;
using testing::HasSubstr;
using testing::StartsWith;

class OnceSession : public testing::Test {
 protected:
  void SetUp() override { id = open(); }

  std::string open(const std::string& how = "") {
    const std::string reply = client.call("RAFT.SESSION OPEN " + how);
    EXPECT_TRUE(reply.starts_with(":")) << reply;
    return reply.substr(1, reply.size() - 3);
  }
  std::string once(int sequence, const std::string& command) {
    return client.call("RAFT.ONCE " + id + " " + std::to_string(sequence) + " " + command);
  }
  // In steps, so that the leader hears of its followers meanwhile.
  void pass_s(int seconds) {
    for (int i = 0; i < 10 * seconds; ++i) {
      node.pass_ms(100);
      node.settle();
    }
  }
  // The node leads again, in a later term.
  void lead_again(OneNode& of) {
    of.settle();
    while (!of.replica().node().is_leader()) {
      of.pass_ms(50);
      of.settle();
    }
  }

  OneNode node{{}, 3};
  Client client{node};
  std::string id;
};

TEST_F(OnceSession, ARetryGetsTheFirstReplyAndHasNoEffect) {
  EXPECT_EQ(once(1, "INCR k"), ":1\r\n");
  EXPECT_EQ(once(1, "INCR k"), ":1\r\n");
  EXPECT_EQ(once(2, "INCR k"), ":2\r\n");
  EXPECT_EQ(once(1, "INCR k"), ":1\r\n");
  EXPECT_EQ(client.call("GET k"), "$1\r\n2\r\n");
  EXPECT_EQ(node.replica().stats().once_duplicates, 2u);
}

// Two sendings of the same command in one entry.
TEST_F(OnceSession, ADuplicateInTheSamePipelineIsFoundToo) {
  ASSERT_TRUE(client.send("RAFT.ONCE " + id + " 1 INCR k"));
  ASSERT_TRUE(client.send("RAFT.ONCE " + id + " 1 INCR k"));
  ASSERT_TRUE(client.send("GET k"));
  node.settle();
  EXPECT_EQ(client.take(), ":1\r\n:1\r\n$1\r\n1\r\n");
}

TEST_F(OnceSession, AnErrorIsAResultLikeAnyOther) {
  client.call("SET k text");
  const std::string error = once(1, "INCR k");
  EXPECT_THAT(error, StartsWith("-ERR value is not an integer"));
  client.call("SET k 5");
  EXPECT_EQ(once(1, "INCR k"), error);
  EXPECT_EQ(client.call("GET k"), "$1\r\n5\r\n");
  EXPECT_EQ(once(2, "INCR k"), ":6\r\n");
}

TEST_F(OnceSession, WhatWasRefusedBeforeTheLogUsesUpNoNumber) {
  EXPECT_THAT(once(1, "GET k"), HasSubstr("only writes"));
  EXPECT_EQ(once(1, "INCR k"), ":1\r\n");
}

TEST_F(OnceSession, ARetryAfterLostLeadershipIsExecutedOnce) {
  node.silence_followers();
  ASSERT_TRUE(client.send("RAFT.ONCE " + id + " 1 INCR k"));
  node.turn();  // it stands in the log
  node.depose();
  node.settle();
  EXPECT_THAT(client.take(), StartsWith("-UNKNOWN "));
  node.wake_followers();
  lead_again(node);
  EXPECT_EQ(once(1, "INCR k"), ":1\r\n");  // that of the first attempt, which took effect
  EXPECT_EQ(client.call("GET k"), "$1\r\n1\r\n");
  EXPECT_EQ(node.replica().stats().once_duplicates, 1u);
}

TEST_F(OnceSession, AnUnknownSessionIsNotMadeAndSaysWhatIsNotKnown) {
  const std::string error = client.call("RAFT.ONCE 12345 1 INCR k");
  EXPECT_THAT(error, StartsWith("-NOSESSION session 12345 is not open"));
  EXPECT_THAT(error, HasSubstr("unknown"));
  EXPECT_THAT(client.call("RAFT.ONCE 12345 1 INCR k"), StartsWith("-NOSESSION "));
  EXPECT_EQ(client.call("GET k"), "$-1\r\n");
}

TEST_F(OnceSession, AnExpiredSessionIsGoneByTheLogsTime) {
  id = open("TTL 10");
  EXPECT_EQ(once(1, "INCR k"), ":1\r\n");
  pass_s(9);
  EXPECT_EQ(once(2, "INCR k"), ":2\r\n");
  pass_s(9);
  EXPECT_EQ(once(2, "INCR k"), ":2\r\n");
  pass_s(11);
  EXPECT_THAT(once(2, "INCR k"), StartsWith("-NOSESSION "));
  EXPECT_THAT(once(3, "INCR k"), StartsWith("-NOSESSION "));
  EXPECT_EQ(client.call("GET k"), "$1\r\n2\r\n");
  // The entry that found it so has also cleared it away.
  EXPECT_EQ(node.replica().state().once().count(), 1u);
}

TEST_F(OnceSession, WithoutTrafficNoEntryIsProposedForExpiry) {
  open("TTL 1");
  const auto before = node.replica().node().last_index();
  pass_s(10);
  EXPECT_EQ(node.replica().node().last_index(), before);
}

TEST_F(OnceSession, CloseForgetsASession) {
  EXPECT_EQ(once(1, "INCR k"), ":1\r\n");
  EXPECT_EQ(client.call("RAFT.SESSION CLOSE " + id), ":1\r\n");
  EXPECT_EQ(client.call("RAFT.SESSION CLOSE " + id), ":0\r\n");
  EXPECT_THAT(once(1, "INCR k"), StartsWith("-NOSESSION "));
}

TEST_F(OnceSession, ADroppedReplyIsToldFromAnUnknownSession) {
  server::ReplicaOptions options;
  options.once.replies_max = 2;
  OneNode small(options);
  Client other(small);
  const std::string opened = other.call("RAFT.SESSION OPEN");
  const std::string session = opened.substr(1, opened.size() - 3);
  for (const char* sequence : {"1", "2", "3"}) {
    other.call("RAFT.ONCE " + session + " " + sequence + " INCR k");
  }
  EXPECT_THAT(other.call("RAFT.ONCE " + session + " 1 INCR k"),
              StartsWith("-REPLYGONE command 1 of session " + session + " was executed"));
  EXPECT_EQ(other.call("RAFT.ONCE " + session + " 2 INCR k"), ":2\r\n");
  EXPECT_THAT(other.call("RAFT.ONCE " + session + " 4 ACK 3 INCR k"), ":4\r\n");
  EXPECT_THAT(other.call("RAFT.ONCE " + session + " 2 INCR k"), StartsWith("-ACKED command 2 "));
  EXPECT_EQ(other.call("GET k"), "$1\r\n4\r\n");
}

TEST_F(OnceSession, TooManyGapsAreRefusedInWords) {
  for (int i = 1; i <= 1024; ++i) once(2 * i, "INCR k");
  EXPECT_THAT(once(3000, "INCR k"), StartsWith("-SEQGAPS "));
  EXPECT_EQ(client.call("GET k"), "$4\r\n1024\r\n");
}

TEST_F(OnceSession, SessionsAreLimitedByTheLeaderThatOpensThem) {
  server::ReplicaOptions options;
  options.once.sessions_max = 1;
  OneNode small(options);
  Client other(small);
  EXPECT_THAT(other.call("RAFT.SESSION OPEN TTL 5"), StartsWith(":"));
  EXPECT_THAT(other.call("RAFT.SESSION OPEN"), StartsWith("-MAXSESSIONS 1 sessions are open"));
  small.pass_ms(6'000);
  EXPECT_THAT(other.call("RAFT.SESSION OPEN"), StartsWith(":"));
}

TEST_F(OnceSession, RepliesAreThoseOfTheSessionsProtocolTranslatedForWhoAsks) {
  server::ClientState resp3;
  resp3.protocol = resp::Protocol::kResp3;
  Client three(node, resp3);
  const std::string call = "RAFT.ONCE " + id + " 1 GETDEL nothing";
  EXPECT_EQ(three.call(call), "_\r\n");
  EXPECT_EQ(three.call(call), "_\r\n");
  EXPECT_EQ(client.call(call), "$-1\r\n");
  const std::string opened = three.call("RAFT.SESSION OPEN");
  const std::string second = "RAFT.ONCE " + opened.substr(1, opened.size() - 3) + " 1 GETDEL k";
  EXPECT_EQ(client.call(second), "$-1\r\n");
  EXPECT_EQ(three.call(second), "_\r\n");
}

TEST_F(OnceSession, IsACommandOfATransaction) {
  const auto run = [this] {
    client.call("MULTI");
    EXPECT_EQ(once(1, "INCR k"), "+QUEUED\r\n");
    EXPECT_EQ(client.call("INCR plain"), "+QUEUED\r\n");
    EXPECT_EQ(once(2, "INCR k"), "+QUEUED\r\n");
    return client.call("EXEC");
  };
  EXPECT_EQ(run(), "*3\r\n:1\r\n:1\r\n:2\r\n");
  EXPECT_EQ(run(), "*3\r\n:1\r\n:2\r\n:2\r\n");
  EXPECT_EQ(client.call("MGET k plain"), "*2\r\n$1\r\n2\r\n$1\r\n2\r\n");
}

TEST_F(OnceSession, AMistakeInWhatIsCarriedAbortsATransaction) {
  client.call("MULTI");
  EXPECT_THAT(once(1, "NOPE k"), StartsWith("-ERR unknown command"));
  EXPECT_THAT(client.call("EXEC"), StartsWith("-EXECABORT"));
  client.call("MULTI");
  EXPECT_THAT(client.call("RAFT.SESSION OPEN"), HasSubstr("not allowed inside a transaction"));
  EXPECT_THAT(client.call("EXEC"), StartsWith("-EXECABORT"));
}

TEST_F(OnceSession, TouchesTheWatchedKeysOfWhatItCarriesAndNoOthers) {
  Client watcher(node);
  const auto exec_after = [&](const std::string& key, const std::function<void()>& act) {
    watcher.call("WATCH " + key);
    act();
    watcher.call("MULTI");
    watcher.call("PING");
    return watcher.call("EXEC");
  };
  const std::string aborted = "*-1\r\n";
  EXPECT_EQ(exec_after("b", [this] { once(1, "MSET a 1 b 2"); }), aborted);
  EXPECT_NE(exec_after("c", [this] { once(2, "MSET a 1 b 2"); }), aborted);
  EXPECT_EQ(exec_after("c", [this] { once(3, "FLUSHALL"); }), aborted);
  EXPECT_NE(exec_after("c", [this] { open(); }), aborted);
}

TEST_F(OnceSession, IsMovedWithTheSlotOfTheCarriedKey) {
  node.depose();
  node.settle();
  EXPECT_THAT(once(1, "INCR foo"), StartsWith("-MOVED 12182 "));
}

TEST_F(OnceSession, CountsTheCarriedCommandAndItself) {
  client.call("SET k text");
  once(1, "INCR k");
  once(1, "INCR k");
  const auto& commands = node.replica().stats().commands;
  EXPECT_EQ(commands.at("incr").calls, 1u);
  EXPECT_EQ(commands.at("incr").failed, 1u);
  EXPECT_EQ(commands.at("raft.once").calls, 2u);
  EXPECT_EQ(commands.at("raft.session|open").calls, 1u);
  EXPECT_EQ(node.replica().stats().errors.at("ERR"), 2u);  // one each time the client got one
}

TEST_F(OnceSession, ListTellsOfOpenSessions) {
  once(1, "INCR k");
  const std::string list = client.call("RAFT.SESSION LIST");
  EXPECT_THAT(list, StartsWith("*1\r\n*18\r\n$7\r\nsession\r\n:" + id + "\r\n"));
  EXPECT_THAT(list, HasSubstr("$8\r\nexecuted\r\n:1\r\n"));
  EXPECT_EQ(client.call("RAFT.SESSION LIST FROM 9007199254740991"), "*0\r\n");
  client.call("RAFT.SESSION CLOSE " + id);
  EXPECT_EQ(client.call("RAFT.SESSION LIST"), "*0\r\n");
}

TEST_F(OnceSession, TheDigestOfTheStateCoversSessions) {
  once(1, "SET k 1");
  const auto before = node.replica().state().digest();
  const auto keys = node.replica().state().keyspace().digest(0);
  once(2, "SET k 1");
  EXPECT_EQ(node.replica().state().keyspace().digest(0), keys);
  EXPECT_NE(node.replica().state().digest(), before);
}

}  // namespace
}  // namespace raftkv
