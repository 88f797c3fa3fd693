// RocksDB's files under GradualDelete: large ones lose their blocks step by step, and what could
// not be removed keeps them.
#include "storage/log/gradual_delete.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>

#include "tests/contract/log_world.h"
#include "tests/support/unnamed_file.h"

namespace raftkv::storage {
namespace {

namespace fs = std::filesystem;

constexpr uintmax_t kManySteps = 1'000'000 * FileRemover::kStepBytes;

std::string make_file(const std::string& path, uintmax_t bytes) {
  std::ofstream(path) << "x";
  fs::resize_file(path, bytes);  // sparse
  return path;
}

rocksdb::IOStatus remove(GradualDelete& files, const std::string& path) {
  return files.DeleteFile(path, rocksdb::IOOptions(), nullptr);
}

size_t open_descriptors() {
  const fs::directory_iterator all("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

class ReadOnlyFiles : public rocksdb::FileSystemWrapper {
 public:
  ReadOnlyFiles() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "ReadOnlyFiles"; }
  rocksdb::IOStatus DeleteFile(const std::string& /*name*/, const rocksdb::IOOptions& /*options*/,
                               rocksdb::IODebugContext* /*debug*/) override {
    return rocksdb::IOStatus::IOError("read-only");
  }
};

TEST(GradualDelete, ALargeFileLosesItsNameAtOnceAndItsBlocksStepByStep) {
  const TempDir dir;
  const std::string path = make_file(dir / "large", kManySteps);
  GradualDelete files(rocksdb::FileSystem::Default());
  ASSERT_TRUE(remove(files, path).ok());
  EXPECT_FALSE(fs::exists(path));
  // Polls, because the remover's thread tells nobody; the deadline ends a test that fails.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (test::size_of_unnamed(path).value_or(0) >= kManySteps) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "nothing is freed";
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(test::size_of_unnamed(path)) << "it went at once";
}

TEST(GradualDelete, ASmallFileGoesAtOnce) {
  const TempDir dir;
  const std::string path = make_file(dir / "small", FileRemover::kStepBytes);
  GradualDelete files(rocksdb::FileSystem::Default());
  const size_t before = open_descriptors();
  ASSERT_TRUE(remove(files, path).ok());
  EXPECT_FALSE(fs::exists(path));
  EXPECT_EQ(open_descriptors(), before);
}

TEST(GradualDelete, WhatCannotBeRemovedStaysWhole) {
  const TempDir dir;
  const std::string path = make_file(dir / "large", kManySteps);
  const size_t before = open_descriptors();
  {
    GradualDelete files(std::make_shared<ReadOnlyFiles>());
    EXPECT_TRUE(remove(files, path).IsIOError());
    EXPECT_EQ(open_descriptors(), before);
  }
  EXPECT_EQ(fs::file_size(path), kManySteps);
}

TEST(GradualDelete, WhatIsNotThereIsAnErrorAsWithoutIt) {
  const TempDir dir;
  GradualDelete files(rocksdb::FileSystem::Default());
  EXPECT_FALSE(remove(files, dir / "none").ok());
}

}  // namespace
}  // namespace raftkv::storage
