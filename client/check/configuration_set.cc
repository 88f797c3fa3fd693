#include "client/check/configuration_set.h"

#include <algorithm>

namespace raftkv::client::check {
namespace {

uint32_t hash_of(std::span<const uint64_t> words) {
  uint64_t hash = 0x9e3779b97f4a7c15 + words.size();
  for (const uint64_t word : words) {
    hash = (hash ^ word) * 0xff51afd7ed558ccd;
    hash ^= hash >> 32;
  }
  return static_cast<uint32_t>(hash ^ (hash >> 29));
}

}  // namespace

ConfigurationSet::ConfigurationSet() : slots_(64) {}

bool ConfigurationSet::insert(std::span<const uint64_t> words) {
  const uint32_t hash = hash_of(words);
  const size_t mask = slots_.size() - 1;
  size_t place = hash & mask;
  for (; slots_[place].position != 0; place = (place + 1) & mask) {
    const Slot& slot = slots_[place];
    if (slot.hash != hash || slot.length != words.size()) continue;
    const auto known = words_.begin() + static_cast<ptrdiff_t>(slot.position - 1);
    if (std::equal(words.begin(), words.end(), known)) return false;
  }
  slots_[place] = {
      .position = words_.size() + 1, .hash = hash, .length = static_cast<uint32_t>(words.size())};
  words_.insert(words_.end(), words.begin(), words.end());
  if (++size_ * 2 > slots_.size()) grow();
  return true;
}

void ConfigurationSet::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  const size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.position == 0) continue;
    size_t place = slot.hash & mask;
    while (slots_[place].position != 0) place = (place + 1) & mask;
    slots_[place] = slot;
  }
}

}  // namespace raftkv::client::check
