// The hash table of the keyspace: linear hashing (Litwin, 1980). The table grows and shrinks by one
// bucket at a time: an insertion splits at most one bucket, a removal merges at most one. So there
// is no resize that anybody waits for, no second table, and no doubling of memory on the way.
//
// With 2^level + split buckets, a key lives in bucket (hash mod 2^(level+1)) if that bucket exists,
// else in (hash mod 2^level). Bucket `split` is the next to be split, into itself and the new last
// one.
//
// A bucket is one cache line: seven entries with a byte of hash each, so that a lookup usually
// reads one line here and then the right entry. Crowded buckets have overflow buckets behind them.
// Buckets lie in segments of a fixed size, so that growing never copies or zeroes more than one
// segment.
#pragma once

#define XXH_INLINE_ALL  // most keys are short: a call would cost as much as the hash
#include <xxhash.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "storage/data/bucket.h"
#include "storage/data/entry.h"
#include "storage/data/prefetch.h"

namespace raftkv::data {

// Owns its entries: what is in it when it ends is destroyed.
class Table {
 public:
  explicit Table(uint64_t seed);
  ~Table();
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  // What the table holds for an entry on the average, to be told to users.
  static constexpr size_t kBytesPerEntry = 15;

  uint64_t hash(std::string_view key) const {
    return XXH3_64bits_withSeed(key.data(), key.size(), seed_);
  }

  // The place of the entry of `key`, or null. `hash` is always hash(key). The entry there may be
  // replaced by another one of the same key. Valid until the next insert() or take().
  Entry** find(std::string_view key, uint64_t hash) { return find_slot(key, hash); }
  const Entry* find(std::string_view key, uint64_t hash) const {
    Entry** slot = find_slot(key, hash);
    return slot == nullptr ? nullptr : *slot;
  }

  // `entry`'s key must be absent. The table owns it from now on.
  void insert(Entry* entry, uint64_t hash);
  // Removes the entry of `key` and gives it to the caller, null if there is none.
  Entry* take(std::string_view key, uint64_t hash);

  size_t size() const { return size_; }
  size_t bucket_count() const { return (size_t{1} << level_) + split_; }
  size_t memory() const { return memory_ + directory_.capacity() * sizeof(void*); }

  // Hints to the processor, ahead of a find(): first the bucket, then, when that has had time to
  // come, the entry.
  void prefetch_bucket(uint64_t hash) const;
  void prefetch_entry(uint64_t hash) const;

  // Visits the entries of a few buckets, at least `count` entries unless it reaches the end, and
  // returns the next cursor, 0 at the end. The cursor counts through the hash values modulo
  // 2^level, with the highest bit of the bucket number counted first: what lies behind a cursor is
  // a set of hash values that does not depend on the level, so it means the same after the table
  // has grown or shrunk.
  uint64_t scan(uint64_t cursor, size_t count,
                const std::function<void(const Entry&)>& visit) const;
  void for_each(const std::function<void(const Entry&)>& visit) const;

  // A walk in the same order, for those who must know whether it has passed a key: it goes through
  // the places of the hashes from the lowest on. walk() calls visit(Entry&) for the entries of one
  // bucket, or of a pair, which lie at `place` or behind it, and returns the place up to which the
  // walk has come, 0 at the end. A key has been passed if its place is lower, however the table
  // grows or shrinks. `visit` may not change the table.
  static uint64_t place_of(uint64_t hash) { return reverse_bits(hash); }
  template <typename Visit>
  uint64_t walk(uint64_t place, Visit visit);

  // Makes room for so many entries at once. The table must be empty.
  void reserve(size_t entries);

  // Null if empty.
  const Entry* random(uint64_t draw) const;

  // Destroys the entries of at most `buckets` buckets and returns how many bytes those held. Once
  // begun, the table is good for nothing else.
  size_t drain(size_t buckets);
  bool drained() const { return directory_.empty(); }

 private:
  static constexpr size_t kSegmentBits = 8;
  static constexpr size_t kSegmentBuckets = size_t{1} << kSegmentBits;
  static constexpr unsigned kLevelMin = 2;
  static constexpr size_t kBucketsMin = size_t{1} << kLevelMin;
  static constexpr size_t kDirectoryMin = 8;

