#include "server/cluster_identity.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <random>

namespace raftkv::server {

std::string derive_cluster_id(const std::vector<Member>& members) {
  std::string text;
  for (const Member& member : members) {
    text += fmt::format("{}@{}:{},", member.id, member.peer_host, member.peer_port);
  }
  const XXH128_hash_t first = XXH3_128bits(text.data(), text.size());
  const XXH64_hash_t second = XXH3_64bits_withSeed(text.data(), text.size(), first.low64);
  return fmt::format("{:016x}{:016x}{:08x}", first.high64, first.low64,
                     static_cast<uint32_t>(second));
}

std::string random_hex40() {
  std::random_device random;
  std::string hex;
  for (int i = 0; i < 5; ++i) hex += fmt::format("{:08x}", random());
  return hex;
}

}  // namespace raftkv::server
