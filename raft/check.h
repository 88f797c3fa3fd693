// Checks that are always on. What fails here is a host's mistake or a betrayal by the disk or by
// consensus itself: going on could lose data, so the process ends and says what it saw.
#pragma once

#include <string>

namespace raftkv::raft {

[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& facts);

}  // namespace raftkv::raft

// `facts` is a std::string expression, built only on failure.
#define RAFT_CHECK(condition, facts)                                         \
  do {                                                                       \
    if (!(condition)) [[unlikely]]                                           \
      ::raftkv::raft::check_failed(__FILE__, __LINE__, #condition, (facts)); \
  } while (false)
