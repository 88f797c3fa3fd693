// --import_rdb: what a fresh directory becomes, and what is refused.
#include "server/import_rdb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "server/command/member_context.h"
#include "server/replica/start_point.h"
#include "storage/log/rocks_log_store.h"
#include "storage/snapshot/rdb_encoder.h"
#include "storage/snapshot/snapshot_directory.h"
#include "storage/snapshot/snapshot_loader.h"
#include "tests/unit/snapshot/rdb_kit.h"
#include "tests/unit/snapshot/snapshot_kit.h"

namespace raftkv::server {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr uint64_t kNowUs = 1'800'000'000'000'000;
constexpr int64_t kNowMs = kNowUs / 1000;

class ImportRdb : public testing::Test {
 protected:
  struct Started {
    raft::Restored restored;
    storage::SnapshotId snapshot;
    std::vector<raft::SnapshotMeta> recorded;
  };

  // What a start of the server finds.
  Started start() {
    auto log = storage::RocksLogStore::open(options_.data_dir + "/log", {.spare_wal_files = 0});
    EXPECT_TRUE(log.has_value()) << log.error();
    Started started;
    started.restored = *(*log)->recover();
    started.recorded = (*log)->snapshots();
    const auto files = storage::SnapshotDirectory::open(options_.data_dir + "/snapshots");
    started.snapshot = find_start_point(**log, **files, started.restored)->snapshot;
    return started;
  }
  storage::LoadedSnapshot load(storage::SnapshotId id) {
    const auto files = storage::SnapshotDirectory::open(options_.data_dir + "/snapshots");
    auto loaded = storage::load_snapshot(**(*files)->open(id), id, test::kCluster, 7);
    EXPECT_TRUE(loaded.has_value()) << loaded.error();
    return *std::move(loaded);
  }
  void write_file(const std::string& bytes) {
    std::ofstream(options_.file, std::ios::binary) << bytes;
  }
  void write_dump(const std::vector<std::pair<std::string, int64_t>>& keys) {
    storage::RdbBlock block;
    storage::RdbEncoder encoder(block);
    encoder.header();
    encoder.aux("redis-ver", "7.0.15");
    encoder.database(0, keys.size(), 0);
    for (const auto& [key, expiry_ms] : keys) {
      encoder.string_entry(key, "value of " + key, expiry_ms);
    }
    encoder.end_mark();
    write_file(test::with_checksum(test::packed(block)));
  }
  std::string refusal() {
    const auto report = import_rdb(options_);
    return report ? "" : report.error();
  }

