#include "storage/data/keyspace.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "storage/data/check.h"
#include "storage/data/entry.h"
#include "storage/data/expiry_index.h"
#include "storage/data/table.h"

namespace raftkv::data {

const char* type_name(Type type) {
  switch (type) {
    case Type::kString:
      return "string";
  }
  check(false, "every type has a name");
  return "";
}

class Keyspace::Impl {
 public:
  struct Contents {
    explicit Contents(uint64_t hash_seed) : table(hash_seed) {}
    size_t memory() const { return table.memory() + entry_bytes + expiry.memory(); }

    Table table;
    ExpiryIndex expiry;
    size_t entry_bytes = 0;
  };

  explicit Impl(uint64_t hash_seed)
      : seed(hash_seed), live(std::make_unique<Contents>(hash_seed)) {}

  // Every change of the contents goes through these: they keep table, index and byte count
  // together.
  void add(Entry* entry, uint64_t hash) {
    live->entry_bytes += entry->memory();
    live->expiry.add(entry->expiry(), entry);
    live->table.insert(entry, hash);
  }
  Entry* take(std::string_view key, uint64_t hash) {
    Entry* entry = live->table.take(key, hash);
    if (entry == nullptr) return nullptr;
    live->expiry.remove(entry->expiry(), entry);
    live->entry_bytes -= entry->memory();
    return entry;
  }
  // Replaces the entry in `slot` by `fresh`, of the same key. The old one held `old_memory` bytes,
  // before `fresh` perhaps took them over.
  void replace(Entry** slot, Entry* fresh, size_t old_memory) {
    Entry* old = std::exchange(*slot, fresh);
    live->expiry.remove(old->expiry(), old);
    live->expiry.add(fresh->expiry(), fresh);
    live->entry_bytes += fresh->memory();
    live->entry_bytes -= old_memory;
    Entry::destroy(old);
  }
  template <typename Change>
  void change(Entry* entry, Change change_value) {
    live->entry_bytes -= entry->memory();
    change_value(*entry);
    live->entry_bytes += entry->memory();
  }
  void change_expiry(Entry* entry, TimeMs expiry) {
    const TimeMs old = entry->expiry();
    if (old == expiry) return;
    live->expiry.remove(old, entry);
    entry->set_expiry(expiry);
    live->expiry.add(expiry, entry);
  }

  // The entry in `slot`, or one with its value in its place, with so much room.
  Entry* with_room(Entry** slot, size_t room, bool with_deadline) {
    Entry* old = *slot;
    const bool has_place = old->has_deadline_place() || !with_deadline;
    if (old->room() >= room && has_place) return old;
    const size_t old_memory = old->memory();
    Entry* fresh = Entry::create_from(*old, old->key(), std::max(room, old->room_needed()),
                                      with_deadline || old->expiry() != kNoExpiry);
    replace(slot, fresh, old_memory);
    return fresh;
  }

  // Makes `key` an entry whose value needs `room` and is set by `set_value`.
  template <typename SetValue>
  void assign(std::string_view key, size_t room, TimeMs expiry, SetValue set_value) {
    const uint64_t hash = live->table.hash(key);
    Entry** slot = live->table.find(key, hash);
    const bool with_deadline = expiry != kNoExpiry;
    if (slot != nullptr && (*slot)->suits(room) &&
        ((*slot)->has_deadline_place() || !with_deadline)) {
      change(*slot, set_value);
      change_expiry(*slot, expiry);
      return;
    }
    Entry* fresh = Entry::create(key, room, with_deadline);
    set_value(*fresh);
    fresh->set_expiry(expiry);
    if (slot == nullptr) {
      add(fresh, hash);
    } else {
      replace(slot, fresh, (*slot)->memory());
    }
  }

  Entry** must_find(std::string_view key) {
    Entry** slot = live->table.find(key, live->table.hash(key));
    check(slot != nullptr, "the caller has found the key before");
    return slot;
  }

  void destroy(std::string_view key, uint64_t hash) {
    if (Entry* entry = take(key, hash)) Entry::destroy(entry);
  }

