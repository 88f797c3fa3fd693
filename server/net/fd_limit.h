// How many connections the process may hold: file descriptors.
#pragma once

#include <cstddef>

namespace raftkv::server {

// Descriptors that are kept for everything that is no client: the log's files, peers, pipes.
inline constexpr size_t kReservedDescriptors = 256;

// Raises the process's soft limit (and the hard one, where that is allowed) so that `clients_max`
// connections fit beside the reserve, and returns how many really fit. Warns, with what to do, if
// that is fewer.
size_t provide_descriptors(size_t clients_max);

}  // namespace raftkv::server
