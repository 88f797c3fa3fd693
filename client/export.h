// Brings a running node's data into an RDB file: has it take a snapshot, and downloads that.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "client/snapshot.h"

namespace raftkv::client {

struct ExportPlan {
  SnapshotPlan snapshot;
  std::string file;
  bool replace = false;  // the file, if it is there already
  // Without a byte for so long, the download fails; shorter breaks are survived.
  std::chrono::milliseconds patience{10'000};
};

struct ExportOutcome {
  TakenSnapshot snapshot;
  uint64_t keys = 0;
};

struct ExportProgress {
  SaveProgress saving;
  std::function<void(uint64_t, uint64_t)> loading;  // bytes that came, and bytes in all
};

// The file is written aside, read back and verified to its last bit, made durable, and only then
// gets its name: there is a whole one or none. On an error, a sentence for people, nothing is left
// of it.
std::expected<ExportOutcome, std::string> run_export(const ExportPlan& plan,
                                                     const ExportProgress& progress);

}  // namespace raftkv::client
