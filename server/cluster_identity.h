// Names that must be the same on every node without anybody handing them out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/command/host.h"

namespace raftkv::server {

// 40 hexadecimal characters from the members' ids and peer addresses: nodes that were given the
// same
// --cluster agree, and a data directory of another cluster is noticed.
std::string derive_cluster_id(const std::vector<Member>& members);

// 40 random hexadecimal characters.
std::string random_hex40();

}  // namespace raftkv::server
