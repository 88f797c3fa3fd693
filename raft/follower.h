// What a follower does with its leader's messages. They are of our term, and the sender is known to
// be its leader.
#pragma once

#include "raft/core.h"

namespace raftkv::raft {

// False if the entries contradict themselves; such a message is to be ignored.
[[nodiscard]] bool is_well_formed(const Append& append, Term term);

void on_append(Core& core, const Message& message, Append& append);
void on_heartbeat(Core& core, const Message& message, const Heartbeat& heartbeat);

}  // namespace raftkv::raft
