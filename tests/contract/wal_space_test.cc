// Write-ahead log files with prepared blocks: they are used, given back, kept within their number,
// and nothing depends on them.
#include "storage/log/wal_space.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "storage/log/rocks_log_store.h"
#include "storage/log/wal_reader.h"
#include "tests/contract/log_world.h"

namespace raftkv::storage {
namespace {

namespace fs = std::filesystem;

using testing::SizeIs;

constexpr size_t kFileBytes = 1 << 20;

class Space : public testing::Test {
 protected:
  Space() { make(); }

  // No file that RocksDB might give back is waited for.
  void make(size_t files_max = 2) {
    space_.reset();
    space_ = std::make_unique<WalSpace>(rocksdb::FileSystem::Default(), dir_.path(), files_max,
                                        kFileBytes, std::chrono::seconds(0));
  }
  std::vector<std::string> names(const std::string& suffix) const {
    std::vector<std::string> found;
    for (const auto& file : fs::directory_iterator(dir_.path())) {
      if (file.path().string().ends_with(suffix)) found.push_back(file.path());
    }
    return found;
  }
  // Polls, because the background thread tells nobody.
  void await_spares(size_t count) const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (names(".spare").size() != count) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "no " << count << " spares came";
      std::this_thread::yield();
    }
  }
  // Makes a write-ahead log with `contents` in it.
  std::string write_log(const std::string& name, const std::string& contents) {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    const std::string path = dir_ / name;
    EXPECT_TRUE(space_->NewWritableFile(path, {}, &file, nullptr).ok());
    const size_t half = contents.size() / 2;
    EXPECT_TRUE(file->Append(contents.substr(0, half), {}, nullptr).ok());
    EXPECT_TRUE(file->Append(contents.substr(half), {}, nullptr).ok());
    EXPECT_EQ(file->GetFileSize({}, nullptr), contents.size());
    EXPECT_TRUE(file->Sync({}, nullptr).ok());
    EXPECT_TRUE(file->Close({}, nullptr).ok());
    return path;
  }
  static std::string slurp(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  TempDir dir_;
  std::unique_ptr<WalSpace> space_;
};

TEST_F(Space, ALogIsMadeFromASpareAndGoesOnWithZeros) {
  space_->start();
  await_spares(2);
  const std::string log = slurp(write_log("000004.log", "what was written"));
  EXPECT_EQ(log, "what was written" + std::string(kFileBytes - 16, '\0'));
  await_spares(2);  // the used one is replaced
}

TEST_F(Space, ALogMayOutgrowItsSpare) {
  space_->start();
  await_spares(2);
  std::unique_ptr<rocksdb::FSWritableFile> file;
  const std::string path = dir_ / "000004.log";
  ASSERT_TRUE(space_->NewWritableFile(path, {}, &file, nullptr).ok());
  const std::string big(kFileBytes * 3 / 2, 'x');
  ASSERT_TRUE(file->Append(big, {}, nullptr).ok());
  ASSERT_TRUE(file->Close({}, nullptr).ok());
  EXPECT_TRUE(slurp(path) == big);
}

// A file system in which no new file for a spare is made while it is held.
class Held : public rocksdb::FileSystemWrapper {
 public:
  Held() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}

  const char* Name() const override { return "Held"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* debug) override {
    if (name.ends_with(".worn")) {
      ++made_;
      held_.wait(true);
    }
    return FileSystemWrapper::NewWritableFile(name, options, result, debug);
  }
  size_t made() const { return made_; }
  void hold() { held_ = true; }
  void let_go() {
    held_ = false;
    held_.notify_all();
  }

 private:
  std::atomic<size_t> made_ = 0;
  std::atomic<bool> held_ = false;
};

TEST_F(Space, ADeletedLogBecomesASpareOfZerosAgain) {
  const auto files = std::make_shared<Held>();
  space_ = std::make_unique<WalSpace>(files, dir_.path(), 2, kFileBytes, std::chrono::seconds(0));
  const std::string used = write_log("000004.log", std::string(kFileBytes + 1000, 'x'));
  space_->start();
  await_spares(2);
  const auto inode_of = [](const std::string& file) {
    struct stat facts = {};
    EXPECT_EQ(::stat(file.c_str(), &facts), 0) << file;
    return facts.st_ino;
  };
  const ino_t inode = inode_of(used);
  // Both places are free, and at most one of them is for a file that is being made.
  files->hold();
  write_log("000005.log", "x");
  write_log("000006.log", "x");
  ASSERT_TRUE(space_->DeleteFile(used, {}, nullptr).ok());
  EXPECT_FALSE(fs::exists(used));
  files->let_go();
  ASSERT_NO_FATAL_FAILURE(await_spares(2));
  const std::vector<std::string> spares = names(".spare");
  EXPECT_EQ(std::ranges::count(spares, inode, inode_of), 1);
  for (const std::string& spare : spares) {
    EXPECT_TRUE(slurp(spare).find_first_not_of('\0') == std::string::npos) << spare;
    EXPECT_GE(fs::file_size(spare), kFileBytes);
  }
}

