// raftkv-cli snapshot and export against nodes that answer what the test wants.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/unit/client/cli_harness.h"
#include "tests/unit/client/fake_node.h"
#include "tests/unit/snapshot/rdb_kit.h"
#include "tests/unit/snapshot/snapshot_kit.h"

namespace raftkv::client {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

// Large enough for several parts.
std::string large_dump() {
  storage::RdbBlock block;
  storage::RdbEncoder encoder(block);
  encoder.header();
  encoder.database(0, 5, 0);
  for (int i = 0; i < 5; ++i) {
    encoder.string_entry(fmt::format("key:{}", i), std::string(600'000, static_cast<char>('a' + i)),
                         -1);
  }
  encoder.end_mark();
  return test::with_checksum(test::packed(block, false));
}

// One node of a cluster of two, with a snapshot.
class SnapshotNode {
 public:
  explicit SnapshotNode(int id, int leader = 1)
      : id_(id), leader_(leader), node_([this](const Args& args) { return answer(args); }) {}

  const Address& address() const { return node_.address(); }
  std::vector<std::string> commands() const {
    std::vector<std::string> all;
    for (const Args& args : node_.requests()) all.push_back(args[0] == "INFO" ? "INFO" : args[0]);
    return all;
  }

  std::string file = large_dump();
  Answer dbsize = text(":5");
  Answer saved = ok();
  int index = 30;
  // Called before a part is sent; an answer with bytes, or that closes, is sent in its place.
  std::function<Answer(uint64_t)> on_read = [](uint64_t) { return silence(); };
  void lead(int leader) { leader_ = leader; }

 private:
  Answer answer(const Args& args) {
    if (args[0] == "INFO") {
      return bulk(
          fmt::format("raft_node_id:{}\r\nraft_members:2\r\nraft_role:{}\r\nraft_term:2\r\n"
                      "raft_leader_id:{}\r\n",
                      id_, id_ == leader_ ? "leader" : "follower", leader_));
    }
    if (args[0] == "READONLY") return ok();
    if (args[0] == "DBSIZE") return dbsize;
    if (args[0] == "SAVE") return saved;
    if (args[0] == "RAFT.SNAPSHOT" && args[1] == "INFO") {
      return text(
          fmt::format("*10\r\n$4\r\nnode\r\n:{}\r\n$5\r\nindex\r\n:{}\r\n$4\r\nterm\r\n"
                      ":2\r\n$7\r\ntime_ms\r\n:1700000000000\r\n$5\r\nbytes\r\n:{}",
                      id_, index, file.size()));
    }
    if (args[0] == "RAFT.SNAPSHOT" && args[1] == "READ") {
      if (args[2] != std::to_string(index)) return text("-NOSNAPSHOT it is gone");
      const uint64_t offset = std::stoull(args[4]);
      Answer instead = on_read(offset);
      if (instead.close || !instead.bytes.empty()) return instead;
      return bulk(file.substr(offset, std::min<uint64_t>(std::stoull(args[5]), 1 << 20)));
    }
    return text("-ERR unknown command");
  }

  int id_;
  std::atomic<int> leader_;
  FakeNode node_;
};

std::string contents(const std::string& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return bytes.str();
}

class CliSnapshot : public ::testing::Test {
 protected:
  CliRun run(std::vector<std::string> args) {
    args.insert(args.end(),
                {"--nodes", first_.address().to_string() + "," + second_.address().to_string(),
                 "--timeout_ms", "1500"});
    return cli(args);
  }
  size_t files() const {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      (void)entry;
      ++count;
    }
    return count;
  }

  SnapshotNode first_{1};
  SnapshotNode second_{2};
  test::TempDir folder_;
  std::string out_ = folder_ / "dump.rdb";
};

TEST_F(CliSnapshot, TheLeaderTakesOneAndTellsOfIt) {
  const CliRun text = run({"snapshot"});
  EXPECT_EQ(text.exit_code, kExitOk) << text.err;
  EXPECT_THAT(text.out, HasSubstr(fmt::format("n1 {}: snapshot_index=30 bytes={} elapsed=",
                                              first_.address().to_string(), first_.file.size())));
  const Json json = Json::parse(run({"snapshot", "--json"}).out);
  EXPECT_EQ(json["ok"], true);
  EXPECT_EQ(json["node"], 1);
  EXPECT_EQ(json["index"], 30);
  EXPECT_EQ(json["term"], 2);
  EXPECT_EQ(json["bytes"], first_.file.size());
  EXPECT_THAT(second_.commands(), Not(Contains("SAVE")));
}

TEST_F(CliSnapshot, ANodeIsChosenByItsIdOrItsAddress) {
  EXPECT_THAT(run({"snapshot", "--node", "2"}).out, HasSubstr("n2 "));
  EXPECT_THAT(run({"snapshot", "--node", second_.address().to_string()}).out, HasSubstr("n2 "));
  EXPECT_THAT(first_.commands(), Not(Contains("SAVE")));
  CliRun wrong = run({"snapshot", "--node", "7"});
  EXPECT_EQ(wrong.exit_code, kExitFailed);
  EXPECT_THAT(wrong.err, HasSubstr("node 7 does not answer, or is no member"));
  wrong = run({"snapshot", "--node", "nonsense"});
  EXPECT_EQ(wrong.exit_code, kExitFailed);
  EXPECT_THAT(wrong.err, HasSubstr("--node: "));
}

TEST_F(CliSnapshot, ALeaderThatIsDeposedMeanwhileIsLeftForItsSuccessor) {
  first_.dbsize = moved_to(second_.address());
  std::jthread election([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    first_.lead(2);
    second_.lead(2);
  });
  const CliRun taken = run({"snapshot"});
  EXPECT_EQ(taken.exit_code, kExitOk) << taken.err;
  EXPECT_THAT(taken.out, HasSubstr("n2 "));
  EXPECT_THAT(first_.commands(), Not(Contains("SAVE")));
}

TEST_F(CliSnapshot, ANamedNodeSavesWhatItHasThoughItIsCutOff) {
  second_.dbsize = text("-CLUSTERDOWN no leader");
  EXPECT_EQ(run({"snapshot", "--node", "2"}).exit_code, kExitOk);
}

TEST_F(CliSnapshot, AFailureIsToldInTheNodesWords) {
  first_.saved = text("-ERR the snapshot failed: no space left on device");
  CliRun failed = run({"snapshot"});
  EXPECT_EQ(failed.exit_code, kExitFailed);
  EXPECT_THAT(failed.err, HasSubstr("SAVE: ERR the snapshot failed: no space left on device"));
  failed = run({"export", "--out", out_, "--json"});
  EXPECT_EQ(failed.exit_code, kExitFailed);
  EXPECT_THAT(Json::parse(failed.out)["error"], HasSubstr("no space left on device"));
  EXPECT_EQ(files(), 0u);
  const ClosedPort nobody;
  failed = cli({"snapshot", "--nodes", nobody.address().to_string()});
  EXPECT_EQ(failed.exit_code, kExitFailed);
  EXPECT_THAT(failed.err, HasSubstr("no node answers"));
}

TEST_F(CliSnapshot, ExportBringsTheWholeFile) {
  ASSERT_GT(first_.file.size(), size_t{2} << 20);
  const CliRun exported = run({"export", "--out", out_});
  EXPECT_EQ(exported.exit_code, kExitOk) << exported.err;
  EXPECT_THAT(exported.out, HasSubstr(fmt::format("{}: keys=5 bytes={} snapshot_index=30 node=n1",
                                                  out_, first_.file.size())));
  EXPECT_EQ(contents(out_), first_.file);
  EXPECT_EQ(files(), 1u);
}

TEST_F(CliSnapshot, ExportOverwritesNothingUnlessToldTo) {
  std::ofstream(out_) << "precious";
  const CliRun refused = run({"export", "--out", out_});
  EXPECT_EQ(refused.exit_code, kExitFailed);
  EXPECT_THAT(refused.err, HasSubstr("is there already; --replace overwrites it"));
  EXPECT_EQ(contents(out_), "precious");
  EXPECT_TRUE(first_.commands().empty());
  const CliRun replaced = run({"export", "--out", out_, "--replace", "--json"});
  EXPECT_EQ(replaced.exit_code, kExitOk) << replaced.err;
  EXPECT_EQ(Json::parse(replaced.out)["keys"], 5);
  EXPECT_EQ(contents(out_), first_.file);
}

TEST_F(CliSnapshot, ExportSaysAtOnceThatItCannotWrite) {
  const CliRun failed = run({"export", "--out", folder_ / "no/such/folder/dump.rdb"});
  EXPECT_EQ(failed.exit_code, kExitFailed);
  EXPECT_THAT(failed.err, AllOf(HasSubstr("cannot create"), HasSubstr("No such file")));
  EXPECT_TRUE(first_.commands().empty());
}

TEST_F(CliSnapshot, WhatCameDamagedIsNoExport) {
  first_.file[first_.file.size() / 2] ^= 4;
  const CliRun damaged = run({"export", "--out", out_});
  EXPECT_EQ(damaged.exit_code, kExitFailed);
  EXPECT_THAT(damaged.err, HasSubstr("what came is damaged"));
  EXPECT_EQ(files(), 0u);
  // Without a checksum nobody can tell.
  first_.file = large_dump();
  std::fill(first_.file.end() - 8, first_.file.end(), '\0');
  EXPECT_EQ(run({"export", "--out", out_}).exit_code, kExitFailed);
  EXPECT_EQ(files(), 0u);
}

TEST_F(CliSnapshot, ASnapshotThatIsGoneMeanwhileIsFollowedByTheNext) {
  bool gone = false;
  first_.on_read = [&](uint64_t offset) {
    if (offset == 0 || gone) return silence();
    gone = true;
    first_.index = 60;
    return text("-NOSNAPSHOT it is gone");
  };
  const CliRun exported = run({"export", "--out", out_});
  EXPECT_EQ(exported.exit_code, kExitOk) << exported.err;
  EXPECT_THAT(exported.out, HasSubstr("snapshot_index=60"));
  EXPECT_EQ(contents(out_), first_.file);
}

TEST_F(CliSnapshot, SnapshotsThatAreGoneAgainAndAgainEndIt) {
  first_.on_read = [&](uint64_t) { return text("-NOSNAPSHOT it is gone"); };
  const CliRun failed = run({"export", "--out", out_});
  EXPECT_EQ(failed.exit_code, kExitFailed);
  EXPECT_THAT(failed.err, HasSubstr("takes snapshots faster than they can be downloaded"));
  EXPECT_EQ(std::ranges::count(first_.commands(), "SAVE"), 3);
  EXPECT_EQ(files(), 0u);
}

TEST_F(CliSnapshot, ADownloadGoesOnWhereItsConnectionBroke) {
  int breaks = 0;
  std::vector<uint64_t> offsets;
  first_.on_read = [&](uint64_t offset) {
    offsets.push_back(offset);
    return offset != 0 && breaks++ == 0 ? hang_up() : silence();
  };
  const CliRun exported = run({"export", "--out", out_});
  EXPECT_EQ(exported.exit_code, kExitOk) << exported.err;
  EXPECT_EQ(contents(out_), first_.file);
  EXPECT_EQ(std::ranges::count(offsets, uint64_t{0}), 1) << "what was there is not sent again";
}

TEST_F(CliSnapshot, APartOfAnotherLengthIsRefused) {
  first_.on_read = [](uint64_t offset) { return offset == 0 ? bulk("short") : silence(); };
  const CliRun failed = run({"export", "--out", out_});
  EXPECT_EQ(failed.exit_code, kExitFailed);
  EXPECT_THAT(failed.err, HasSubstr("5 bytes came where others were due"));
  EXPECT_EQ(files(), 0u);
}

TEST_F(CliSnapshot, TheCommandLinesAreChecked) {
  EXPECT_EQ(run({"export"}).exit_code, kExitUsage);
  EXPECT_EQ(run({"snapshot", "--deadline", "0"}).exit_code, kExitUsage);
  EXPECT_THAT(cli({"help", "export"}).out, HasSubstr("--out"));
}

}  // namespace
}  // namespace raftkv::client
