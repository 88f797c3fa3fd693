#pragma once

namespace raftkv::server {

// Becomes this very process anew, with the same arguments and process id, as if it had been killed
// and started again. Returns only if that is not possible.
void restart_process();

}  // namespace raftkv::server
