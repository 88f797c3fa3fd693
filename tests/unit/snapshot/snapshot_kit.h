// Directories, facts and datasets for the tests of snapshots.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "storage/snapshot/snapshot_cut_job.h"
#include "storage/snapshot/snapshot_loader.h"

namespace raftkv::test {

class TempDir {
 public:
  // In memory if possible.
  TempDir() : TempDir(std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp") {}
  explicit TempDir(const std::string& parent) : path_(parent + "/raftkv-snapshot-test-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) abort();
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline const std::string kCluster(40, 'c');

inline storage::SnapshotFacts facts(raft::Index index, raft::Term term) {
  storage::SnapshotFacts facts;
  facts.meta.index = index;
  facts.meta.term = term;
  facts.meta.time_us = 1'700'000'000'000'000 + index;
  facts.meta.membership.voters = {1, 2, 3};
  for (const raft::NodeId id : facts.meta.membership.voters)
    facts.meta.membership.contexts[id] = "";
  facts.cluster_id = kCluster;
  facts.parts["sessions"] = std::string("\0\x01session", 9);
  return facts;
}

inline storage::SnapshotId id_of(raft::Index index, raft::Term term) {
  return {.term = term, .index = index};
}

using Dataset = std::map<std::string, std::pair<std::string, data::TimeMs>>;

inline Dataset dataset_of(const data::Keyspace& keyspace) {
  Dataset dataset;
  keyspace.for_each([&](const data::Entry& entry) {
    data::IntBuffer buffer;
    dataset[std::string(data::Keyspace::key_of(entry))] = {
        std::string(data::Keyspace::string_of(entry, buffer)), data::Keyspace::expiry_of(entry)};
  });
  return dataset;
}

inline void fill(data::Keyspace& keyspace, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const std::string key = "key:" + std::to_string(i);
    if (i % 3 == 0) {
      keyspace.set_integer(key, static_cast<int64_t>(i));
    } else {
      keyspace.set_string(key, std::string(i % 120, static_cast<char>('a' + i % 26)),
                          i % 5 == 0 ? static_cast<data::TimeMs>(1000 + i) : data::kNoExpiry);
    }
  }
}

// Waits for something that another thread does; the test fails if it never comes.
inline void wait_until(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    ASSERT_LT(std::chrono::steady_clock::now(), end) << "nothing happened for a minute";
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

// Drives a job to its end.
inline void finish(storage::SnapshotCutJob& job) {
  using State = storage::SnapshotCutJob::State;
  wait_until([&] {
    while (job.advance(100)) {
    }
    return job.state() == State::kDone || job.state() == State::kFailed;
  });
}

inline std::string bytes_of(const storage::SnapshotFile& file) {
  std::string bytes(file.size(), '\0');
  const auto count = file.read_at(0, bytes.data(), bytes.size());
  EXPECT_EQ(count, bytes.size());
  return bytes;
}

}  // namespace raftkv::test
