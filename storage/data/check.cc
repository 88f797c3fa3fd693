#include "storage/data/check.h"

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace raftkv::data {

void check_failed(const char* why, const char* file, int line) {
  (void)std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, why);
  std::abort();
}

size_t good_size(size_t bytes) {
  if (bytes <= 128) return bytes == 0 ? 16 : (bytes + 15) & ~size_t{15};
  const size_t step = size_t{1} << (std::bit_width(bytes - 1) - 3);
  return (bytes + step - 1) & ~(step - 1);
}

void* allocate(size_t bytes) {
  void* memory = std::malloc(bytes);
  check(memory != nullptr, "the dataset is out of memory");
  return memory;
}

void* reallocate(void* old, size_t bytes) {
  void* memory = std::realloc(old, bytes);
  check(memory != nullptr, "the dataset is out of memory");
  return memory;
}

void* allocate_zeroed_lines(size_t bytes) {
  constexpr size_t kLine = 64;
  check(bytes % kLine == 0, "whole cache lines are allocated");
  void* memory = std::aligned_alloc(kLine, bytes);
  check(memory != nullptr, "the dataset is out of memory");
  std::memset(memory, 0, bytes);
  return memory;
}

}  // namespace raftkv::data
