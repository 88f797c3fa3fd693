// What happens to RocksDB's files between two lives of the process, and how it is noticed: torn
// tails are cut, damage to what was durable is an error that names it, and never does a store come
// back with something that was not written.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include "storage/log/record.h"
#include "storage/log/rocks_log_store.h"
#include "storage/log/rocks_options.h"
#include "tests/contract/log_world.h"

namespace raftkv::storage {
namespace {

namespace fs = std::filesystem;

using testing::AllOf;
using testing::HasSubstr;

constexpr size_t kSmallMemtable = 64 << 10;

std::string slurp(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void put(const fs::path& file, const std::string& contents) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << contents;
}

std::string flipped(std::string bytes, size_t at) {
  bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
  return bytes;
}

class DamagedRocks : public testing::Test {
 protected:
  // Without spares the last byte of a write-ahead log is that of the last write.
  static RocksLogOptions options(size_t memtable_bytes = size_t{1} << 20) {
    return {.memtable_bytes = memtable_bytes, .spare_wal_files = 0};
  }

  // A life of the process: opens, recovers, does `work`, ends.
  void live(const std::function<void(LogStore&)>& work, size_t memtable_bytes = size_t{1} << 20) {
    auto opened = RocksLogStore::open(path_, options(memtable_bytes));
    ASSERT_TRUE(opened) << opened.error();
    const auto restored = (*opened)->recover();
    ASSERT_TRUE(restored) << restored.error();
    work(**opened);
  }

  // What a new life finds, or the error that it ends with.
  std::expected<Contents, std::string> find() const { return find(path_); }
  static std::expected<Contents, std::string> find(const std::string& path) {
    auto opened = RocksLogStore::open(path, options());
    if (!opened) return std::unexpected(opened.error());
    const auto restored = (*opened)->recover();
    if (!restored) return std::unexpected(restored.error());
    return contents(**opened, *restored);
  }
  // What a new life says is damaged in its log, which is then empty, with `lost_up_to`; the one
  // after it finds it so.
  std::string find_damage(raft::Index lost_up_to) const {
    std::string damage;
    {
      auto opened = RocksLogStore::open(path_, options());
      if (!opened) return opened.error();
      const auto restored = (*opened)->recover();
      if (!restored) return restored.error();
      damage = (*opened)->damage();
      EXPECT_EQ(restored->lost_up_to, lost_up_to);
    }
    const auto found = find();
    EXPECT_TRUE(found) << found.error();
    EXPECT_EQ(found->lost_up_to, lost_up_to);
    EXPECT_TRUE(found->entries.empty());
    EXPECT_FALSE(fs::exists(path_ + ".damaged"));
    EXPECT_FALSE(fs::exists(path_ + ".rebuilt"));
    return damage;
  }
  // The same, on a copy of the directory with one file's contents replaced.
  std::expected<Contents, std::string> find_with(const fs::path& file,
                                                 const std::string& replaced) const {
    const std::string copy = dir_ / "copy";
    fs::remove_all(copy);
    fs::copy(path_, copy);
    put(copy / file.filename(), replaced);
    return find(copy);
  }

  std::vector<fs::path> files(const std::string& extension) const {
    std::vector<fs::path> found;
    for (const auto& file : fs::directory_iterator(path_)) {
      if (file.path().extension() == extension && file.file_size() > 0) {
        found.push_back(file.path());
      }
    }
    std::ranges::sort(found);
    return found;
  }
  // The only write-ahead log with something in it.
  fs::path wal() const {
    const auto logs = files(".log");
    EXPECT_EQ(logs.size(), 1);
    return logs.back();
  }

  // Changes the database behind the store's back.
  void tamper(const std::function<void(rocksdb::DB&, rocksdb::ColumnFamilyHandle* log,
                                       rocksdb::ColumnFamilyHandle* meta)>& change) {
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* raw = nullptr;
    const auto status = rocksdb::DB::Open(log_db_options(nullptr), path_,
                                          {{"default", meta_family_options(kSmallMemtable)},
                                           {kLogFamily, log_family_options(kSmallMemtable)},
                                           {kMetaFamily, meta_family_options(kSmallMemtable)}},
                                          &handles, &raw);
    ASSERT_TRUE(status.ok()) << status.ToString();
    const std::unique_ptr<rocksdb::DB> db(raw);
    change(*db, handles[1], handles[2]);
    ASSERT_TRUE(db->Flush(rocksdb::FlushOptions(), handles).ok());
    for (auto* handle : handles) db->DestroyColumnFamilyHandle(handle);
  }

