// Checks of programmer's mistakes: always on, and they say why. And the one place that asks for
// memory.
#pragma once

#include <cstddef>

namespace raftkv::data {

[[noreturn]] void check_failed(const char* why, const char* file, int line);

// Ends the process, with `why` on stderr, if `ok` is false. A dataset that broke its own rules may
// not go on: the replicas would differ.
inline void check(bool ok, const char* why, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
  if (!ok) [[unlikely]]
    check_failed(why, file, line);
}

// The size that the allocator would reserve anyway for `bytes`, so that the slack can be used as
// room to grow: multiples of 16 up to 128, then four classes to each doubling (jemalloc's classes).
size_t good_size(size_t bytes);

// malloc and realloc that end the process when memory is out: half an applied entry can't be
// undone.
void* allocate(size_t bytes);
void* reallocate(void* old, size_t bytes);
void* allocate_zeroed_lines(size_t bytes);  // aligned to 64 bytes; freed with std::free()

}  // namespace raftkv::data
