// A bucket of the hash table: one cache line with up to seven entries, and a byte of hash of each,
// so that a lookup usually reads this line and then only the right entry.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace raftkv::data {

class Entry;

// A chain is always packed: every bucket but the last has an overflow bucket and six entries, and
// an overflow bucket is there only if seven slots don't do. All zero is an empty bucket.
struct alignas(64) Bucket {
  static constexpr size_t kSlots = 7;
  static constexpr uint8_t kChained = 0x80;

  uint8_t tags[kSlots];
  uint8_t state;         // the number of entries; the high bit: chained
  Entry* slots[kSlots];  // if chained, the last one is the pointer to the overflow bucket

  static uint8_t tag_of(uint64_t hash) { return static_cast<uint8_t>(hash >> 56); }

  bool chained() const { return (state & kChained) != 0; }
  unsigned count() const { return state & (kChained - 1); }
  Bucket* next() const { return reinterpret_cast<Bucket*>(slots[kSlots - 1]); }

  void push(Entry* entry, uint8_t tag) {
    const unsigned slot = count();
    slots[slot] = entry;
    tags[slot] = tag;
    ++state;
  }
  void pop() { --state; }
  void chain(Bucket* overflow) {
    slots[kSlots - 1] = reinterpret_cast<Entry*>(overflow);
    state = (kSlots - 1) | kChained;
  }
  void unchain() { state = kSlots - 1; }

  // A set bit 8i+7 for each slot i whose tag is `tag`; rarely one for a slot whose tag is not.
  uint64_t matches(uint8_t tag) const {
    static_assert(std::endian::native == std::endian::little);
    uint64_t word;
    std::memcpy(&word, tags, sizeof(word));
    constexpr uint64_t kOnes = 0x0101010101010101;
    const uint64_t difference = word ^ (kOnes * tag);
    const uint64_t zero_bytes = (difference - kOnes) & ~difference & (kOnes << 7);
    return zero_bytes & ((uint64_t{1} << (8 * count())) - 1);
  }

  template <typename Visit>
  static void visit_chain(const Bucket& head, Visit visit) {
    const Bucket* b = &head;
    while (true) {
      for (unsigned i = 0; i < b->count(); ++i) visit(b->slots[i], b->tags[i]);
      if (!b->chained()) return;
      b = b->next();
    }
  }
};
static_assert(sizeof(Bucket) == 64);

}  // namespace raftkv::data
