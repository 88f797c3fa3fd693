// What a node knows of one client connection: what CLIENT shows and changes. Plain data, owned by
// the session, touched on the loop's thread only.
#pragma once

#include <cstdint>
#include <string>

#include "resp/reply_writer.h"

namespace raftkv::server {

enum class ReplyMode : uint8_t { kOn, kOff, kSkipNext, kSkipThis };

struct ClientState {
  uint64_t id = 0;      // grows with each connection of this process
  std::string address;  // "127.0.0.1:51234"
  std::string local_address;
  int fd = -1;
  std::string name;          // CLIENT SETNAME
  std::string library_name;  // CLIENT SETINFO LIB-NAME
  std::string library_version;
  resp::Protocol protocol = resp::Protocol::kResp2;
  ReplyMode reply_mode = ReplyMode::kOn;
  bool readonly = false;  // READONLY: a follower may answer reads
  bool no_evict = false;
  bool no_touch = false;
  bool close_after_reply = false;  // QUIT, CLIENT KILL of oneself
  bool reset_requested = false;    // RESET: the session forgets MULTI and WATCH

  // Set by the session.
  uint64_t created_us = 0;  // monotonic
  uint64_t last_command_us = 0;
  std::string last_command = "NULL";  // "client|list"
  int multi_queued = -1;              // commands queued in MULTI, -1 outside
  size_t watched = 0;
  size_t outstanding = 0;  // commands whose reply is not complete
  uint64_t commands = 0;

  // Set by the connection.
  size_t input_bytes = 0;   // buffered, not parsed
  size_t output_bytes = 0;  // buffered, not sent
  uint64_t total_input_bytes = 0;
  uint64_t total_output_bytes = 0;
};

}  // namespace raftkv::server
