// What must hold after every step, whatever the world did. Cheap enough for a simulator to ask
// after each event; the node does not ask by itself.
#pragma once

#include <string>

#include "raft/core.h"
#include "raft/leader.h"

namespace raftkv::raft {

// `leader` is null unless the node leads. Empty if all is well.
std::string find_broken_invariant(const Core& core, const Leader* leader);

}  // namespace raftkv::raft