  TempDir dir_;
  std::string path_ = dir_ / "log";
};

rocksdb::Slice key_slice(const EntryKey& key) {
  return {key.data(), key.size()};
}

// --- the write-ahead log
// --------------------------------------------------------------------------

// Ten writes, each with another hard state, some without entries.
void write_ten(LogStore& store) {
  for (raft::Index index = 1; index <= 10; ++index) {
    Write write;
    write.hard_state(index, index % 3, index / 2);
    if (index % 4 != 0) {
      write.append(store.stats().last_index + 1, index, std::string(index * 7, 'x'));
    }
    storage::write(store, write);
  }
}

TEST_F(DamagedRocks, ATornTailIsCutWhereverItIsTorn) {
  std::vector<Contents> after(11);
  std::vector<size_t> wal_bytes(11);
  live([&](LogStore& store) {
    for (raft::Index index = 1; index <= 10; ++index) {
      write(store, Write().hard_state(index, 1, 0).append(index, index, std::string(30, 'x')));
      wal_bytes[index] = fs::file_size(wal());
    }
  });
  const auto whole = find_with("unrelated", "");
  ASSERT_TRUE(whole) << whole.error();
  for (size_t count = 0; count <= 10; ++count) {
    after[count].entries.assign(whole->entries.begin(),
                                whole->entries.begin() + static_cast<std::ptrdiff_t>(count));
    after[count].hard_state = {.term = count, .vote = count > 0 ? 1U : 0U, .commit = 0};
  }
  const std::string bytes = slurp(wal());
  // How many whole writes a file begins with. (One whose end is lost is whole if that was zeros
  // and the file goes on with zeros.)
  const auto whole_writes = [&](const std::string& file) {
    size_t count = 0;
    while (count < 10 && file.starts_with(bytes.substr(0, wal_bytes[count + 1]))) ++count;
    return count;
  };
  for (size_t size = wal_bytes[8]; size < bytes.size(); size += 5) {
    const std::string cut = bytes.substr(0, size);
    const std::string zeroed = cut + std::string(50'000, '\0');  // blocks that were not written
    for (const std::string& file : {cut, zeroed}) {
      const auto found = find_with(wal(), file);
      ASSERT_TRUE(found) << size << ": " << found.error();
      EXPECT_EQ(*found, after[whole_writes(file)]) << size;
    }
  }
}

TEST_F(DamagedRocks, ALifeAfterATornTailGoesOnFromThere) {
  live([](LogStore& store) { fill(store, 5); });
  const std::string bytes = slurp(wal());
  put(wal(), bytes.substr(0, bytes.size() - 3));
  live([](LogStore& store) {
    EXPECT_EQ(store.stats().last_index, 4);
    write(store, Write().append(5, 2, "again"));
  });
  const auto found = find();
  ASSERT_TRUE(found) << found.error();
  EXPECT_EQ(found->entries.back(), describe(entry(5, 2, "again")));
}

TEST_F(DamagedRocks, AFlippedByteInTheWriteAheadLogNeverPassesForSomethingElse) {
  Contents all;
  Contents all_but_last;
  live(write_ten);
  const std::string bytes = slurp(wal());
  {
    auto found = find_with("unrelated", "");
    ASSERT_TRUE(found) << found.error();
    all = *found;
    found = find_with(wal(), bytes.substr(0, bytes.size() - 1));
    ASSERT_TRUE(found) << found.error();
    all_but_last = *found;
  }
  size_t noticed = 0;
  size_t taken_for_torn = 0;
  for (size_t at = 0; at < bytes.size(); at += 11) {
    const auto found = find_with(wal(), flipped(bytes, at));
    if (found) {
      // Damage to the very last write can't be told from a tear.
      EXPECT_EQ(*found, all_but_last) << at;
      ++taken_for_torn;
    } else {
      EXPECT_THAT(found.error(), HasSubstr("damaged")) << at;
      ++noticed;
    }
  }
  EXPECT_GT(noticed, 5 * taken_for_torn);
}

TEST_F(DamagedRocks, DamageInTheMiddleOfTheWriteAheadLogLeavesTheFilesAlone) {
  live(write_ten);
  const std::string damaged = flipped(slurp(wal()), 400);
  put(wal(), damaged);
  const fs::path file = wal();
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto found = find();
    ASSERT_FALSE(found);
    EXPECT_THAT(found.error(), AllOf(HasSubstr("is followed by write"), HasSubstr(path_),
                                     HasSubstr("remove the node from the cluster")));
    EXPECT_TRUE(slurp(file) == damaged) << "the evidence was changed";
  }
}

TEST_F(DamagedRocks, AMissingWriteAheadLogBetweenTableFilesAndTheRestIsNoticed) {
  live([](LogStore& store) { fill(store, 3); });
  live([](LogStore&) {});  // flushes what it replays: three writes in table files
  const std::string early = dir_ / "early";
  fs::copy(path_, early);
  live([](LogStore& store) { write(store, Write().hard_state(5, 2)); });  // a vote, in a log alone
  live([](LogStore& store) { write(store, Write().append(4, 5)); });
  const fs::path late_log = wal();

  fs::copy(late_log, early);
  const auto found = find(early);
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error(), HasSubstr("write 3 is followed by write 5"));
}

// --- the table files
// ------------------------------------------------------------------------------

TEST_F(DamagedRocks, AFlippedByteInATableFileNeverPassesForSomethingElse) {
  live(
      [](LogStore& store) {
        for (raft::Index index = 1; index <= 40; ++index) {
          write(store, Write().hard_state(index, 1).append(index, index, std::string(8000, 'x')));
        }
      },
      kSmallMemtable);
  live([](LogStore&) {});  // flushes the rest
  const auto intact = find_with("unrelated", "");
  ASSERT_TRUE(intact) << intact.error();
  ASSERT_EQ(intact->entries.size(), 40);

  size_t refused = 0;
  size_t repaired = 0;
  for (const fs::path& file : files(".sst")) {
    const std::string bytes = slurp(file);
    const size_t step = std::max<size_t>(1, bytes.size() / 6) | 1;
    for (size_t at = bytes.size() / 10; at < bytes.size(); at += step) {
      const auto found = find_with(file, flipped(bytes, at));
      if (!found) {
        ++refused;
      } else if (found->lost_up_to == 0) {
        EXPECT_EQ(*found, *intact) << file << " " << at;  // in a property that nobody reads
      } else {
        ++repaired;
        EXPECT_EQ(found->lost_up_to, 40);
        EXPECT_TRUE(found->entries.empty());
        EXPECT_EQ(found->hard_state, intact->hard_state);
      }
    }
  }
  EXPECT_GT(refused, 2) << "damage to the facts passes";
  EXPECT_GT(repaired, 10) << "damage to the entries is not repaired";
}

TEST_F(DamagedRocks, AMissingTableFileIsNoticed) {
  live([](LogStore& store) { fill(store, 3); });
  live([](LogStore&) {});
  const auto tables = files(".sst");
  ASSERT_FALSE(tables.empty());
  size_t refused = 0;
  size_t repaired = 0;
  for (const fs::path& file : tables) {
    const std::string copy = dir_ / "copy";
    fs::remove_all(copy);
    fs::copy(path_, copy);
    fs::remove(copy / file.filename());
    const auto found = find(copy);
    if (!found) {
      ++refused;
    } else {
      EXPECT_EQ(found->lost_up_to, 3) << file;
      ++repaired;
    }
  }
  EXPECT_EQ(refused, 1);   // the facts
  EXPECT_EQ(repaired, 1);  // the entries
}

// --- the files that name the others
// -----------------------------------------------------------------------

TEST_F(DamagedRocks, AMissingCurrentFileNeverMakesANewDatabase) {
  live([](LogStore& store) { fill(store, 3); });
  live([](LogStore&) {});
  const auto tables = files(".sst");
  fs::rename(path_ + "/CURRENT", path_ + ".current");
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto found = find();
    ASSERT_FALSE(found);
    EXPECT_THAT(found.error(), AllOf(HasSubstr("CURRENT is missing"), HasSubstr(path_),
                                     HasSubstr("remove the node from the cluster")));
    EXPECT_EQ(files(".sst"), tables);
  }
  fs::rename(path_ + ".current", path_ + "/CURRENT");
  const auto found = find();
  ASSERT_TRUE(found) << found.error();
  EXPECT_EQ(found->entries.size(), 3);
}

