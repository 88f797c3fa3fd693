// RAFT.SESSION and RAFT.ONCE: writes that are executed once however often they are sent (Ongaro's
// thesis, 6.3). Declared here, carried out by the state machine (server/replica/once_apply.cc).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/command/command.h"

namespace raftkv::server {

// What a node allows the sessions that are opened while it leads. Replicas with other settings must
// come to the same state, so these go into the log with each RAFT.SESSION OPEN.
struct OnceLimits {
  uint64_t ttl_s = 3600;             // of a session that does not say otherwise
  uint64_t replies_max = 1024;       // kept for retries, of one session
  uint64_t reply_bytes_max = 65536;  // of these replies together
  uint64_t sessions_max = 10'000;    // open at a time
};

inline constexpr uint64_t kSessionTtlMaxS = uint64_t{10} * 365 * 24 * 3600;

// A call of RAFT.ONCE that admission let through.
struct OnceCall {
  uint64_t session = 0;
  uint64_t sequence = 0;
  uint64_t lowest_needed = 0;  // of ACK; 0: not said
  Carried command;
};
OnceCall read_once(Args args);

// Of RAFT.SESSION CLOSE, and of LIST with FROM (0 without).
uint64_t read_session_id(Args args);

// RAFT.SESSION OPEN as it stands in the log: with everything that decides what comes of it.
struct SessionOpening {
  uint64_t ttl_s = 0;
  resp::Protocol protocol = resp::Protocol::kResp2;  // in which the session's replies are kept
  uint64_t replies_max = 0;
  uint64_t reply_bytes_max = 0;
  uint64_t sessions_max = 0;
};
bool is_session_open(const CommandSpec& spec);
// From a client's call, which admission let through.
std::vector<std::string> opening_for_log(Args args, const OnceLimits& limits,
                                         resp::Protocol protocol);
// From the log. Nothing if it was not made by opening_for_log().
std::optional<SessionOpening> read_opening(Args args);

}  // namespace raftkv::server