  uint64_t seed;
  std::unique_ptr<Contents> live;
  std::deque<std::unique_ptr<Contents>> cleared;  // what clear() left, freed in slices
};

Keyspace::Keyspace(uint64_t hash_seed) : impl_(std::make_unique<Impl>(hash_seed)) {}
Keyspace::~Keyspace() = default;
Keyspace::Keyspace(Keyspace&&) noexcept = default;
Keyspace& Keyspace::operator=(Keyspace&&) noexcept = default;

// --- lookup ------------------------------------------------------------------------------------

const Entry* Keyspace::find(std::string_view key, Clock& clock) const {
  const Table& table = impl_->live->table;
  const Entry* entry = table.find(key, table.hash(key));
  if (entry == nullptr) return nullptr;
  const TimeMs expiry = entry->expiry();
  if (!is_due(expiry, clock.now)) return entry;
  if (!is_due(expiry, clock.settled)) clock.unsettled = true;
  return nullptr;
}

void Keyspace::prefetch(std::span<const std::string_view> keys) const {
  constexpr size_t kBatch = 16;  // about as many lines as a core can wait for at once
  const Table& table = impl_->live->table;
  uint64_t hashes[kBatch];
  while (!keys.empty()) {
    const size_t count = std::min(keys.size(), kBatch);
    for (size_t i = 0; i < count; ++i) {
      hashes[i] = table.hash(keys[i]);
      table.prefetch_bucket(hashes[i]);
    }
    for (size_t i = 0; i < count; ++i) table.prefetch_entry(hashes[i]);
    keys = keys.subspan(count);
  }
}

// --- facts of an entry -------------------------------------------------------------------------

std::string_view Keyspace::key_of(const Entry& entry) {
  return entry.key();
}
Type Keyspace::type_of(const Entry& entry) {
  return entry.type();
}
TimeMs Keyspace::expiry_of(const Entry& entry) {
  return entry.expiry();
}
const char* Keyspace::encoding_of(const Entry& entry) {
  return entry.encoding();
}
size_t Keyspace::memory_of(const Entry& entry) {
  return entry.memory() + Table::kBytesPerEntry;
}

// --- strings -----------------------------------------------------------------------------------

std::string_view Keyspace::string_of(const Entry& entry, IntBuffer& buffer) {
  return entry.string(buffer);
}
size_t Keyspace::string_length(const Entry& entry) {
  return entry.string_length();
}
std::optional<int64_t> Keyspace::integer_of(const Entry& entry) {
  return entry.integer();
}

void Keyspace::set_string(std::string_view key, std::string_view value, TimeMs expiry) {
  if (const auto integer = canonical_integer(value)) return set_integer(key, *integer, expiry);
  impl_->assign(key, Entry::room_for_string(key.size(), value.size()), expiry,
                [&](Entry& entry) { entry.set_string(value); });
}

void Keyspace::set_integer(std::string_view key, int64_t value, TimeMs expiry) {
  impl_->assign(key, Entry::kIntegerRoom, expiry, [&](Entry& entry) { entry.set_integer(value); });
}

void Keyspace::replace_integer(std::string_view key, int64_t value) {
  Entry* entry = impl_->with_room(impl_->must_find(key), Entry::kIntegerRoom, false);
  impl_->change(entry, [&](Entry& changed) { changed.set_integer(value); });
}

size_t Keyspace::write_range(std::string_view key, size_t offset, std::string_view bytes) {
  check(offset + bytes.size() >= offset, "a range ends behind its start");
  const size_t end = offset + bytes.size();
  const uint64_t hash = impl_->live->table.hash(key);
  Entry** slot = impl_->live->table.find(key, hash);
  if (slot == nullptr) {
    Entry* fresh = Entry::create(key, Entry::room_for_string(key.size(), end), false);
    fresh->write_range(offset, bytes);
    impl_->add(fresh, hash);
    return end;
  }

  const size_t old_length = (*slot)->string_length();
  const size_t length = std::max(end, old_length);
  size_t room = Entry::room_for_string(key.size(), length);
  // A short string grows by more than it needs at once, for it will probably be appended to again.
  if (length <= Entry::kEmbeddedMax && room > (*slot)->room()) {
    room = std::min(length + length / 2, Entry::kEmbeddedMax);
  }
  // An integer is text for a moment, also on its way to a buffer.
  if ((*slot)->integer()) room = std::max(room, old_length);
  Entry* entry = impl_->with_room(slot, room, false);
  impl_->change(entry, [&](Entry& changed) {
    changed.make_text();
    changed.write_range(offset, bytes);
  });
  return length;
}

// --- keys --------------------------------------------------------------------------------------

bool Keyspace::erase(std::string_view key) {
  Entry* entry = impl_->take(key, impl_->live->table.hash(key));
  if (entry == nullptr) return false;
  Entry::destroy(entry);
  return true;
}

bool Keyspace::erase_if_due(std::string_view key, TimeMs now) {
  const Table& table = impl_->live->table;
  const Entry* entry = table.find(key, table.hash(key));
  return entry != nullptr && is_due(entry->expiry(), now) && erase(key);
}

bool Keyspace::set_expiry(std::string_view key, TimeMs expiry) {
  Entry** slot = impl_->live->table.find(key, impl_->live->table.hash(key));
  if (slot == nullptr) return false;
  impl_->change_expiry(impl_->with_room(slot, 0, expiry != kNoExpiry), expiry);
  return true;
}

void Keyspace::rename(std::string_view from, std::string_view to) {
  if (from == to) return;
  Entry* old = impl_->take(from, impl_->live->table.hash(from));
  check(old != nullptr, "the caller has found the key before");
  const uint64_t to_hash = impl_->live->table.hash(to);
  impl_->destroy(to, to_hash);
  impl_->add(
      Entry::create_from(*old, to, old->room_needed_under(to.size()), old->expiry() != kNoExpiry),
      to_hash);
  Entry::destroy(old);
}

void Keyspace::copy(std::string_view from, std::string_view to) {
  const Entry& old = **impl_->must_find(from);
  if (from == to) return;
  Entry* copied = Entry::create_copy(old, to);
  const uint64_t to_hash = impl_->live->table.hash(to);
  impl_->destroy(to, to_hash);
  impl_->add(copied, to_hash);
}

void Keyspace::clear() {
  impl_->cleared.push_back(
      std::exchange(impl_->live, std::make_unique<Impl::Contents>(impl_->seed)));
}

// --- expiry ------------------------------------------------------------------------------------

size_t Keyspace::expire_due(TimeMs now, size_t limit,
                            const std::function<void(std::string_view key)>& on_expired) {
  size_t expired = 0;
  while (expired < limit && is_due(impl_->live->expiry.earliest(), now)) {
    const std::string_view key = impl_->live->expiry.first()->key();
    if (on_expired) on_expired(key);
    check(erase(key), "an indexed entry is in the table");
    ++expired;
  }
  return expired;
}

TimeMs Keyspace::earliest_expiry() const {
  return impl_->live->expiry.earliest();
}

// --- the whole ---------------------------------------------------------------------------------

size_t Keyspace::size() const {
  return impl_->live->table.size();
}
size_t Keyspace::size_with_expiry() const {
  return impl_->live->expiry.size();
}
TimeMs Keyspace::average_ttl(TimeMs now) const {
  return impl_->live->expiry.average_ttl(now);
}

size_t Keyspace::memory_used() const {
  size_t bytes = impl_->live->memory();
  for (const auto& contents : impl_->cleared) bytes += contents->memory();
  return bytes;
}

uint64_t Keyspace::scan(uint64_t cursor, size_t count,
                        const std::function<void(const Entry&)>& visit) const {
  return impl_->live->table.scan(cursor, count, visit);
}

void Keyspace::for_each(const std::function<void(const Entry&)>& visit) const {
  impl_->live->table.for_each(visit);
}

const Entry* Keyspace::random_entry(uint64_t random) const {
  return impl_->live->table.random(random);
}

bool Keyspace::work_slice(size_t steps) {
  // The index forgets about as many entries as a bucket holds.
  constexpr size_t kEntriesPerStep = 8;
  auto& cleared = impl_->cleared;
  while (!cleared.empty() && steps != 0) {
    --steps;
    Impl::Contents& contents = *cleared.front();
    contents.entry_bytes -= contents.table.drain(1);
    contents.expiry.drain(kEntriesPerStep);
    if (contents.table.drained() && contents.expiry.size() == 0) cleared.pop_front();
  }
  return !cleared.empty();
}

// The sum of one hash an entry. Each hash covers type, deadline, key and value, and where each
// ends.
Keyspace::Digest Keyspace::digest(TimeMs now) const {
  Digest sum;
  for_each([&](const Entry& entry) {
    if (is_due(entry.expiry(), now)) return;
    IntBuffer buffer;
    const std::string_view key = entry.key();
    const std::string_view value = entry.string(buffer);
    const XXH128_hash_t key_hash = XXH3_128bits(key.data(), key.size());
    const XXH128_hash_t value_hash = XXH3_128bits(value.data(), value.size());
    const uint64_t facts[] = {static_cast<uint64_t>(entry.type()),
                              static_cast<uint64_t>(entry.expiry()),
                              key_hash.low64,
                              key_hash.high64,
                              value_hash.low64,
                              value_hash.high64};
    const XXH128_hash_t hash = XXH3_128bits(facts, sizeof(facts));
    sum.low += hash.low64;
    sum.high += hash.high64 + (sum.low < hash.low64 ? 1 : 0);
  });
  return sum;
}

}  // namespace raftkv::data