TEST_F(DamagedRocks, AManifestThatLostItsEndNeverBringsBackAnEarlierDay) {
  live([](LogStore& store) { fill(store, 3); });
  live([](LogStore& store) { write(store, Write().hard_state(7, 2).append(4, 7, "late")); });
  live([](LogStore&) {});  // all is in table files, and the write-ahead log is empty
  const auto intact = find_with("unrelated", "");
  ASSERT_TRUE(intact) << intact.error();
  fs::path manifest;
  for (const auto& file : fs::directory_iterator(path_)) {
    if (file.path().filename().string().starts_with("MANIFEST-")) manifest = file.path();
  }
  const std::string bytes = slurp(manifest);
  size_t refused = 0;
  for (size_t size = 0; size < bytes.size(); size += 3) {
    const auto found = find_with(manifest, bytes.substr(0, size));
    if (!found) {
      EXPECT_THAT(found.error(), HasSubstr("remove the node from the cluster")) << size;
      ++refused;
    } else if (found->lost_up_to == 0) {
      EXPECT_EQ(*found, *intact) << size;
    } else {
      EXPECT_EQ(found->lost_up_to, 4) << size;
      EXPECT_EQ(found->hard_state.term, intact->hard_state.term) << size;
      EXPECT_EQ(found->hard_state.vote, intact->hard_state.vote) << size;
    }
  }
  EXPECT_GT(refused, bytes.size() / 3 / 2);
}