  size_t index_of(uint64_t hash) const {
    const size_t index = hash & ((size_t{2} << level_) - 1);
    return index < bucket_count() ? index : index - (size_t{1} << level_);
  }
  Bucket& bucket(size_t index) const {
    return directory_[index >> kSegmentBits][index & (kSegmentBuckets - 1)];
  }

  static uint64_t reverse_bits(uint64_t value) {
    uint64_t reversed = __builtin_bswap64(value);
    reversed = ((reversed >> 4) & 0x0f0f0f0f0f0f0f0f) | ((reversed & 0x0f0f0f0f0f0f0f0f) << 4);
    reversed = ((reversed >> 2) & 0x3333333333333333) | ((reversed & 0x3333333333333333) << 2);
    return ((reversed >> 1) & 0x5555555555555555) | ((reversed & 0x5555555555555555) << 1);
  }
  // The bits of a place that do not choose the bucket (of 2^level).
  uint64_t place_rest() const { return ~uint64_t{0} >> level_; }
  // Visits the bucket at the place, and the one that was split off it, if any.
  template <typename Visit>
  void visit_buckets(uint64_t place, Visit visit) const {
    const size_t index = reverse_bits(place) & ((size_t{1} << level_) - 1);
    visit(bucket(index));
    if (index < split_) visit(bucket(index + (size_t{1} << level_)));
  }

  Entry** find_slot(std::string_view key, uint64_t hash) const;
  void add(Bucket& head, Entry* entry, uint8_t tag);
  Entry* remove(Bucket& head, Bucket& holder, unsigned slot);
  void shorten_chain(Bucket& head);
  Bucket* new_overflow();
  void free_chain(Bucket* overflow);

  void split_one();
  void merge_one();
  void step_back();  // to one bucket less
  void append_bucket();
  void drop_last_bucket();
  void resize_first_segment(size_t buckets);
  void resize_directory(size_t capacity);

  uint64_t seed_;
  unsigned level_ = kLevelMin;
  size_t split_ = 0;
  size_t size_ = 0;
  size_t memory_ = 0;  // of segments and overflow buckets
  size_t first_segment_buckets_ =
      0;  // the first segment grows in steps, so that small tables are small
  std::vector<Bucket*> directory_;
};

// Here because it is the hot path of every command.
inline Entry** Table::find_slot(std::string_view key, uint64_t hash) const {
  const uint8_t tag = Bucket::tag_of(hash);
  Bucket* b = &bucket(index_of(hash));
  while (true) {
    for (uint64_t matches = b->matches(tag); matches != 0; matches &= matches - 1) {
      Entry*& slot = b->slots[std::countr_zero(matches) / 8];
      if (slot->key() == key) return &slot;
    }
    if (!b->chained()) return nullptr;
    b = b->next();
  }
}

template <typename Visit>
uint64_t Table::walk(uint64_t place, Visit visit) {
  const uint64_t rest = place_rest();
  const uint64_t next = (place | rest) + 1;
  // Neighbours in the walk lie far apart in memory: the buckets after the next are fetched while
  // the entries of the next ones are, and those while these are visited.
  const uint64_t after_next = (next | rest) + 1;
  visit_buckets(after_next, [](const Bucket& b) { prefetch(&b); });
  visit_buckets(next, [](const Bucket& b) {
    Bucket::visit_chain(b, [](Entry* entry, uint8_t) {
      prefetch(entry);
      prefetch(reinterpret_cast<const char*>(entry) + sizeof(Bucket));
    });
  });
  // After the table has shrunk, the first bucket may hold what a finer walk has passed already.
  const bool all = (place & rest) == 0;
  visit_buckets(place, [&](const Bucket& b) {
    Bucket::visit_chain(b, [&](Entry* entry, uint8_t) {
      if (all || place_of(hash(entry->key())) >= place) visit(*entry);
    });
  });
  return next;
}

}  // namespace raftkv::data
