#include "storage/snapshot/crc64.h"

#include <isa-l/crc64.h>

namespace raftkv::storage {

// The library inverts the sum before and after; Redis does not.
uint64_t crc64(uint64_t crc, std::string_view bytes) {
  if (bytes.empty()) return crc;
  return ~crc64_jones_refl(~crc, reinterpret_cast<const unsigned char*>(bytes.data()),
                           bytes.size());
}

}  // namespace raftkv::storage