// --- records
// --------------------------------------------------------------------------------------

TEST_F(DamagedRocks, ADamagedRecordIsNamedByItsIndex) {
  live([](LogStore& store) { fill(store, 5); });
  tamper([](rocksdb::DB& db, auto* log, auto*) {
    std::string record;
    ASSERT_TRUE(db.Get({}, log, key_slice(entry_key(3)), &record).ok());
    ASSERT_TRUE(db.Put({}, log, key_slice(entry_key(3)), flipped(record, 36)).ok());
  });
  EXPECT_THAT(find_damage(5), AllOf(HasSubstr("log entry 3"), HasSubstr("damaged"),
                                    HasSubstr("checksum"), HasSubstr(path_)));
}

TEST_F(DamagedRocks, ARecordAtTheWrongKeyIsNoticed) {
  live([](LogStore& store) { fill(store, 5); });
  tamper([](rocksdb::DB& db, auto* log, auto*) {
    std::string record;
    ASSERT_TRUE(db.Get({}, log, key_slice(entry_key(2)), &record).ok());
    ASSERT_TRUE(db.Put({}, log, key_slice(entry_key(3)), record).ok());
  });
  EXPECT_THAT(find_damage(5), AllOf(HasSubstr("log entry 3"), HasSubstr("record of entry 2")));
}

TEST_F(DamagedRocks, AHoleInTheLogIsNoticed) {
  live([](LogStore& store) { fill(store, 9); });
  tamper([](rocksdb::DB& db, auto* log, auto*) {
    ASSERT_TRUE(db.Delete({}, log, key_slice(entry_key(4))).ok());
    ASSERT_TRUE(db.Delete({}, log, key_slice(entry_key(5))).ok());
  });
  EXPECT_THAT(find_damage(9), HasSubstr("log entries 4 to 5 are missing"));
}

TEST_F(DamagedRocks, ALogWithoutItsBeginningIsNoticed) {
  live([](LogStore& store) { fill(store, 3); });
  tamper([](rocksdb::DB& db, auto* log, auto*) {
    ASSERT_TRUE(db.Delete({}, log, key_slice(entry_key(1))).ok());
  });
  EXPECT_THAT(find_damage(3), HasSubstr("log entry 1 is missing"));
}

TEST_F(DamagedRocks, ALogWithoutItsEndIsNoticed) {
  live([](LogStore& store) { fill(store, 5); });
  tamper([](rocksdb::DB& db, auto* log, auto*) {
    ASSERT_TRUE(db.Delete({}, log, key_slice(entry_key(5))).ok());
  });
  EXPECT_THAT(find_damage(5), HasSubstr("ends with entry 4 of term 1, but entry 5 of term 1"));
}

TEST_F(DamagedRocks, AnEntryOfAnotherReleaseIsNotThrownAway) {
  live([](LogStore& store) { fill(store, 3); });
  raft::Entry strange = entry(2, 1);
  strange.kind = static_cast<raft::EntryKind>(77);
  const EntryHeader header = entry_header(strange);
  tamper([&](rocksdb::DB& db, auto* log, auto*) {
    const std::string record = std::string(header.data(), header.size()) + *strange.payload;
    ASSERT_TRUE(db.Put({}, log, key_slice(entry_key(2)), record).ok());
  });
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto found = find();
    ASSERT_FALSE(found);
    EXPECT_THAT(found.error(), HasSubstr("log entry 2 was written by another release"));
  }
}

