// The configurations that a search has been in: exact, compared word for word.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace raftkv::client::check {

class ConfigurationSet {
 public:
  ConfigurationSet();

  // False if it was there already. At most 2^32 - 1 words each.
  bool insert(std::span<const uint64_t> words);

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] size_t memory_bytes() const {
    return words_.capacity() * sizeof(uint64_t) + slots_.size() * sizeof(Slot);
  }

 private:
  struct Slot {
    uint64_t position = 0;  // in words_, plus 1; 0: free
    uint32_t hash = 0;
    uint32_t length = 0;
  };

  void grow();

  std::vector<uint64_t> words_;  // all configurations, one behind the other
  std::vector<Slot> slots_;      // a power of two
  size_t size_ = 0;
};

}  // namespace raftkv::client::check
