#include "storage/data/digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "storage/data/entry.h"

namespace raftkv::data {

// The sum of one hash an entry. Each hash covers type, deadline, key and value, and where each
// ends.
void DigestSum::add(const Entry& entry) {
  if (is_due(entry.expiry(), now_)) return;
  IntBuffer buffer;
  const std::string_view key = entry.key();
  const std::string_view value = entry.string(buffer);
  const XXH128_hash_t key_hash = XXH3_128bits(key.data(), key.size());
  const XXH128_hash_t value_hash = XXH3_128bits(value.data(), value.size());
  const uint64_t facts[] = {static_cast<uint64_t>(entry.type()),
                            static_cast<uint64_t>(entry.expiry()),
                            key_hash.low64,
                            key_hash.high64,
                            value_hash.low64,
                            value_hash.high64};
  const XXH128_hash_t hash = XXH3_128bits(facts, sizeof(facts));
  sum_.low += hash.low64;
  sum_.high += hash.high64 + (sum_.low < hash.low64 ? 1 : 0);
}

}  // namespace raftkv::data
