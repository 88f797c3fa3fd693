// raftkv-cli members and transfer, against nodes that play a cluster.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

#include "tests/unit/client/cli_harness.h"
#include "tests/unit/client/fake_node.h"

namespace raftkv::client {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

// Members of a cluster and who leads it, as every fake node tells it.
class FakeCluster {
 public:
  explicit FakeCluster(int nodes) {
    for (int id = 1; id <= nodes; ++id) {
      nodes_[id] =
          std::make_unique<FakeNode>([this, id](const Args& args) { return on(id, args); });
    }
    for (auto& [id, node] : nodes_) {
      members_[id] = {"voter", node->address().to_string(), fmt::format("10.0.0.{}:17001", id)};
    }
  }

  std::string address(int id) const { return nodes_.at(id)->address().to_string(); }
  std::string addresses() const {
    std::string text;
    for (const auto& [id, node] : nodes_) text += (text.empty() ? "" : ",") + address(id);
    return text;
  }
  void lead(int id) {
    const std::lock_guard lock(mutex_);
    leader_ = id;
  }
  // How many looks at a learner it takes until it votes.
  void promote_after(int looks) { looks_until_promoted_ = looks; }
  // The next change is done, but its reply is lost.
  void lose_next_reply() { lose_reply_ = true; }
  void die(int id) { nodes_.at(id)->die(); }
  std::vector<std::string> changes() {
    const std::lock_guard lock(mutex_);
    return changes_;
  }
  CliRun run(std::vector<std::string> args) {
    args.insert(args.end(), {"--nodes", addresses()});
    return cli(args);
  }

 private:
  struct Member {
    std::string role;
    std::string client;
    std::string peer;
    bool promote = false;
  };

  static std::string field(const std::string& name, const std::string& value) {
    return bulk(name).bytes + bulk(value).bytes;
  }
  static std::string field(const std::string& name, int64_t value) {
    return bulk(name).bytes + fmt::format(":{}\r\n", value);
  }

  Answer on(int id, const Args& args) {
    const std::lock_guard lock(mutex_);
    if (args.size() > 1 && args[1] == "LIST") return list(id);
    if (leader_ == 0) return text("-CLUSTERDOWN no leader is known");
    if (id != leader_) return moved_to(nodes_.at(leader_)->address());
    std::string words;
    for (const std::string& arg : args) words += (words.empty() ? "" : " ") + arg;
    changes_.push_back(words);
    const std::string refusal = change(args);
    if (!refusal.empty()) return text("-" + refusal);
    return std::exchange(lose_reply_, false) ? hang_up() : ok();
  }

  std::string change(const Args& args) {
    if (args[0] == "RAFT.TRANSFER") {
      leader_ = args.size() > 1 ? std::stoi(args[1]) : leader_ % 3 + 1;
      return "";
    }
    const int id = std::stoi(args[2]);
    if (args[1] == "ADD") {
      if (members_.contains(id)) return fmt::format("ERR node {} is a member already", id);
      members_[id] = {"learner", args[3], args[4], args.size() == 5};
    } else if (args[1] == "UPDATE") {
      members_[id].client = args[3];
      members_[id].peer = args[4];
    } else if (args[1] == "PROMOTE") {
      members_[id].role = "voter";
    } else {
      if (id == 9) return "ERR with node 9 removed nobody would answer";
      members_.erase(id);
      if (id == leader_) leader_ = members_.begin()->first;
    }
    return "";
  }

  Answer list(int id) {
    std::string out = "*14\r\n" + field("cluster_id", std::string(40, 'c')) +
                      field("answered_by", id) + field("leader", leader_) + field("term", 3) +
                      field("index", 7) + field("phase", "stable") + bulk("members").bytes +
                      fmt::format("*{}\r\n", members_.size());
    for (auto& [number, member] : members_) {
      if (member.promote && member.role == "learner" && looks_until_promoted_-- <= 0) {
        member.role = "voter";
      }
      out += "*20\r\n" + field("id", number) + field("name", "n") + field("role", member.role) +
             field("client", member.client) + field("peer", member.peer) +
             field("leader", number == leader_) + field("promote", member.promote) +
             field("active", 1) + field("match", 5) + field("lag", 4);
    }
    return text(out.substr(0, out.size() - 2));
  }

