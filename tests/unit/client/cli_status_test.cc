#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "client/connection.h"
#include "tests/unit/client/cli_harness.h"
#include "tests/unit/client/fake_node.h"

namespace raftkv::client {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using Json = nlohmann::json;

struct Facts {
  int id;
  std::string role = "follower";
  int term = 4;
  int leader = 1;
  int members = 3;
  int last = 100;
  std::string peers = "";
};

Answer info_of(const Facts& facts, const std::string& section) {
  if (section == "keyspace") return bulk("# Keyspace\r\ndb0:keys=12,expires=0,avg_ttl=0\r\n");
  if (section == "server") return bulk("# Server\r\nraftkv_version:0.1.0\r\n");
  return bulk(fmt::format(
      "# Raft\r\nraft_node_id:{}\r\nraft_members:{}\r\nraft_role:{}\r\nraft_term:{}\r\n"
      "raft_leader_id:{}\r\nraft_commit_index:99\r\nraft_applied_index:98\r\nraft_last_index:{}\r\n"
      "raft_snapshot_index:30\r\nraft_digest_mismatches:2\r\n"
      "raft_digest_last_ok_time:1700000001\r\n{}",
      facts.id, facts.members, facts.role, facts.term, facts.leader, facts.last, facts.peers));
}

std::unique_ptr<FakeNode> node(const Facts& facts) {
  return std::make_unique<FakeNode>(
      [facts](const Args& args) { return info_of(facts, args.at(1)); });
}

std::string peer(int number, int id, const Address& address, int lag) {
  return fmt::format("raft_peer{}:id={},addr={},match=90,lag={}\r\n", number, id,
                     address.to_string(), lag);
}

// The words of the line that begins with `first`.
std::vector<std::string> line_of(const std::string& out, const std::string& first) {
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::vector<std::string> cells{std::istream_iterator<std::string>(words), {}};
    if (!cells.empty() && cells.front() == first) return cells;
  }
  return {};
}

class CliStatus : public ::testing::Test {
 protected:
  // Three members of which n3 is down.
  CliRun run(const Args& more = {}) {
    follower_ = node({.id = 2, .last = 95});
    leader_ =
        node({.id = 1,
              .role = "leader",
              .peers = peer(0, 2, follower_->address(), 5) + peer(1, 3, dead_.address(), 10)});
    Args args = {"status", "--nodes",
                 leader_->address().to_string() + "," + follower_->address().to_string() + "," +
                     dead_.address().to_string()};
    args.insert(args.end(), more.begin(), more.end());
    return cli(args);
  }

  ClosedPort dead_;
  std::unique_ptr<FakeNode> leader_;
  std::unique_ptr<FakeNode> follower_;
};

TEST_F(CliStatus, PrintsALineANode) {
  const CliRun result = run();
  EXPECT_EQ(result.exit_code, kExitOk);
  EXPECT_EQ(line_of(result.out, "node"),
            (Args{"node", "address", "role", "term", "leader", "commit/applied/last", "lag",
                  "snapshot_index", "keys", "state"}));
  EXPECT_EQ(line_of(result.out, "n1"), (Args{"n1", leader_->address().to_string(), "leader", "4",
                                             "n1", "99/98/100", "0", "30", "12", "up"}));
  EXPECT_EQ(line_of(result.out, "n2"), (Args{"n2", follower_->address().to_string(), "follower",
                                             "4", "n1", "99/98/95", "5", "30", "12", "up"}));
  EXPECT_EQ(line_of(result.out, "n3"),
            (Args{"n3", dead_.address().to_string(), "-", "-", "-", "-", "10", "-", "-",
                  "unreachable", "(Connection", "refused)"}));
  EXPECT_THAT(result.out, HasSubstr("leader: n1, 2 of 3 members up"));
}

TEST_F(CliStatus, TheLongFormHasALineAFigure) {
  const CliRun result = run({"--long"});
  EXPECT_EQ(result.exit_code, kExitOk);
  EXPECT_THAT(result.out, HasSubstr("node: n2\n"));
  EXPECT_THAT(result.out, HasSubstr("  snapshot_index: 30\n"));
  EXPECT_THAT(result.out, HasSubstr("  raftkv_version: 0.1.0\n"));
}

