#include "raft/remote_reads.h"

#include <algorithm>
#include <utility>

#include "raft/random.h"

namespace raftkv::raft {

// The clock sets this run apart from earlier ones on this machine, the seed from those before a
// reboot. Half of the range is left to count in.
RemoteReads::RemoteReads(Core& core)
    : core_(core),
      last_name_(Random(core.options.random_seed ^ (core.now * 0xd1342543de82ef95)).next() / 2) {}

void RemoteReads::settle() {
  if (core_.role == Role::kFollower && leader_ == core_.leader && term_ == core_.term()) return;
  leader_ = core_.leader;
  term_ = core_.term();
  open_ = {};
  outstanding_.clear();
  grants_.clear();
}

void RemoteReads::add(uint64_t number) {
  settle();
  if (open_.first == 0) open_.first = number;
  open_.last = number;
}

void RemoteReads::send_request() {
  if (outstanding_.size() == kOutstandingMax) outstanding_.pop_front();
  open_.name = ++last_name_;
  outstanding_.push_back(open_);
  core_.reply(leader_, ReadRequest{.number = open_.name});
  open_ = {};
}

void RemoteReads::on_reply(const Message& message, const ReadReply& reply) {
  settle();
  if (message.from != leader_ || message.term != term_) return;
  const auto answered =
      std::find_if(outstanding_.begin(), outstanding_.end(),
                   [&](const Request& request) { return request.name == reply.number; });
  if (answered == outstanding_.end()) return;
  const auto end = std::next(answered);
  for (auto request = outstanding_.begin(); request != end && !reply.refused; ++request) {
    grants_.push_back({request->first, request->last, reply.index});
  }
  outstanding_.erase(outstanding_.begin(), end);
}

void RemoteReads::take_grants(std::vector<ReadGrant>& grants) {
  for (const ReadGrant& grant : std::exchange(grants_, {})) grants.push_back(grant);
}

}  // namespace raftkv::raft
