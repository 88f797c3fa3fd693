// The entries that have a deadline, by deadline. Entries with the same deadline are in no
// particular order: that can't be seen, since all of them are absent for everybody from the same
// moment on.
#pragma once

#include <absl/container/btree_set.h>

#include <cstddef>
#include <cstdlib>
#include <functional>
#include <utility>

#include "storage/data/check.h"
#include "storage/data/keyspace.h"

namespace raftkv::data {

// Counts what a container holds. The counter outlives it.
template <typename T>
class CountingAllocator {
 public:
  using value_type = T;

  explicit CountingAllocator(size_t* bytes) : bytes_(bytes) {}
  template <typename U>
  CountingAllocator(const CountingAllocator<U>& other)  // NOLINT(google-explicit-constructor)
      : bytes_(other.bytes()) {}

  T* allocate(size_t count) {
    *bytes_ += count * sizeof(T);
    return static_cast<T*>(data::allocate(count * sizeof(T)));
  }
  void deallocate(T* memory, size_t count) {
    *bytes_ -= count * sizeof(T);
    std::free(memory);
  }
  size_t* bytes() const { return bytes_; }
  friend bool operator==(const CountingAllocator& a, const CountingAllocator& b) {
    return a.bytes_ == b.bytes_;
  }

 private:
  size_t* bytes_;
};

class ExpiryIndex {
 public:
  ExpiryIndex() : set_(CountingAllocator<Item>(&bytes_)) {}
  ExpiryIndex(const ExpiryIndex&) = delete;
  ExpiryIndex& operator=(const ExpiryIndex&) = delete;

  // `expiry` is the entry's deadline; kNoExpiry is allowed and does nothing.
  void add(TimeMs expiry, Entry* entry);
  void remove(TimeMs expiry, Entry* entry);

  // An entry with the earliest deadline, null if there is none.
  Entry* first() const { return set_.empty() ? nullptr : set_.begin()->second; }
  TimeMs earliest() const { return set_.empty() ? kNoExpiry : set_.begin()->first; }

  size_t size() const { return set_.size(); }
  TimeMs average_ttl(TimeMs now) const;
  size_t memory() const { return bytes_; }

  // Forgets up to `count` entries, without looking at them.
  void drain(size_t count);

 private:
  using Item = std::pair<TimeMs, Entry*>;

  size_t bytes_ = 0;
  absl::btree_set<Item, std::less<>, CountingAllocator<Item>> set_;
  __int128 sum_ = 0;  // of the deadlines
};

}  // namespace raftkv::data