  std::mutex mutex_;
  std::map<int, Member> members_;
  int leader_ = 1;
  int looks_until_promoted_ = 0;
  bool lose_reply_ = false;
  std::vector<std::string> changes_;
  // Last: their threads end before what they look at does.
  std::map<int, std::unique_ptr<FakeNode>> nodes_;
};

TEST(CliMembers, ListsThemAsTheLeaderSeesThem) {
  FakeCluster cluster(3);
  cluster.lead(2);
  const CliRun run = cluster.run({"members", "list"});
  EXPECT_EQ(run.exit_code, kExitOk) << run.err;
  EXPECT_THAT(run.out, HasSubstr("n2    voter  " + cluster.address(2)));
  EXPECT_THAT(run.out, HasSubstr("cluster id: cccc"));
  const Json json = Json::parse(cluster.run({"members", "list", "--json"}).out);
  EXPECT_EQ(json["leader"], 2);
  EXPECT_EQ(json["cluster_id"], std::string(40, 'c'));
  EXPECT_EQ(json["members"][0]["role"], "voter");
  EXPECT_EQ(json["members"][0]["lag"], 4);
}

TEST(CliMembers, WithoutALeaderTheListFailsAtItsDeadline) {
  FakeCluster cluster(1);
  cluster.lead(0);
  const CliRun run = cluster.run({"members", "list", "--deadline", "1"});
  EXPECT_EQ(run.exit_code, kExitFailed);
  EXPECT_THAT(run.err, HasSubstr("knows no leader"));
}

TEST(CliMembers, AddWaitsUntilTheNodeVotes) {
  FakeCluster cluster(3);
  cluster.promote_after(3);
  const CliRun run = cluster.run(
      {"members", "add", "--id", "6", "--client", "10.0.0.6:7001", "--peer", "10.0.0.6:17001"});
  EXPECT_EQ(run.exit_code, kExitOk) << run.err;
  EXPECT_THAT(run.err, HasSubstr("node 6 is a learner, 4 entries behind"));
  EXPECT_THAT(run.out, HasSubstr("node 6 votes"));
  EXPECT_THAT(run.out, HasSubstr("4 voters survive the loss of no more nodes than 3"));
  EXPECT_EQ(cluster.changes(),
            (std::vector<std::string>{"RAFT.MEMBERS ADD 6 10.0.0.6:7001 10.0.0.6:17001"}));
}

TEST(CliMembers, AddThatNeverCatchesUpEndsAtItsDeadlineAsUnknown) {
  FakeCluster cluster(3);
  cluster.promote_after(1'000'000);
  const CliRun run = cluster.run({"members", "add", "--id", "6", "--client", "10.0.0.6:7001",
                                  "--peer", "10.0.0.6:17001", "--deadline", "1"});
  EXPECT_EQ(run.exit_code, kExitUnknown);
  EXPECT_THAT(run.err, HasSubstr("repeating the command is safe"));
  EXPECT_THAT(run.err, HasSubstr("it was asked for, but is not finished in time"));
  EXPECT_THAT(run.err, testing::Not(HasSubstr("no leader answered")));
}

TEST(CliMembers, ALearnerIsPromotedByHand) {
  FakeCluster cluster(3);
  EXPECT_EQ(cluster
                .run({"members", "add", "--id", "6", "--client", "10.0.0.6:7001", "--peer",
                      "10.0.0.6:17001", "--no-promote"})
                .exit_code,
            kExitOk);
  EXPECT_EQ(cluster.changes().back(), "RAFT.MEMBERS ADD 6 10.0.0.6:7001 10.0.0.6:17001 NOPROMOTE");
  const CliRun run = cluster.run({"members", "promote", "--id", "6", "--json"});
  EXPECT_EQ(run.exit_code, kExitOk) << run.out;
  EXPECT_EQ(Json::parse(run.out)["members"][3]["role"], "voter");
}

TEST(CliMembers, AChangeWhoseReplyIsLostIsLookedForBeforeItIsRepeated) {
  FakeCluster cluster(3);
  cluster.lose_next_reply();
  const CliRun run = cluster.run(
      {"members", "add", "--id", "6", "--client", "10.0.0.6:7001", "--peer", "10.0.0.6:17001"});
  EXPECT_EQ(run.exit_code, kExitOk) << run.err;
  EXPECT_EQ(cluster.changes().size(), 1U);
}

TEST(CliMembers, AddOfAnIdThatIsTakenIsRefused) {
  FakeCluster cluster(3);
  const CliRun run = cluster.run(
      {"members", "add", "--id", "3", "--client", "10.0.0.6:7001", "--peer", "10.0.0.6:17001"});
  EXPECT_EQ(run.exit_code, kExitFailed);
  EXPECT_THAT(run.err, HasSubstr("node 3 is a member already"));
  EXPECT_TRUE(cluster.changes().empty());
}

TEST(CliMembers, RemoveTellsWhatIsLeftToDo) {
  FakeCluster cluster(3);
  const CliRun run = cluster.run({"members", "remove", "--id", "1"});
  EXPECT_EQ(run.exit_code, kExitOk) << run.err;
  EXPECT_THAT(run.out, HasSubstr("node 1 is removed"));
  EXPECT_THAT(run.out, HasSubstr("delete its data directory"));
  const CliRun again = cluster.run({"members", "remove", "--id", "1"});
  EXPECT_EQ(again.exit_code, kExitFailed);
  EXPECT_THAT(again.err, HasSubstr("node 1 is no member; the members are 2, 3"));
}

TEST(CliMembers, ReplaceAddsFirstAndRemovesThen) {
  FakeCluster cluster(3);
  const CliRun run = cluster.run({"members", "replace", "--id", "2", "--new-id", "6", "--client",
                                  "10.0.0.6:7001", "--peer", "10.0.0.6:17001"});
  EXPECT_EQ(run.exit_code, kExitOk) << run.err;
  EXPECT_EQ(cluster.changes(),
            (std::vector<std::string>{"RAFT.MEMBERS ADD 6 10.0.0.6:7001 10.0.0.6:17001",
                                      "RAFT.MEMBERS REMOVE 2"}));
}

TEST(CliMembers, ReplaceAtTheSameAddressRemovesFirst) {
  FakeCluster cluster(3);
  const CliRun run = cluster.run({"members", "replace", "--id", "2", "--new-id", "6", "--client",
                                  cluster.address(2), "--peer", "10.0.0.2:17001"});
  EXPECT_EQ(run.exit_code, kExitOk) << run.err;
  ASSERT_EQ(cluster.changes().size(), 2U);
  EXPECT_EQ(cluster.changes()[0], "RAFT.MEMBERS REMOVE 2");
  EXPECT_EQ(cluster.changes()[1], "RAFT.MEMBERS ADD 6 " + cluster.address(2) + " 10.0.0.2:17001");
}

TEST(CliMembers, UpdateGivesNewAddresses) {
  FakeCluster cluster(3);
  const CliRun run = cluster.run(
      {"members", "update", "--id", "3", "--client", "10.0.0.9:7001", "--peer", "10.0.0.9:17001"});
  EXPECT_EQ(run.exit_code, kExitOk) << run.err;
  EXPECT_EQ(cluster.changes().size(), 1U);
}

TEST(CliMembers, WhatTheServerRefusesIsTold) {
  FakeCluster cluster(3);
  cluster.run(
      {"members", "add", "--id", "9", "--client", "10.0.0.9:7001", "--peer", "10.0.0.9:17001"});
  const CliRun run = cluster.run({"members", "remove", "--id", "9"});
  EXPECT_EQ(run.exit_code, kExitFailed);
  EXPECT_THAT(run.err, HasSubstr("the server refused: ERR with node 9 removed"));
}

TEST(CliTransfer, FollowsTheLeaderAndNamesTheNewOne) {
  FakeCluster cluster(3);
  cluster.lead(2);
  const CliRun run = cluster.run({"transfer", "--to", "3"});
  EXPECT_EQ(run.exit_code, kExitOk) << run.err;
  EXPECT_THAT(run.out, HasSubstr("node 3 leads"));
  EXPECT_EQ(Json::parse(cluster.run({"transfer", "--json"}).out)["leader"], 1);
}

TEST(CliMembers, WrongCommandLinesSendNothing) {
  FakeCluster cluster(1);
  EXPECT_EQ(cluster.run({"members"}).exit_code, kExitUsage);
  const CliRun unknown = cluster.run({"members", "lose"});
  EXPECT_EQ(unknown.exit_code, kExitUsage);
  EXPECT_THAT(unknown.err, HasSubstr("members add"));
  EXPECT_EQ(cluster.run({"members", "add", "--client", "h:1", "--peer", "h:2"}).exit_code,
            kExitUsage);
  EXPECT_EQ(
      cluster.run({"members", "add", "--id", "0", "--client", "h:1", "--peer", "h:2"}).exit_code,
      kExitUsage);
  const CliRun address =
      cluster.run({"members", "add", "--id", "2", "--client", "nowhere", "--peer", "h:2"});
  EXPECT_EQ(address.exit_code, kExitFailed);
  EXPECT_THAT(address.err, HasSubstr("--client"));
  EXPECT_TRUE(cluster.changes().empty());
  const CliRun help = cli({"help", "members", "add"});
  EXPECT_EQ(help.exit_code, kExitOk);
  EXPECT_THAT(help.out, HasSubstr("--no-promote"));
}

}  // namespace
}  // namespace raftkv::client
