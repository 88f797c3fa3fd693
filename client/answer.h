// What an error reply says about the command it answers, and what a client may do about it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "client/address.h"

namespace raftkv::client {

enum class Verdict : uint8_t {
  kFinal,      // a refusal for good, the command's own fault
  kMoved,      // surely not executed: another node is the leader
  kNotNow,     // surely not executed: no leader, still loading, connection limit, ...
  kUnknown,    // it may or may not have taken effect
  kNoSession,  // not executed now; whether it was, under the same number, is forgotten
  kReplyGone,  // it has taken effect, but what it replied is forgotten
};

// `error` is the reply without '-'.
Verdict judge(std::string_view error);

// The address in "MOVED 16287 127.0.0.1:7003". An empty host means the host of the node that
// answered (`from`). Nothing if there is no address in it.
std::optional<Address> moved_to(std::string_view error, const Address& from);

}  // namespace raftkv::client
