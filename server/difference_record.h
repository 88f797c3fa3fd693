// What a data directory remembers of being found to differ from the other members (the file
// `differences`): that it happened, and that what the directory holds is to be discarded.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "raft/node.h"
#include "storage/log/log_store.h"

namespace raftkv::server {

struct DifferenceRecord {
  static constexpr char kFile[] = "differences";

  // Log and snapshots stand for a dataset that is not the group's: nothing may be served from them.
  bool discard = false;
  uint64_t count = 0;  // how often that happened to this directory
  std::string last{};  // the last time, in words: one line

  friend bool operator==(const DifferenceRecord&, const DifferenceRecord&) = default;
};

// The errors are one line for the operator. No file: nothing ever differed.
std::expected<DifferenceRecord, std::string> read_differences(const std::string& data_dir);
// Durable when it returns.
[[nodiscard]] std::expected<void, std::string> write_differences(const std::string& data_dir,
                                                                 const DifferenceRecord& record);

// At a start, when `log` has been recovered and before anything else is done with `restored`: if
// that was decided in an earlier life, discards the log, and `restored` then says that others have
// to repair this node. Term and vote stay, and it does not vote before it has again what it may
// have acknowledged (raft::Restored::lost_up_to). A crash on the way is made good by the next
// start.
std::expected<DifferenceRecord, std::string> discard_what_differs(const std::string& data_dir,
                                                                  storage::LogStore& log,
                                                                  raft::Restored& restored);

}  // namespace raftkv::server