TEST_F(CliStatus, JsonHasTheSameFigures) {
  const Json json = Json::parse(run({"--json"}).out);
  EXPECT_EQ(json["healthy"], true);
  EXPECT_EQ(json["leader_id"], 1);
  EXPECT_EQ(json["leader_address"], leader_->address().to_string());
  ASSERT_EQ(json["nodes"].size(), 3U);
  EXPECT_EQ(json["nodes"][1]["node"], "n2");
  EXPECT_EQ(json["nodes"][1]["lag"], 5);
  EXPECT_EQ(json["nodes"][1]["snapshot_index"], 30);
  EXPECT_EQ(json["nodes"][1]["digest_mismatches"], 2);
  EXPECT_EQ(json["nodes"][1]["digest_last_ok_time"], 1'700'000'001);
  EXPECT_EQ(json["nodes"][1]["keys"], 12);
  EXPECT_EQ(json["nodes"][2]["state"], "unreachable");
  EXPECT_EQ(json["nodes"][2]["reason"], "Connection refused");
}

TEST_F(CliStatus, AsksMembersThatOnlyTheLeaderNames) {
  run();
  const CliRun result = cli({"status", "--nodes", leader_->address().to_string()});
  EXPECT_EQ(result.exit_code, kExitOk);
  EXPECT_EQ(line_of(result.out, "n2").at(1), follower_->address().to_string());
  EXPECT_THAT(result.out, HasSubstr("2 of 3 members up"));
}

TEST(CliStatusHealth, AMinorityFailsAndSaysWhatIsMissing) {
  const auto alone = node({.id = 1, .role = "leader"});
  const CliRun result = cli({"status", "--nodes", alone->address().to_string()});
  EXPECT_EQ(result.exit_code, kExitFailed);
  EXPECT_THAT(result.out, HasSubstr("1 of 3 members up"));
  EXPECT_THAT(result.out, HasSubstr("2 must be up"));
}

TEST(CliStatusHealth, NoLeaderFails) {
  const auto candidate = node({.id = 1, .role = "candidate", .leader = 0, .members = 1});
  const CliRun result = cli({"status", "--nodes", candidate->address().to_string()});
  EXPECT_EQ(result.exit_code, kExitFailed);
  EXPECT_THAT(result.out, HasSubstr("leader: none"));
  EXPECT_THAT(result.out, HasSubstr("ask again"));
}

TEST(CliStatusHealth, TheLeaderOfTheHighestTermCounts) {
  const auto deposed = node({.id = 1, .role = "leader", .term = 4, .leader = 1});
  const auto current = node({.id = 2, .role = "leader", .term = 5, .leader = 2});
  const CliRun result = cli(
      {"status", "--nodes", current->address().to_string() + "," + deposed->address().to_string()});
  EXPECT_THAT(result.out, HasSubstr("leader: n2"));
}

// One after the other these would cost five seconds.
TEST(CliStatusHealth, NodesThatHangCostOneSecondTogether) {
  const std::vector<BlackHole> holes(4);
  FakeNode silent([](const Args&) { return silence(); });
  std::string nodes = silent.address().to_string();
  for (const BlackHole& hole : holes) nodes += "," + hole.address().to_string();
  const auto start = Clock::now();
  const CliRun result = cli({"status", "--nodes", nodes});
  EXPECT_LT(Clock::now() - start, 3s);
  EXPECT_EQ(result.exit_code, kExitFailed);
  EXPECT_THAT(result.out, HasSubstr("unreachable (timed out)"));
  EXPECT_THAT(result.out, HasSubstr("unreachable (no answer in time)"));
}

TEST(CliStatusHealth, AnotherKindOfServerIsNotTakenForANode) {
  FakeNode redis([](const Args&) { return bulk("# Server\r\nredis_version:7.0.0\r\n"); });
  FakeNode locked([](const Args&) { return text("-NOAUTH Authentication required."); });
  const CliRun result =
      cli({"status", "--nodes", redis.address().to_string() + "," + locked.address().to_string()});
  EXPECT_EQ(result.exit_code, kExitFailed);
  EXPECT_THAT(result.out, HasSubstr("not a RaftKV node"));
  EXPECT_THAT(result.out, HasSubstr("NOAUTH"));
}

}  // namespace
}  // namespace raftkv::client
