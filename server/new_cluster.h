// The way back when a majority is lost for ever: one node's data becomes a cluster of that node
// alone. Breaks what consensus promises: acknowledged writes that only the lost nodes had are gone.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "server/command/host.h"

namespace raftkv::server {

struct NewClusterOptions {
  std::string data_dir;
  uint64_t node_id = 0;
  // Where the node will be reached; nothing: where the log says it is.
  std::optional<Member> addresses;
  // Otherwise nothing is changed, and the report says what would be.
  bool write = false;
};

// Offline: the directory must not be in use. Refuses a directory whose log is damaged or empty. The
// report is for the operator, in several lines; the error is one line.
//
// What is written, in this order: the peers that the node had met are forgotten, the directory gets
// a new cluster id and incarnation (from then on no node of the old cluster talks to it), and one
// entry behind the log's last makes the node the only voter. After a crash in between: again.
std::expected<std::string, std::string> force_new_cluster(const NewClusterOptions& options);

}  // namespace raftkv::server
