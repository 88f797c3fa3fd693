#include "client/once_session.h"

namespace raftkv::client {

void OnceSession::opened(int64_t id) {
  id_ = id;
  last_sequence_ = 0;
}

void OnceSession::lost(int64_t id) {
  if (id == id_) id_ = 0;
}

void OnceSession::refused(std::string_view error) {
  id_ = 0;
  unsupported_ = error.starts_with("ERR unknown command");
}

std::vector<std::string> OnceSession::opening(std::chrono::seconds ttl) {
  return {"RAFT.SESSION", "OPEN", "TTL", std::to_string(ttl.count())};
}

std::vector<std::string> OnceSession::closing(int64_t id) {
  return {"RAFT.SESSION", "CLOSE", std::to_string(id)};
}

std::vector<std::string> OnceSession::wrapped(std::span<const std::string> command,
                                              OnceNumber number, uint64_t lowest_needed) {
  std::vector<std::string> args = {"RAFT.ONCE", std::to_string(number.session),
                                   std::to_string(number.sequence), "ACK",
                                   std::to_string(lowest_needed)};
  args.insert(args.end(), command.begin(), command.end());
  return args;
}

}  // namespace raftkv::client
