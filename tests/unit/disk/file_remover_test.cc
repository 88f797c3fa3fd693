// Files that go little by little: their names at once, their blocks step by step, and nothing of a
// file that somebody still sees.
#include "storage/disk/file_remover.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/unnamed_file.h"
#include "tests/unit/snapshot/snapshot_kit.h"

namespace raftkv::test {
namespace {

namespace fs = std::filesystem;

using storage::FileRemover;

constexpr uintmax_t kMiB = 1 << 20;

std::string make_file(const TempDir& dir, const std::string& name, uintmax_t bytes) {
  const std::string path = dir / name;
  std::ofstream(path) << "x";
  fs::resize_file(path, bytes);  // sparse
  return path;
}

TEST(FileRemover, TheNameGoesAtOnceAndTheBlocksStepByStep) {
  const TempDir dir;
  const uintmax_t bytes = 1'000'000 * kMiB;
  const std::string path = make_file(dir, "large", bytes);
  FileRemover remover;
  ASSERT_TRUE(remover.remove(path).has_value());
  EXPECT_FALSE(fs::exists(path));
  uintmax_t least = bytes;
  wait_until([&] {
    const auto size = size_of_unnamed(path);
    if (!size) return true;  // gone before it was seen to become small, which fails below
    EXPECT_LE(*size, least);
    least = *size;
    return least < bytes - 100 * kMiB;
  });
  EXPECT_LT(least, bytes - 100 * kMiB);
  EXPECT_GT(least, 0u);
}

TEST(FileRemover, AFileThatIsBeingReadStaysWhole) {
  const TempDir dir;
  const std::string path = make_file(dir, "read", 64 * kMiB);
  const int reader = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  FileRemover remover;
  ASSERT_TRUE(remover.remove(path).has_value());
  // Files go one after the other.
  const std::string next = make_file(dir, "next", kMiB);
  ASSERT_TRUE(remover.remove(next).has_value());
  wait_until([&] { return !size_of_unnamed(next); });
  struct stat facts = {};
  ASSERT_EQ(::fstat(reader, &facts), 0);
  EXPECT_EQ(static_cast<uintmax_t>(facts.st_size), 64 * kMiB);
  ::close(reader);
}

TEST(FileRemover, AFileWithAnotherNameStaysWhole) {
  const TempDir dir;
  const std::string path = make_file(dir, "file", 64 * kMiB);
  fs::create_hard_link(path, dir / "backup");
  FileRemover remover;
  ASSERT_TRUE(remover.remove(path).has_value());
  const std::string next = make_file(dir, "next", kMiB);
  ASSERT_TRUE(remover.remove(next).has_value());
  wait_until([&] { return !size_of_unnamed(next); });
  EXPECT_FALSE(fs::exists(path));
  EXPECT_EQ(fs::file_size(dir / "backup"), 64 * kMiB);
}

TEST(FileRemover, TheEndDoesNotWaitForTheFiles) {
  const TempDir dir;
  const uintmax_t bytes = 1'000'000 * kMiB;  // seconds, or minutes, of steps
  const std::string path = make_file(dir, "large", bytes);
  int observer = -1;
  {
    FileRemover remover;
    ASSERT_TRUE(remover.remove(path).has_value());
    wait_until([&] { return size_of_unnamed(path).value_or(0) < bytes; });
    observer = ::open(unnamed(path).c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_GE(observer, 0) << "it is gone already";
  }
  struct stat facts = {};
  ASSERT_EQ(::fstat(observer, &facts), 0);
  EXPECT_GT(facts.st_size, 0);
  ::close(observer);
}

TEST(FileRemover, AFileThatLostItsNameElsewhereGoesStepByStep) {
  const TempDir dir;
  const uintmax_t bytes = 1'000'000 * kMiB;
  const std::string path = make_file(dir, "large", bytes);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  fs::remove(path);
  FileRemover remover;
  remover.take_unnamed(fd, dir.path());
  wait_until([&] { return size_of_unnamed(path).value_or(0) < bytes; });
  EXPECT_TRUE(size_of_unnamed(path)) << "it went at once";
}

TEST(FileRemover, WhatIsNotThereIsGone) {
  const TempDir dir;
  FileRemover remover;
  EXPECT_TRUE(remover.remove(dir / "none").has_value());
}

TEST(FileRemover, AnErrorNamesTheFile) {
  const TempDir dir;
  fs::create_directory(dir / "folder");
  FileRemover remover;
  const auto removed = remover.remove(dir / "folder");
  ASSERT_FALSE(removed.has_value());
  EXPECT_NE(removed.error().find(dir / "folder"), std::string::npos) << removed.error();
  EXPECT_TRUE(fs::exists(dir / "folder"));
}

}  // namespace
}  // namespace raftkv::test
