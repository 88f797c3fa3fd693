// From a live dataset to a file and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>

#include "storage/snapshot/snapshot_cut_job.h"
#include "storage/snapshot/snapshot_directory.h"
#include "storage/snapshot/snapshot_loader.h"
#include "storage/snapshot/snapshot_memory.h"
#include "tests/unit/snapshot/rdb_kit.h"
#include "tests/unit/snapshot/snapshot_kit.h"

namespace raftkv::test {
namespace {

using data::Keyspace;
using storage::load_snapshot;
using storage::SnapshotCutJob;
using storage::SnapshotCutOptions;
using storage::SnapshotDirectory;
using storage::SnapshotLoader;
using storage::SnapshotMemory;
using storage::SnapshotStore;
using storage::verify_snapshot;
using testing::HasSubstr;
using testing::IsEmpty;
using State = SnapshotCutJob::State;

void take_snapshot(Keyspace& keyspace, SnapshotStore& store, const storage::SnapshotFacts& of) {
  SnapshotCutJob job(keyspace, store, of);
  finish(job);
  ASSERT_EQ(job.state(), State::kDone) << job.error();
}

Dataset load(const SnapshotStore& store, storage::SnapshotId id) {
  const auto file = store.open(id);
  if (!file) return {{file.error(), {}}};
  auto loaded = load_snapshot(**file, id, kCluster, 77);
  if (!loaded) return {{loaded.error(), {}}};
  return dataset_of(loaded->keyspace);
}

TEST(Snapshot, WhatWasSavedIsLoadedWithItsFacts) {
  const TempDir dir;
  const auto store = std::move(*SnapshotDirectory::open(dir / "snapshots"));
  for (const size_t count : {0, 1, 30, 20'000}) {
    Keyspace keyspace(count);
    fill(keyspace, count);
    const storage::SnapshotFacts of = facts(100 + count, 7);
    take_snapshot(keyspace, *store, of);
    const auto file = *store->open(id_of(100 + count, 7));
    auto loaded = load_snapshot(*file, id_of(100 + count, 7), kCluster, 77);
    ASSERT_TRUE(loaded.has_value()) << loaded.error();
    EXPECT_EQ(dataset_of(loaded->keyspace), dataset_of(keyspace));
    EXPECT_EQ(loaded->keyspace.digest(0), keyspace.digest(0));
    EXPECT_EQ(loaded->keyspace.earliest_expiry(), keyspace.earliest_expiry());
    EXPECT_EQ(loaded->facts, of);
    const auto verified = verify_snapshot(*file, id_of(100 + count, 7), kCluster);
    ASSERT_TRUE(verified.has_value()) << verified.error();
    EXPECT_EQ(*verified, of);
  }
}

TEST(Snapshot, ANodeThatDoesNotKnowItsGroupHasNone) {
  SnapshotMemory store;
  Keyspace keyspace(1);
  storage::SnapshotFacts of = facts(1, 1);
  of.meta.membership = {};
  of.parts.clear();
  take_snapshot(keyspace, store, of);
  EXPECT_EQ(verify_snapshot(**store.open(id_of(1, 1)), id_of(1, 1), kCluster), of);
}

TEST(Snapshot, WritesDuringItAreNotInIt) {
  const TempDir dir;
  const auto store = std::move(*SnapshotDirectory::open(dir / "snapshots"));
  Keyspace keyspace(1);
  fill(keyspace, 30'000);
  const Dataset before = dataset_of(keyspace);
  SnapshotCutJob job(keyspace, *store, facts(10, 1), {.block_bytes = 4096});
  std::mt19937_64 random(1);
  wait_until([&] {
    job.advance(100);
    for (int i = 0; i < 20; ++i) {
      const std::string key = "key:" + std::to_string(random() % 40'000);
      if (random() % 3 == 0) {
        keyspace.erase(key);
      } else {
        keyspace.set_string(key, "changed");
      }
    }
    if (job.keys_done() == 20'000) keyspace.clear();
    return job.state() == State::kDone || job.state() == State::kFailed;
  });
  ASSERT_EQ(job.state(), State::kDone) << job.error();
  EXPECT_TRUE(load(*store, id_of(10, 1)) == before);
}

TEST(Snapshot, WaitsForTheDiskAndStallsWhenOldValuesPileUp) {
  SnapshotMemory store(SnapshotMemory::Finish::kWhenTold);
  Keyspace keyspace(1);
  fill(keyspace, 5000);
  const Dataset before = dataset_of(keyspace);
  SnapshotCutOptions options = {.block_bytes = 1000, .backlog_bytes_max = 60'000};
  options.writer.queue_bytes = 10'000;
  SnapshotCutJob job(keyspace, store, facts(10, 1), options);
  while (job.advance(100)) {
  }
  // The walk stops at the writer's limit by itself.
  EXPECT_EQ(job.state(), State::kCutting);
  EXPECT_LT(job.keys_done(), 1000u);
  EXPECT_LT(job.backlog_bytes(), 15'000u);
  EXPECT_FALSE(job.must_stall());
  // Writes can't be stopped by it: it says when they must.
  size_t written = 0;
  for (; written < 5000 && !job.must_stall(); ++written) {
    keyspace.set_string("key:" + std::to_string(written), "changed");
  }
  EXPECT_TRUE(job.must_stall());
  EXPECT_LT(written, 5000u);
  EXPECT_LT(job.backlog_bytes(), 62'000u);
  store.finish_writers();
  EXPECT_FALSE(job.must_stall());
  while (job.state() != State::kDone) {
    job.advance(1000);
    store.finish_writers();
  }
  EXPECT_EQ(load(store, id_of(10, 1)), before);
}

TEST(Snapshot, ASliceEndsAtItsLimitOfBytes) {
  SnapshotMemory store;
  Keyspace keyspace(1);
  for (int i = 0; i < 1000; ++i) keyspace.set_string(std::to_string(i), std::string(10'000, 'x'));
  SnapshotCutOptions options;
  options.slice_bytes = 100'000;
  SnapshotCutJob job(keyspace, store, facts(10, 1), options);
  EXPECT_TRUE(job.advance(1'000'000));
  EXPECT_LT(job.keys_done(), 70u);
}

TEST(Snapshot, ADiskThatFailsEndsItAndTheNextOneIsWhole) {
  SnapshotMemory store;
  Keyspace keyspace(1);
  fill(keyspace, 5000);
  {
    SnapshotCutJob job(keyspace, store, facts(10, 1), {.block_bytes = 1000});
    job.advance(100);
    for (int i = 0; i < 100; ++i) keyspace.set_string("key:" + std::to_string(i), "changed");
    store.fail_next_write("disk full");
    finish(job);
    EXPECT_EQ(job.state(), State::kFailed);
    EXPECT_EQ(job.error(), "disk full");
  }
  EXPECT_FALSE(keyspace.cut_runs(data::CutKind::kSnapshot));
  while (keyspace.work_slice(100)) {
  }
  take_snapshot(keyspace, store, facts(11, 1));
  EXPECT_EQ(load(store, id_of(11, 1)), dataset_of(keyspace));
  EXPECT_EQ(store.list()->size(), 1u);
}

TEST(Snapshot, AnAbandonedOneLeavesNothing) {
  const TempDir dir;
  const auto store = std::move(*SnapshotDirectory::open(dir / "snapshots"));
  Keyspace keyspace(1);
  fill(keyspace, 5000);
  {
    SnapshotCutJob job(keyspace, *store, facts(10, 1));
    job.advance(100);
    job.abandon();
    EXPECT_EQ(job.state(), State::kFailed);
    wait_until([&] { return job.may_end(); });
    keyspace.set_string("key:1", "changed");
    EXPECT_FALSE(job.advance(100));
  }
  {
    while (keyspace.work_slice(100)) {
    }
    const SnapshotCutJob ended_with_its_owner(keyspace, *store, facts(11, 1));
  }
  EXPECT_FALSE(keyspace.cut_runs(data::CutKind::kSnapshot));
  EXPECT_TRUE(std::filesystem::is_empty(dir / "snapshots"));
}

// --- loading -----------------------------------------------------------------------------------

TEST(SnapshotLoad, OnlyTheRightSnapshotOfTheRightClusterIsTaken) {
  SnapshotMemory store;
  Keyspace keyspace(1);
  fill(keyspace, 10);
  take_snapshot(keyspace, store, facts(10, 2));
  const auto file = *store.open(id_of(10, 2));
  EXPECT_THAT(load_snapshot(*file, id_of(11, 2), kCluster, 1).error(),
              HasSubstr("index 10 and term 2"));
  EXPECT_THAT(load_snapshot(*file, id_of(10, 3), kCluster, 1).error(),
              HasSubstr("index 10 and term 2"));
  EXPECT_THAT(load_snapshot(*file, id_of(10, 2), std::string(40, 'd'), 1).error(),
              HasSubstr("cluster"));
  EXPECT_TRUE(load_snapshot(*file, id_of(10, 2), "", 1).has_value());
}

TEST(SnapshotLoad, AFlippedBitAnywhereIsNoticed) {
  SnapshotMemory store;
  Keyspace keyspace(1);
  fill(keyspace, 12);
  take_snapshot(keyspace, store, facts(10, 2));
  const uint64_t size = store.list()->front().bytes;
  for (uint64_t byte = 0; byte < size; ++byte) {
    const auto bit = static_cast<unsigned>(byte % 8);
    ASSERT_TRUE(store.damage(id_of(10, 2), byte, bit));
    const auto file = *store.open(id_of(10, 2));
    EXPECT_FALSE(load_snapshot(*file, id_of(10, 2), kCluster, 1).has_value()) << byte;
    EXPECT_FALSE(verify_snapshot(*file, id_of(10, 2), kCluster).has_value()) << byte;
    ASSERT_TRUE(store.damage(id_of(10, 2), byte, bit));
  }
}

void put_file(SnapshotStore& store, const std::string& bytes) {
  const auto writer = store.write(id_of(10, 2), {.append_checksum = false});
  writer->submit({.bytes = bytes, .long_strings = {}});
  writer->finish();
}

std::string aux(const std::string& name, const std::string& value) {
  storage::RdbBlock block;
  storage::RdbEncoder(block).aux(name, value);
  return packed(block);
}

TEST(SnapshotLoad, WhatIsNoSnapshotIsSaidToBeNone) {
  SnapshotMemory store;
  const std::string good = aux("raftkv-format", "1") + aux("raftkv-cluster-id", kCluster) +
                           aux("raftkv-index", "10") + aux("raftkv-term", "2") +
                           aux("raftkv-time-us", "5");
  const auto error_of = [&](const std::string& records) {
    put_file(store, rdb_file(records));
    const auto loaded = load_snapshot(**store.open(id_of(10, 2)), id_of(10, 2), kCluster, 1);
    return loaded ? "" : loaded.error();
  };
  const std::string two_keys = "\xfe\x00\xfb\x02\x00\0\x01"s + "a\x01v\0\x01"s + "b\x01v";
  EXPECT_EQ(error_of(good + two_keys), "");
  EXPECT_THAT(error_of(two_keys), HasSubstr("no snapshot of a cluster"));
  EXPECT_THAT(error_of(aux("raftkv-format", "2") + good.substr(17)), HasSubstr("format 2"));
  EXPECT_THAT(error_of(good + aux("raftkv-format", "x")), HasSubstr("no number"));
  EXPECT_THAT(error_of(aux("raftkv-format", "1")), HasSubstr("raftkv-cluster-id is missing"));
  EXPECT_THAT(error_of(good + aux("raftkv-part-x", "0g")), HasSubstr("not hexadecimal"));
  EXPECT_THAT(error_of(good + aux("raftkv-membership", "")), HasSubstr("raftkv-membership"));
  EXPECT_THAT(error_of(good + aux("raftkv-novelty", "00")), HasSubstr("not known"));
  EXPECT_THAT(error_of(good + "\xfe\x00\xfb\x03\x00\0\x01"s + "a\x01v"),
              HasSubstr("it has 1 keys"));
  EXPECT_THAT(error_of(good + "\xfe\x00\xfb\x02\x00\0\x01"s + "a\x01v\0\x01"s + "a\x01v"),
              HasSubstr("'a' comes twice"));
  // Room is not made for more keys than the file can hold.
  EXPECT_THAT(
      error_of(good + "\xfe\x00\xfb\x81\xff\xff\xff\xff\xff\xff\xff\xff\x00\0\x01"s + "a\x01v"),
      HasSubstr("it has 1 keys"));
  put_file(store, rdb_file("").substr(0, 9));
  EXPECT_THAT(load_snapshot(**store.open(id_of(10, 2)), id_of(10, 2), kCluster, 1).error(),
              HasSubstr("snapshot-10-2.rdb: at byte 9"));
}

TEST(SnapshotLoad, BesideTheOwnerItShowsItsProgressAndWakesTheOwner) {
  SnapshotMemory store;
  Keyspace keyspace(1);
  fill(keyspace, 20'000);
  take_snapshot(keyspace, store, facts(10, 2));
  std::atomic<bool> woken = false;
  SnapshotLoader loader(*store.open(id_of(10, 2)), id_of(10, 2), kCluster, 3,
                        [&] { woken = true; });
  wait_until([&] { return woken.load(); });
  wait_until([&] { return loader.done(); });
  auto loaded = loader.take();
  ASSERT_TRUE(loaded.has_value()) << loaded.error();
  EXPECT_EQ(loader.progress().keys, 20'000u);
  EXPECT_EQ(loader.progress().keys_total, 20'000u);
  EXPECT_EQ(loader.progress().bytes, loader.progress().bytes_total);

  // The live dataset is exchanged for it at once, and freed later.
  const Dataset expected = dataset_of(keyspace);
  Keyspace live(5);
  fill(live, 50'000);
  live.replace_contents(std::move(loaded->keyspace));
  EXPECT_EQ(dataset_of(live), expected);
  EXPECT_TRUE(live.work_slice(1));
  EXPECT_FALSE(live.work_slice(1'000'000));
  live.set_string("key:1", "goes on");
  EXPECT_EQ(live.size(), 20'000u);
}

TEST(SnapshotLoad, CanBeCancelled) {
  SnapshotMemory store;
  Keyspace keyspace(1);
  fill(keyspace, 20'000);
  take_snapshot(keyspace, store, facts(10, 2));
  storage::LoadProgress progress;
  progress.cancel = true;
  const auto loaded =
      load_snapshot(**store.open(id_of(10, 2)), id_of(10, 2), kCluster, 1, &progress);
  ASSERT_FALSE(loaded.has_value());
  EXPECT_THAT(loaded.error(), HasSubstr("cancelled"));
  SnapshotLoader loader(*store.open(id_of(10, 2)), id_of(10, 2), kCluster, 3, {});
}

}  // namespace
}  // namespace raftkv::test
