#include "server/peer/known_peers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace raftkv::server {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Map = std::map<uint64_t, uint64_t>;

class KnownPeersTest : public testing::Test {
 protected:
  KnownPeersTest() {
    std::string pattern = testing::TempDir() + "known_peers_XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~KnownPeersTest() override { std::filesystem::remove_all(directory_); }

  std::string file() const { return directory_ + "/" + KnownPeers::kFile; }
  std::string content() const {
    std::ifstream in(file(), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void overwrite(const std::string& text) const { std::ofstream(file(), std::ios::binary) << text; }
  Map reopened() const {
    const auto peers = KnownPeers::open(directory_);
    EXPECT_TRUE(peers) << peers.error();
    return peers ? peers->incarnations() : Map{{0, 0}};
  }

  std::string directory_;
};

TEST_F(KnownPeersTest, NobodyIsKnownAtFirst) {
  EXPECT_EQ(reopened(), Map());
}

TEST_F(KnownPeersTest, WhatWasLearntIsThereAfterARestart) {
  auto peers = KnownPeers::open(directory_);
  ASSERT_TRUE(peers);
  ASSERT_TRUE(peers->learn(2, 0xffff'ffff'ffff'ffff));
  EXPECT_EQ(reopened(), (Map{{2, 0xffff'ffff'ffff'ffff}}));
  ASSERT_TRUE(peers->learn(3, 0));
  ASSERT_TRUE(peers->learn(0xffff'ffff'ffff'ffff, 7));
  EXPECT_EQ(reopened(), peers->incarnations());
  EXPECT_EQ(peers->incarnations().size(), 3u);
  ASSERT_TRUE(peers->forget(2));
  ASSERT_TRUE(peers->forget(99));
  EXPECT_EQ(reopened(), (Map{{3, 0}, {0xffff'ffff'ffff'ffff, 7}}));
}

TEST_F(KnownPeersTest, ADamagedFileIsAnErrorThatSaysWhatToDo) {
  auto peers = KnownPeers::open(directory_);
  ASSERT_TRUE(peers->learn(2, 77));
  ASSERT_TRUE(peers->learn(3, 78));
  const std::string good = content();
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    overwrite(bad);
    const auto read = KnownPeers::open(directory_);
    ASSERT_FALSE(read) << "byte " << i;
    EXPECT_THAT(read.error(), AllOf(HasSubstr(file()), HasSubstr("damaged"), HasSubstr("backup")));
  }
  for (size_t length = 0; length < good.size(); ++length) {
    overwrite(good.substr(0, length));
    ASSERT_FALSE(KnownPeers::open(directory_)) << "cut at " << length;
  }
  overwrite(good + good);
  EXPECT_FALSE(KnownPeers::open(directory_));
  overwrite(std::string(3 << 20, 'p'));
  EXPECT_FALSE(KnownPeers::open(directory_));
  overwrite(good);
  EXPECT_TRUE(KnownPeers::open(directory_));
}

TEST_F(KnownPeersTest, AnInterruptedWriteLeavesTheOldFile) {
  auto peers = KnownPeers::open(directory_);
  ASSERT_TRUE(peers->learn(2, 77));
  std::ofstream(directory_ + "/peers.tmp") << "half a fi";
  EXPECT_EQ(reopened(), (Map{{2, 77}}));
  ASSERT_TRUE(peers->learn(3, 78));
  EXPECT_EQ(reopened(), (Map{{2, 77}, {3, 78}}));
}

// A directory in the draft's place stands for a disk that takes nothing.
TEST_F(KnownPeersTest, WhatCouldNotBeWrittenIsWrittenWithTheNextChange) {
  auto peers = KnownPeers::open(directory_);
  ASSERT_TRUE(peers->learn(2, 77));
  const std::string obstacle = directory_ + "/peers.tmp";
  std::filesystem::create_directory(obstacle);
  const auto failed = peers->learn(3, 78);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error(), AllOf(HasSubstr(file()), HasSubstr("can't be written")));
  EXPECT_EQ(peers->incarnations().size(), 2u);
  EXPECT_EQ(reopened(), (Map{{2, 77}}));
  std::filesystem::remove(obstacle);
  ASSERT_TRUE(peers->forget(99));
  EXPECT_EQ(reopened(), (Map{{2, 77}, {3, 78}}));
}

}  // namespace
}  // namespace raftkv::server
