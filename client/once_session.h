// The session in which a client's writes are executed once, however often they are sent: numbers
// them, and knows whether the servers have such sessions at all (RAFT.SESSION, RAFT.ONCE).
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace raftkv::client {

// What a command is known by; sequence 0: it has no number.
struct OnceNumber {
  int64_t session = 0;
  uint64_t sequence = 0;

  bool given() const { return sequence != 0; }
};

class OnceSession {
 public:
  bool is_open() const { return id_ != 0; }
  int64_t id() const { return id_; }
  // A server said that it knows no sessions, so nobody is asked again.
  bool unsupported() const { return unsupported_; }

  void opened(int64_t id);
  // The servers say that session `id` is gone. Nothing happens if another one is open meanwhile.
  void lost(int64_t id);
  // The final error to RAFT.SESSION OPEN. An old server's, or a plain Redis's, is remembered.
  void refused(std::string_view error);
  // Of a command that is about to be sent for the first time. The session must be open.
  OnceNumber next() { return {id_, ++last_sequence_}; }

  static std::vector<std::string> opening(std::chrono::seconds ttl);
  static std::vector<std::string> closing(int64_t id);
  // `command` as it is sent under `number`, whose client may still send again what has the number
  // `lowest_needed` or a higher one.
  static std::vector<std::string> wrapped(std::span<const std::string> command, OnceNumber number,
                                          uint64_t lowest_needed);

 private:
  int64_t id_ = 0;
  uint64_t last_sequence_ = 0;
  bool unsupported_ = false;
};

}  // namespace raftkv::client
