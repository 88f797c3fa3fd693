#include "raft/check.h"

#include <cstdio>
#include <cstdlib>

namespace raftkv::raft {

void check_failed(const char* file, int line, const char* condition, const std::string& facts) {
  std::fprintf(stderr, "%s:%d: raft check failed: %s: %s\n", file, line, condition, facts.c_str());
  std::fflush(stderr);
  std::abort();
}

}  // namespace raftkv::raft
