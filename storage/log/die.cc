#include "storage/log/die.h"

#include <cstdio>
#include <cstdlib>

namespace raftkv::storage {

void die(std::string_view facts) {
  std::fprintf(stderr, "FATAL storage: %.*s\n", static_cast<int>(facts.size()), facts.data());
  std::fflush(stderr);
  std::abort();
}

}  // namespace raftkv::storage