// What RocksDB gives back soon is worth waiting for, if there is a spare meanwhile.
TEST_F(Space, NoNewFileIsMadeIfTheOldOneComesBack) {
  const auto files = std::make_shared<Held>();
  space_ = std::make_unique<WalSpace>(files, dir_.path(), 2, kFileBytes, std::chrono::hours(1));
  space_->start();
  await_spares(2);
  for (int number = 10; number < 15; ++number) {
    files->hold();  // one that is begun all the same stands in the way of the old one
    const std::string used = write_log(std::to_string(number) + ".log", std::string(5000, 'x'));
    ASSERT_TRUE(space_->DeleteFile(used, {}, nullptr).ok());
    files->let_go();
    ASSERT_NO_FATAL_FAILURE(await_spares(2));
  }
  EXPECT_EQ(files->made(), 2u);
}

TEST_F(Space, NoMoreSparesAreKeptThanWereAskedFor) {
  space_->start();
  await_spares(2);
  for (int number = 10; number < 30; ++number) {
    const std::string path = write_log(std::to_string(number) + ".log", "x");
    ASSERT_TRUE(space_->DeleteFile(path, {}, nullptr).ok());
  }
  space_.reset();  // its work is done, whatever it was
  EXPECT_LE(names(".spare").size() + names(".worn").size(), 2);
}

TEST_F(Space, WithoutASpareAnOrdinaryFileIsMade) {
  const std::string path = write_log("000004.log", "ordinary");
  EXPECT_EQ(slurp(path), "ordinary");
}

TEST_F(Space, ASpareThatVanishedDoesNoHarm) {
  space_->start();
  await_spares(2);
  for (const std::string& spare : names(".spare")) fs::remove(spare);
  EXPECT_EQ(slurp(write_log("000004.log", "ordinary")), "ordinary");
}

TEST_F(Space, OtherFilesAreLeftAlone) {
  space_->start();
  await_spares(2);
  const std::string path = write_log("000005.sst", "table");
  EXPECT_EQ(slurp(path), "table");
  ASSERT_TRUE(space_->DeleteFile(path, {}, nullptr).ok());
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(Space, WhatAnEarlierProcessLeftIsUsedOrRemoved) {
  space_->start();
  await_spares(2);
  const auto before = names(".spare");
  make();
  std::ofstream(dir_ / "000070.worn") << "half zeroed";
  std::ofstream(dir_ / "000071.spare") << "too short";
  space_->start();
  await_spares(2);
  EXPECT_THAT(names(".spare"), testing::UnorderedElementsAreArray(before));
  EXPECT_THAT(names(".worn"), SizeIs(0));
}

TEST_F(Space, NamesThatAreTakenAreNotGivenAgain) {
  space_->start();
  await_spares(2);
  write_log("000004.log", "first");  // one of the two is gone, the other stays
  await_spares(2);
  make(4);
  space_->start();
  await_spares(4);
  for (const char* name : {"000011.log", "000012.log", "000013.log", "000014.log"}) {
    EXPECT_EQ(slurp(write_log(name, "x")).size(), kFileBytes);
  }
}

TEST(WalSpaceUnderRocksDb, LogsRotateThroughSparesAndNothingIsLost) {
  TempDir dir;
  const std::string path = dir / "log";
  const RocksLogOptions options = {.memtable_bytes = 256 << 10, .spare_wal_files = 2};
  constexpr raft::Index kCount = 600;
  {
    auto opened = RocksLogStore::open(path, options);
    ASSERT_TRUE(opened) << opened.error();
    ASSERT_TRUE((*opened)->recover());
    for (raft::Index index = 1; index <= kCount; ++index) {
      write(**opened, Write().append(index, 1, std::string(4000, 'x')));
    }
    size_t spares = 0;
    size_t logs = 0;
    for (const auto& file : fs::directory_iterator(path)) {
      if (file.path().extension() == ".spare" || file.path().extension() == ".worn") ++spares;
      if (file.path().extension() == ".log") ++logs;
    }
    EXPECT_LE(spares, 3);  // two, and one that is being made
    // Every write touches both families; one that flushed alone would pin all logs of the other.
    EXPECT_LE(logs, 4) << "old write-ahead logs are not given back";
  }
  auto opened = RocksLogStore::open(path, options);
  ASSERT_TRUE(opened) << opened.error();
  const auto restored = (*opened)->recover();
  ASSERT_TRUE(restored) << restored.error();
  EXPECT_EQ(restored->last_index, kCount);
}

TEST(WalReaderChecksum, IsThatOfRocksDb) {
  // The standard's check value of CRC-32C over "123456789" is e3069283.
  const uint32_t crc = 0xe3069283;
  EXPECT_EQ(masked_crc32c("123456789"), ((crc >> 15) | (crc << 17)) + 0xa282ead8U);
}

}  // namespace
}  // namespace raftkv::storage
