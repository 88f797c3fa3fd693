// What a directory remembers of having differed, and the start of a node whose data are discarded.
#include "server/difference_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "storage/log/memory_log_store.h"

namespace raftkv::server {
namespace {

using testing::HasSubstr;

class DifferenceRecordTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "differences-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::string path() const { return folder + "/" + DifferenceRecord::kFile; }
  std::string contents() const {
    std::ifstream file(path(), std::ios::binary);
    return std::string((std::istreambuf_iterator<char>(file)), {});
  }
  void put(const std::string& text) const { std::ofstream(path(), std::ios::binary) << text; }

  // A log of five entries of term 3, in which this node voted in term 4; recovered in a new life.
  raft::Restored make_log() {
    EXPECT_TRUE(log.recover());
    raft::Persist persist{.token = {.sequence = 1, .last_term = 3, .last_index = 5},
                          .hard_state = raft::HardState{.term = 4, .vote = 2, .commit = 4},
                          .entries = {},
                          .sealed = {}};
    for (raft::Index index = 1; index <= 5; ++index) {
      persist.entries.push_back({.term = 3, .index = index, .time_us = index, .payload = nullptr});
    }
    const raft::Persist* batch[] = {&persist};
    EXPECT_TRUE(log.write(batch));
    log.crash(0);
    return *log.recover();
  }

  std::string folder;
  storage::MemoryLogStore log;
  const DifferenceRecord different{.discard = true, .count = 3, .last = "at index 5"};
};

TEST_F(DifferenceRecordTest, NoFileMeansThatNothingEverDiffered) {
  EXPECT_EQ(read_differences(folder), DifferenceRecord{});
}

TEST_F(DifferenceRecordTest, WhatIsWrittenComesBack) {
  ASSERT_TRUE(write_differences(folder, different));
  EXPECT_EQ(read_differences(folder), different);
  const DifferenceRecord healed{.discard = false, .count = 3, .last = "at index 5"};
  ASSERT_TRUE(write_differences(folder, healed));
  EXPECT_EQ(read_differences(folder), healed);
}

TEST_F(DifferenceRecordTest, ADamagedFileIsAnErrorThatSaysWhatToDo) {
  ASSERT_TRUE(write_differences(folder, different));
  const std::string whole = contents();
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string text = whole;
    text[at] = static_cast<char>(text[at] ^ 1);
    put(text);
    const auto record = read_differences(folder);
    ASSERT_FALSE(record) << "byte " << at;
    EXPECT_THAT(record.error(), HasSubstr("add it with an empty directory"));
    put(whole.substr(0, at));
    EXPECT_FALSE(read_differences(folder)) << "cut off at " << at;
  }
}

TEST_F(DifferenceRecordTest, AFileThatCannotBeWrittenIsAnError) {
  const auto written = write_differences(folder + "/missing", different);
  ASSERT_FALSE(written);
  EXPECT_THAT(written.error(), HasSubstr("missing"));
}

TEST_F(DifferenceRecordTest, AStartThatHasNothingToDiscardLeavesTheLogAlone) {
  raft::Restored restored = make_log();
  ASSERT_TRUE(write_differences(folder, {.discard = false, .count = 1, .last = "x"}));
  const auto record = discard_what_differs(folder, log, restored);
  ASSERT_TRUE(record) << record.error();
  EXPECT_EQ(record->count, 1U);
  EXPECT_EQ(restored.last_index, 5U);
  EXPECT_EQ(restored.lost_up_to, 0U);
}

TEST_F(DifferenceRecordTest, WhatDiffersIsDiscardedAndTheVoteIsKept) {
  raft::Restored restored = make_log();
  ASSERT_TRUE(write_differences(folder, different));
  const auto record = discard_what_differs(folder, log, restored);
  ASSERT_TRUE(record) << record.error();
  EXPECT_FALSE(record->discard);
  EXPECT_EQ(record->count, 3U);
  EXPECT_EQ(restored.last_index, 0U);
  EXPECT_EQ(restored.lost_up_to, 5U) << "others may count on what it had acknowledged";
  EXPECT_EQ(restored.hard_state.term, 4U);
  EXPECT_EQ(restored.hard_state.vote, 2U);
  EXPECT_EQ(read_differences(folder), *record) << "once is enough";
}

TEST_F(DifferenceRecordTest, ACrashBeforeItIsNotedDiscardsOnceMore) {
  raft::Restored restored = make_log();
  ASSERT_TRUE(write_differences(folder, different));
  ASSERT_TRUE(discard_what_differs(folder, log, restored));
  ASSERT_TRUE(write_differences(folder, different));  // as if the second file had been lost
  log.crash(0);
  restored = *log.recover();
  ASSERT_TRUE(discard_what_differs(folder, log, restored));
  EXPECT_EQ(restored.lost_up_to, 5U);
}

}  // namespace
}  // namespace raftkv::server
