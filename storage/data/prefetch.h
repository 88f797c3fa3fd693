// Hints to the processor that memory will be read soon.
#pragma once

namespace raftkv::data {

// Fetches the cache line of `address`, which may be any address at all.
inline void prefetch(const void* address) {
  __builtin_prefetch(address);
  // A function that does nothing else counts as one without effects, and g++ 12 drops its calls.
  // This is no instruction, but an effect.
  asm volatile("" : : "r"(address));
}

}  // namespace raftkv::data
