// Checks that are always on: a programmer's mistake, or the log contradicting itself, ends the
// process with the facts. Going on would spread the damage to the other replicas.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace raftkv::server {

[[noreturn]] inline void die(std::string_view what, const char* file, int line) {
  std::fprintf(stderr, "raftkv: fatal: %.*s (%s:%d)\n", static_cast<int>(what.size()), what.data(),
               file, line);
  std::fflush(stderr);
  std::abort();
}

}  // namespace raftkv::server

#define RAFTKV_CHECK(condition, why)                                  \
  do {                                                                \
    if (!(condition)) ::raftkv::server::die(why, __FILE__, __LINE__); \
  } while (false)
