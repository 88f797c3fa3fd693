// What a node says it is. Redis's version decides which commands and reply forms clients expect.
#pragma once

namespace raftkv::server {

inline constexpr char kRedisVersion[] = "7.0.15";
inline constexpr char kRaftkvVersion[] = "0.1.0";

// CLUSTER clients look for cluster mode and follow MOVED by themselves only there; clients of a
// single server do not look at it.
inline constexpr char kRedisMode[] = "cluster";

}  // namespace raftkv::server
