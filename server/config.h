// The server's settings: from flags, checked once, then plain values.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "server/command/host.h"
#include "server/net/client_options.h"
#include "server/replica/replica.h"

namespace raftkv::server {

struct Config {
  uint64_t node_id = 1;
  // What --cluster names, sorted by id, self included: the members of a group that has never been.
  // Empty with --join.
  std::vector<Member> members;
  bool join = false;       // waits to be added to a running group
  std::string cluster_id;  // 40 hexadecimal characters
  std::string listen_host;
  uint16_t listen_port = 0;
  std::string peer_host;
  uint16_t peer_port = 0;
  std::string data_dir;
  std::string import_rdb;  // the file that a new cluster of one node begins with; empty: none
  uint64_t shutdown_grace_ms = 0;
  size_t peer_queue_bytes_max = 0;
  uint64_t snapshot_rate_bytes = 0;
  ReplicaOptions replica;
  ClientOptions clients;
};

// Distance of the peer port from the client port, unless a flag says otherwise.
inline constexpr uint16_t kPeerPortOffset = 10'000;

// The configuration that the flags describe. The error is one line: which flag, what is wrong with
// it and what would be right.
std::expected<Config, std::string> config_from_flags();

// "1@127.0.0.1:7001@127.0.0.1:17001,2@..." as members, sorted by id.
std::expected<std::vector<Member>, std::string> parse_cluster(std::string_view text);

const char* read_mode_name(ReadMode mode);
const char* follower_reads_name(FollowerReads mode);

}  // namespace raftkv::server
