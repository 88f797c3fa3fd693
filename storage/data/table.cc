#include "storage/data/table.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "storage/data/check.h"

namespace raftkv::data {

namespace {

// Mean entries a bucket (in quarters) above which the table grows and below which it shrinks. They
// lie a factor of two apart, so that a size that swings to and fro does not split and merge all the
// time.
constexpr size_t kGrowAboveQuarters = 18;
constexpr size_t kShrinkBelowQuarters = 9;

// SplitMix64 (Steele and others, 2014): one draw becomes as many as needed.
uint64_t next_random(uint64_t& state) {
  uint64_t value = state += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

}  // namespace

// --- chains ------------------------------------------------------------------------------------

Bucket* Table::new_overflow() {
  memory_ += sizeof(Bucket);
  return static_cast<Bucket*>(allocate_zeroed_lines(sizeof(Bucket)));
}

void Table::free_chain(Bucket* overflow) {
  while (overflow != nullptr) {
    Bucket* next = overflow->chained() ? overflow->next() : nullptr;
    memory_ -= sizeof(Bucket);
    std::free(overflow);
    overflow = next;
  }
}

void Table::add(Bucket& head, Entry* entry, uint8_t tag) {
  Bucket* last = &head;
  while (last->chained()) last = last->next();
  if (last->count() == Bucket::kSlots) {
    Bucket* overflow = new_overflow();
    overflow->push(last->slots[Bucket::kSlots - 1], last->tags[Bucket::kSlots - 1]);
    last->chain(overflow);
    last = overflow;
  }
  last->push(entry, tag);
}

// Fills the hole with the chain's last entry.
Entry* Table::remove(Bucket& head, Bucket& holder, unsigned slot) {
  Bucket* last = &head;
  while (last->chained()) last = last->next();
  Entry* removed = holder.slots[slot];
  const unsigned from = last->count() - 1;
  holder.slots[slot] = last->slots[from];
  holder.tags[slot] = last->tags[from];
  last->pop();
  shorten_chain(head);
  return removed;
}

// An overflow bucket with one entry left is one that the bucket before it can hold.
void Table::shorten_chain(Bucket& head) {
  if (!head.chained()) return;
  Bucket* before_last = &head;
  while (before_last->next()->chained()) before_last = before_last->next();
  Bucket* last = before_last->next();
  if (last->count() > 1) return;
  before_last->unchain();
  before_last->push(last->slots[0], last->tags[0]);
  free_chain(last);
}

// --- the table ---------------------------------------------------------------------------------

Table::Table(uint64_t seed) : seed_(seed) {
  directory_.reserve(kDirectoryMin);
  directory_.push_back(nullptr);
  resize_first_segment(kBucketsMin);
}

Table::~Table() {
  while (!drained()) drain(kSegmentBuckets);
}

void Table::insert(Entry* entry, uint64_t hash) {
  add(bucket(index_of(hash)), entry, Bucket::tag_of(hash));
  ++size_;
  if (4 * size_ > kGrowAboveQuarters * bucket_count()) split_one();
}

Entry* Table::take(std::string_view key, uint64_t hash) {
  const uint8_t tag = Bucket::tag_of(hash);
  Bucket& head = bucket(index_of(hash));
  Bucket* b = &head;
  while (true) {
    for (uint64_t matches = b->matches(tag); matches != 0; matches &= matches - 1) {
      const auto slot = static_cast<unsigned>(std::countr_zero(matches) / 8);
      if (b->slots[slot]->key() != key) continue;
      Entry* taken = remove(head, *b, slot);
      --size_;
      if (4 * size_ < kShrinkBelowQuarters * bucket_count()) merge_one();
      return taken;
    }
    if (!b->chained()) return nullptr;
    b = b->next();
  }
}

void Table::prefetch_bucket(uint64_t hash) const {
  prefetch(&bucket(index_of(hash)));
}

void Table::prefetch_entry(uint64_t hash) const {
  const Bucket& b = bucket(index_of(hash));
  const uint64_t matches = b.matches(Bucket::tag_of(hash));
  if (matches == 0) return;
  const auto* entry = reinterpret_cast<const char*>(b.slots[std::countr_zero(matches) / 8]);
  prefetch(entry);
  prefetch(entry + sizeof(Bucket));  // values of some size lie on a second line
}

// --- growing and shrinking ---------------------------------------------------------------------

void Table::reserve(size_t entries) {
  check(size_ == 0, "room is made in an empty table");
  while (4 * entries > kGrowAboveQuarters * bucket_count()) split_one();
}

void Table::split_one() {
  append_bucket();
  const uint64_t new_bit = uint64_t{1} << level_;
  Bucket& low = bucket(split_);
  Bucket& high = bucket(split_ + new_bit);
  if (++split_ == new_bit) {
    split_ = 0;
    ++level_;
  }

  // The entries have to be read for their keys: let them all come at once.
  Bucket::visit_chain(low, [](Entry* entry, uint8_t) { prefetch(entry); });
  const Bucket before = std::exchange(low, Bucket{});
  Bucket::visit_chain(before, [&](Entry* entry, uint8_t tag) {
    add((hash(entry->key()) & new_bit) != 0 ? high : low, entry, tag);
  });
  free_chain(before.chained() ? before.next() : nullptr);
}

void Table::merge_one() {
  if (bucket_count() == kBucketsMin) return;
  step_back();
  Bucket& low = bucket(split_);
  const Bucket& high = bucket(bucket_count());
  Bucket::visit_chain(high, [&](Entry* entry, uint8_t tag) { add(low, entry, tag); });
  free_chain(high.chained() ? high.next() : nullptr);
  drop_last_bucket();
}

void Table::step_back() {
  if (split_ == 0) {
    --level_;
    split_ = size_t{1} << level_;
  }
  --split_;
}

// Makes room for the bucket number bucket_count().
void Table::append_bucket() {
  const size_t index = bucket_count();
  if (index < kSegmentBuckets) {
    if (index == first_segment_buckets_) resize_first_segment(4 * first_segment_buckets_);
    return;
  }
  if (index % kSegmentBuckets != 0) return;
  if (directory_.size() == directory_.capacity()) resize_directory(2 * directory_.capacity());
  directory_.push_back(
      static_cast<Bucket*>(allocate_zeroed_lines(kSegmentBuckets * sizeof(Bucket))));
  memory_ += kSegmentBuckets * sizeof(Bucket);
}

// Gives back what only the bucket number bucket_count() needed.
void Table::drop_last_bucket() {
  const size_t count = bucket_count();
  if (count < kSegmentBuckets) {
    bucket(count) = Bucket{};
    if (4 * count == first_segment_buckets_) resize_first_segment(count);
    return;
  }
  if (count % kSegmentBuckets != 0) {
    bucket(count) = Bucket{};
    return;
  }
  std::free(directory_.back());
  directory_.pop_back();
  memory_ -= kSegmentBuckets * sizeof(Bucket);
  if (directory_.capacity() > kDirectoryMin && 4 * directory_.size() <= directory_.capacity()) {
    resize_directory(directory_.capacity() / 2);
  }
}

void Table::resize_first_segment(size_t buckets) {
  auto* segment = static_cast<Bucket*>(allocate_zeroed_lines(buckets * sizeof(Bucket)));
  Bucket* old = directory_[0];
  const size_t kept = std::min(buckets, first_segment_buckets_);
  if (kept != 0) std::memcpy(segment, old, kept * sizeof(Bucket));
  std::free(old);
  directory_[0] = segment;
  memory_ += buckets * sizeof(Bucket);
  memory_ -= first_segment_buckets_ * sizeof(Bucket);
  first_segment_buckets_ = buckets;
}

void Table::resize_directory(size_t capacity) {
  std::vector<Bucket*> resized;
  resized.reserve(capacity);
  resized.assign(directory_.begin(), directory_.end());
  directory_.swap(resized);
}

size_t Table::drain(size_t buckets) {
  size_t freed = 0;
  while (buckets-- != 0 && !drained()) {
    const size_t last = bucket_count() - 1;
    Bucket::visit_chain(bucket(last), [&](Entry* entry, uint8_t) {
      freed += entry->memory();
      Entry::destroy(entry);
      --size_;
    });
    free_chain(bucket(last).chained() ? bucket(last).next() : nullptr);
    if (last % kSegmentBuckets == 0) {
      std::free(directory_.back());
      directory_.pop_back();
      memory_ -= (last == 0 ? first_segment_buckets_ : kSegmentBuckets) * sizeof(Bucket);
    }
    if (last != 0) step_back();
  }
  return freed;
}

// --- walking -----------------------------------------------------------------------------------

uint64_t Table::scan(uint64_t cursor, size_t count,
                     const std::function<void(const Entry&)>& visit) const {
  const uint64_t mask = (uint64_t{1} << level_) - 1;
  size_t visited = 0;
  const auto visit_entry = [&](Entry* entry, uint8_t) {
    visit(*entry);
    ++visited;
  };
  do {
    const size_t index = cursor & mask;
    Bucket::visit_chain(bucket(index), visit_entry);
    if (index < split_) Bucket::visit_chain(bucket(index + mask + 1), visit_entry);
    // Adds one at the mask's highest bit, the carry going down.
    cursor = reverse_bits(reverse_bits(cursor | ~mask) + 1);
  } while (cursor != 0 && visited < count);
  return cursor;
}

void Table::for_each(const std::function<void(const Entry&)>& visit) const {
  const size_t count = bucket_count();
  const auto fetch = [](Entry* entry, uint8_t) { prefetch(entry); };
  for (size_t i = 0; i < count; ++i) {
    if (i + 1 < count) Bucket::visit_chain(bucket(i + 1), fetch);
    Bucket::visit_chain(bucket(i), [&](Entry* entry, uint8_t) { visit(*entry); });
  }
}

// Draws a bucket and a place in it, and draws again if nobody is there: every entry has the same
// chance, as long as no chain is longer than the places drawn from.
const Entry* Table::random(uint64_t draw) const {
  constexpr size_t kPlaces = 16;
  if (size_ == 0) return nullptr;
  while (true) {
    const uint64_t random = next_random(draw);
    const Bucket& head = bucket(random % bucket_count());
    size_t length = 0;
    Bucket::visit_chain(head, [&](Entry*, uint8_t) { ++length; });
    size_t place = (random >> 32) % std::max(length, kPlaces);
    if (place >= length) continue;
    const Entry* drawn = nullptr;
    Bucket::visit_chain(head, [&](Entry* entry, uint8_t) {
      if (place-- == 0) drawn = entry;
    });
    return drawn;
  }
}

}  // namespace raftkv::data