  test::TempDir folder_;
  ImportRdbOptions options_{
      .file = folder_ / "dump.rdb",
      .data_dir = folder_ / "data",
      .identity = {.cluster_id = test::kCluster, .node_id = 4, .incarnation = 9},
      .membership = bootstrap_membership({{4, "127.0.0.1", 7001, "127.0.0.1", 17001}}),
      .hash_seed = 7,
      .wall_us = kNowUs};
};

TEST_F(ImportRdb, TheFileBecomesTheFirstStateOfAClusterOfOneNode) {
  write_dump({{"a", data::kNoExpiry}, {"b", kNowMs + 1}});
  const auto report = import_rdb(options_);
  ASSERT_TRUE(report.has_value()) << report.error();
  EXPECT_EQ(report->keys, 2u);
  const Started started = start();
  EXPECT_EQ(started.snapshot, (storage::SnapshotId{.term = 1, .index = 1}));
  EXPECT_EQ(started.restored.first_index, 2u);
  EXPECT_EQ(started.restored.last_index, 1u);
  EXPECT_EQ(started.restored.hard_state.term, 1u);
  EXPECT_EQ(started.restored.hard_state.commit, 1u);
  ASSERT_EQ(started.recorded.size(), 1u);
  EXPECT_EQ(started.recorded[0].membership, options_.membership);
  const storage::LoadedSnapshot loaded = load(started.snapshot);
  EXPECT_EQ(loaded.facts.meta, started.recorded[0]);
  EXPECT_EQ(loaded.facts.meta.time_us, kNowUs);
  data::Clock clock = data::Clock::at(kNowMs);
  EXPECT_EQ(loaded.keyspace.size(), 2u);
  EXPECT_NE(loaded.keyspace.find("a", clock), nullptr);
  EXPECT_NE(loaded.keyspace.find("b", clock), nullptr);
}

TEST_F(ImportRdb, KeysWhoseTimeHasPassedStayOut) {
  write_dump({{"due", kNowMs}, {"a", data::kNoExpiry}, {"long due", 1}});
  const auto report = import_rdb(options_);
  ASSERT_TRUE(report.has_value()) << report.error();
  EXPECT_EQ(report->keys, 1u);
  EXPECT_EQ(report->expired, 2u);
  EXPECT_EQ(load({.term = 1, .index = 1}).keyspace.size(), 1u);
}

TEST_F(ImportRdb, AnEmptyDumpIsAStateLikeOthers) {
  write_dump({});
  EXPECT_EQ(refusal(), "");
  EXPECT_EQ(start().snapshot.index, 1u);
}

TEST_F(ImportRdb, ADirectoryThatIsInUseIsRefusedAndLeftAlone) {
  write_dump({{"a", data::kNoExpiry}});
  ASSERT_EQ(refusal(), "");
  write_dump({{"other", data::kNoExpiry}});
  EXPECT_THAT(refusal(), AllOf(HasSubstr("fills only a fresh data directory"),
                               HasSubstr(options_.data_dir), HasSubstr("last index 1")));
  data::Clock clock = data::Clock::at(kNowMs);
  EXPECT_NE(load({.term = 1, .index = 1}).keyspace.find("a", clock), nullptr);
  // Before the file is looked at, which may be large.
  write_file("nonsense");
  EXPECT_THAT(refusal(), HasSubstr("fills only a fresh data directory"));
}

TEST_F(ImportRdb, ANodeThatHasVotedIsNotFresh) {
  write_dump({{"a", data::kNoExpiry}});
  {
    const auto directory = storage::open_data_directory(options_.data_dir, options_.identity);
    ASSERT_TRUE(directory.has_value()) << directory.error();
    auto log = storage::RocksLogStore::open(options_.data_dir + "/log", {.spare_wal_files = 0});
    ASSERT_TRUE((*log)->recover().has_value());
    raft::Persist persist;
    persist.token.sequence = 1;
    persist.hard_state = raft::HardState{.term = 3, .vote = 2, .commit = 0};
    const raft::Persist* const batch[] = {&persist};
    ASSERT_TRUE((*log)->write(batch).has_value());
  }
  EXPECT_THAT(refusal(), HasSubstr("is in use (term 3, last index 0)"));
}

TEST_F(ImportRdb, ADirectoryThatWasMadeAndNeverUsedIsFresh) {
  write_dump({{"a", data::kNoExpiry}});
  // As a crash before the record leaves it.
  ASSERT_TRUE(storage::open_data_directory(options_.data_dir, options_.identity).has_value());
  ASSERT_TRUE(storage::RocksLogStore::open(options_.data_dir + "/log", {.spare_wal_files = 0}));
  std::filesystem::create_directories(options_.data_dir + "/snapshots");
  std::ofstream(options_.data_dir + "/snapshots/snapshot-1-1.rdb") << "half a";
  EXPECT_EQ(refusal(), "");
  EXPECT_EQ(load(start().snapshot).keyspace.size(), 1u);
}

TEST_F(ImportRdb, ADirectoryThatHasLostItsLogIsNotFresh) {
  write_dump({{"a", data::kNoExpiry}});
  ASSERT_EQ(refusal(), "");
  std::filesystem::remove_all(options_.data_dir + "/log");
  EXPECT_THAT(refusal(), HasSubstr("this node's vote and log can't be trusted"));
  EXPECT_FALSE(std::filesystem::exists(options_.data_dir + "/log"));
}

TEST_F(ImportRdb, ABadFileIsNamedAndNothingIsCreated) {
  EXPECT_THAT(refusal(), AllOf(HasSubstr("--import_rdb=" + options_.file),
                               HasSubstr("No such file or directory")));
  write_file("nonsense");
  EXPECT_THAT(refusal(), HasSubstr("--import_rdb=" + options_.file));
  write_file(test::rdb_file("\x01\x05queue\x01\x01x"));
  EXPECT_THAT(refusal(), HasSubstr("key 'queue' is a list"));
  std::string damaged = test::rdb_file("");
  damaged[10] ^= 1;
  write_file(damaged);
  EXPECT_NE(refusal(), "");
  write_dump({{"a", data::kNoExpiry}, {"a", data::kNoExpiry}});
  EXPECT_THAT(refusal(), HasSubstr("the key 'a' comes twice"));
  options_.file = folder_.path();
  EXPECT_THAT(refusal(), HasSubstr("it is no file"));
  EXPECT_FALSE(std::filesystem::exists(options_.data_dir));
}

TEST_F(ImportRdb, AnotherNodesDirectoryIsRefused) {
  write_dump({{"a", data::kNoExpiry}});
  storage::Identity other = options_.identity;
  other.node_id = 5;
  ASSERT_TRUE(storage::open_data_directory(options_.data_dir, other).has_value());
  EXPECT_THAT(refusal(), HasSubstr("node 5"));
}

}  // namespace
}  // namespace raftkv::server
