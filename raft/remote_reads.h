// Reads that a follower asks its leader for (thesis 6.4): those of one turn share a request, and an
// answer speaks for all requests before it too, since what was asked later sees at least as much.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "raft/core.h"

namespace raftkv::raft {

class RemoteReads {
 public:
  // Requests without an answer. When there are more, the oldest is given up: it was lost, or so
  // late that whoever waits for it has given up himself.
  static constexpr size_t kOutstandingMax = 64;

  explicit RemoteReads(Core& core);

  // A read with this number is to be asked for. Numbers grow.
  void add(uint64_t number);
  bool wants_request() const { return open_.first != 0; }
  // Asks for what was added since the last request.
  void send_request();
  void on_reply(const Message& message, const ReadReply& reply);

  bool has_grants() const { return !grants_.empty(); }
  void take_grants(std::vector<ReadGrant>& grants);
  // Drops everything that was asked of another leader than the present one, or in another term.
  void settle();

 private:
  struct Request {
    uint64_t first = 0;  // 0: none
    uint64_t last = 0;
    uint64_t name = 0;  // ReadRequest::number
  };

  Core& core_;
  uint64_t last_name_;
  Request open_;
  std::deque<Request> outstanding_;  // oldest first
  std::vector<ReadGrant> grants_;
  NodeId leader_ = 0;
  Term term_ = 0;
};

}  // namespace raftkv::raft
