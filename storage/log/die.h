// The end of the process with the facts, for what must never happen: the disk's betrayal (an entry
// that was durable can't be read back) and a programmer's mistake (a gap in what is written).
#pragma once

#include <string_view>

namespace raftkv::storage {

// Writes "FATAL storage: <facts>" to stderr and aborts. Any thread.
[[noreturn]] void die(std::string_view facts);

}  // namespace raftkv::storage