TEST_F(DamagedRocks, AMembershipThatMakesNoSenseIsNotThrownAway) {
  live([](LogStore& store) {
    raft::Entry strange = entry(1, 1, "nonsense");
    strange.kind = raft::EntryKind::kMembership;
    write(store, Write().append(strange));
  });
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto found = find();
    ASSERT_FALSE(found);
    EXPECT_THAT(found.error(), HasSubstr("the membership in log entry 1 makes no sense"));
  }
}

TEST_F(DamagedRocks, ADamagedOrVanishedRecordOfSnapshotsIsRefused) {
  live([](LogStore& store) {
    fill(store, 5);
    write(store, Write().cut(4, 1, 3));
  });
  std::string record;
  tamper([&](rocksdb::DB& db, auto*, auto* meta) {
    ASSERT_TRUE(db.Get({}, meta, kSnapshotsKey, &record).ok());
    ASSERT_TRUE(db.Put({}, meta, kSnapshotsKey, flipped(record, 30)).ok());
  });
  auto found = find();
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error(), AllOf(HasSubstr("record of snapshots is damaged"),
                                   HasSubstr("raftkv-cli members replace")));
  tamper([](rocksdb::DB& db, auto*, auto* meta) {
    ASSERT_TRUE(db.Delete({}, meta, kSnapshotsKey).ok());
  });
  found = find();
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error(), HasSubstr("one at 4 was recorded last"));
  tamper([&](rocksdb::DB& db, auto*, auto* meta) {
    ASSERT_TRUE(db.Put({}, meta, kSnapshotsKey, record).ok());
  });
  EXPECT_TRUE(find());
}

TEST_F(DamagedRocks, ADamagedHardStateIsNoticed) {
  live([](LogStore& store) { write(store, Write().hard_state(4, 2)); });
  tamper([](rocksdb::DB& db, auto*, auto* meta) {
    std::string record;
    ASSERT_TRUE(db.Get({}, meta, kHardStateKey, &record).ok());
    ASSERT_TRUE(db.Put({}, meta, kHardStateKey, flipped(record, 12)).ok());
  });
  const auto found = find();
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error(), HasSubstr("hard state (term and vote)"));
}

TEST_F(DamagedRocks, AVanishedOrDamagedPositionIsNoticed) {
  live([](LogStore& store) { fill(store, 2); });
  tamper([](rocksdb::DB& db, auto*, auto* meta) {
    ASSERT_TRUE(db.Delete({}, meta, kPositionKey).ok());
  });
  auto found = find();
  ASSERT_FALSE(found);
  // An older table file has it still, and so tells what is missing.
  EXPECT_THAT(found.error(), HasSubstr("holds write 2, but the files that the manifest names end"));
  tamper([](rocksdb::DB& db, auto*, auto* meta) {
    ASSERT_TRUE(db.Put({}, meta, kPositionKey, "nonsense").ok());
  });
  found = find();
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error(), HasSubstr("position is damaged"));
}

TEST_F(DamagedRocks, ADatabaseWhoseMakingWasCutOffIsMadeAnew) {
  // A crash may come after RocksDB made its database and before it made our families.
  {
    rocksdb::Options options;
    options.create_if_missing = true;
    rocksdb::DB* raw = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open(options, path_, &raw).ok());
    delete raw;
  }
  live([](LogStore& store) { fill(store, 3); });
  const auto found = find();
  ASSERT_TRUE(found) << found.error();
  EXPECT_EQ(found->entries.size(), 3);
}

TEST_F(DamagedRocks, TwoStoresInOneDirectoryAreRefused) {
  live([&](LogStore&) {
    const auto second = find();
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error(), HasSubstr("lock"));
  });
}

using DamagedRocksDeathTest = DamagedRocks;

TEST_F(DamagedRocksDeathTest, ReadingADamagedEntryEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto damage_and_read = [this] {
    live([](LogStore& store) { fill(store, 3); });
    auto opened = RocksLogStore::open(path_, options());
    ASSERT_TRUE((*opened)->recover());
    opened->reset();
    tamper([](rocksdb::DB& db, auto* log, auto*) {
      ASSERT_TRUE(db.Put({}, log, key_slice(entry_key(2)), "nonsense").ok());
    });
    opened = RocksLogStore::open(path_, options());
    ASSERT_TRUE(opened) << opened.error();
    read(**opened, 1, 3);
  };
  EXPECT_DEATH(damage_and_read(), "FATAL storage: log entry 2 in .* is damaged: it has 8 bytes");
}

}  // namespace
}  // namespace raftkv::storage
