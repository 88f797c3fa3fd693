// The checksum of Redis's files: CRC-64 with Jones's polynomial, reflected, begun with 0.
#pragma once

#include <cstdint>
#include <string_view>

namespace raftkv::storage {

// The checksum of what `crc` stands for, followed by `bytes`. Several GB/s.
uint64_t crc64(uint64_t crc, std::string_view bytes);

}  // namespace raftkv::storage
