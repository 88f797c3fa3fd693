#include "storage/data/keyspace.h"

#include <algorithm>
#include <array>
#include <deque>
#include <utility>

#include "storage/data/check.h"
#include "storage/data/cut.h"
#include "storage/data/digest.h"
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
    if (watched) [[unlikely]]
      tell_created(*entry, hash);
    live->table.insert(entry, hash);
  }
  Entry* take(std::string_view key, uint64_t hash) {
    Entry* entry = live->table.take(key, hash);
    if (entry == nullptr) return nullptr;
    before_change(*entry, hash);
    live->expiry.remove(entry->expiry(), entry);
    live->entry_bytes -= entry->memory();
    return entry;
  }
  // Whoever changes an entry where it is, or replaces it, says so before.
  void before_change(Entry& entry, uint64_t hash) {
    if (watched) [[unlikely]]
      tell_change(entry, hash);
  }
  // Replaces the entry in `slot` by `fresh`, of the same key. The old one held `old_memory` bytes,
  // before `fresh` perhaps took them over.
  void replace(Entry** slot, Entry* fresh, size_t old_memory) {
    Entry* old = std::exchange(*slot, fresh);
    live->expiry.remove(old->expiry(), old);
    live->expiry.add(fresh->expiry(), fresh);
    live->entry_bytes += fresh->memory();
    live->entry_bytes -= old_memory;
    fresh->set_marks(old->marks());
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
    if (slot != nullptr) before_change(**slot, hash);
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

  // To be changed by the caller.
  Entry** must_find(std::string_view key) {
    const uint64_t hash = live->table.hash(key);
    Entry** slot = live->table.find(key, hash);
    check(slot != nullptr, "the caller has found the key before");
    before_change(**slot, hash);
    return slot;
  }

  void destroy(std::string_view key, uint64_t hash) {
    if (Entry* entry = take(key, hash)) Entry::destroy(entry);
  }

  // `fresh` becomes the live contents; the old ones are freed later.
  void put_aside(std::unique_ptr<Contents> fresh) {
    cleared.push_back(std::exchange(live, std::move(fresh)));
    cuts_moved();
  }

  // --- cuts
  Cut& cut(CutKind kind) { return cuts[static_cast<size_t>(kind)]; }
  void tell_change(Entry& entry, uint64_t hash) {
    for (Cut& c : cuts) {
      if (c.watches(live->table)) c.before_change(entry, hash);
    }
  }
  void tell_created(Entry& entry, uint64_t hash) {
    for (Cut& c : cuts) {
      if (c.watches(live->table)) c.created(entry, hash);
    }
  }
  bool needed(const Contents& contents) const {
    return std::ranges::any_of(cuts, [&](const Cut& c) { return c.needs(contents.table); });
  }
  // After each step of a cut, and when other contents become the live ones.
  void cuts_moved() {
    watched = std::ranges::any_of(cuts, [&](const Cut& c) { return c.watches(live->table); });
    // What was cleared goes with its marks.
    for (Cut& c : cuts) {
      if (c.cleans() && !c.needs(live->table)) c.forget_table();
    }
  }

  uint64_t seed;
  std::unique_ptr<Contents> live;
  std::deque<std::unique_ptr<Contents>> cleared;  // what clear() left, freed in slices
  std::array<Cut, 2> cuts{Cut(CutKind::kSnapshot), Cut(CutKind::kDigest)};
  bool watched = false;  // a cut walks over `live`: changes must be told. The hot path looks here
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

  impl_->before_change(**slot, hash);
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
  const uint64_t hash = impl_->live->table.hash(key);
  Entry** slot = impl_->live->table.find(key, hash);
  if (slot == nullptr) return false;
  impl_->before_change(**slot, hash);
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
  const Table& table = impl_->live->table;
  const Entry* old = table.find(from, table.hash(from));
  check(old != nullptr, "the caller has found the key before");
  if (from == to) return;
  Entry* copied = Entry::create_copy(*old, to);
  const uint64_t to_hash = impl_->live->table.hash(to);
  impl_->destroy(to, to_hash);
  impl_->add(copied, to_hash);
}

void Keyspace::clear() {
  impl_->put_aside(std::make_unique<Impl::Contents>(impl_->seed));
}

void Keyspace::replace_contents(Keyspace&& loaded) {
  Impl& from = *loaded.impl_;
  check(loaded.cut_may_begin(CutKind::kSnapshot) && loaded.cut_may_begin(CutKind::kDigest),
        "no cut stands on contents that move");
  impl_->put_aside(std::exchange(from.live, std::make_unique<Impl::Contents>(from.seed)));
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

void Keyspace::reserve(size_t keys) {
  impl_->live->table.reserve(keys);
}

// --- cuts and background work ------------------------------------------------------------------

void Keyspace::begin_cut(CutKind kind, std::function<void(const Entry&)> on_entry) {
  impl_->cut(kind).begin(impl_->live->table, std::move(on_entry));
  impl_->cuts_moved();
}

bool Keyspace::advance_cut(CutKind kind, size_t entries) {
  check(cut_runs(kind), "only a cut that runs goes on");
  const bool more = impl_->cut(kind).advance(entries);
  if (!more) impl_->cuts_moved();
  return more;
}

void Keyspace::abandon_cut(CutKind kind) {
  if (!cut_runs(kind)) return;
  impl_->cut(kind).abandon();
  impl_->cuts_moved();
}

bool Keyspace::cut_runs(CutKind kind) const {
  return impl_->cut(kind).runs();
}
bool Keyspace::cut_may_begin(CutKind kind) const {
  return impl_->cut(kind).idle();
}

bool Keyspace::work_slice(size_t steps) {
  // About as many entries as a bucket holds.
  constexpr size_t kEntriesPerStep = 8;
  for (Cut& cut : impl_->cuts) {
    while (cut.cleans() && steps != 0) {
      --steps;
      cut.advance(kEntriesPerStep);
    }
  }

  auto& cleared = impl_->cleared;
  const auto next = [&] {
    return std::ranges::find_if(cleared, [&](const auto& c) { return !impl_->needed(*c); });
  };
  for (auto free = next(); free != cleared.end() && steps != 0; --steps) {
    Impl::Contents& contents = **free;
    contents.entry_bytes -= contents.table.drain(1);
    contents.expiry.drain(kEntriesPerStep);
    if (!contents.table.drained() || contents.expiry.size() != 0) continue;
    cleared.erase(free);
    free = next();
  }
  return next() != cleared.end() ||
         std::ranges::any_of(impl_->cuts, [](const Cut& cut) { return cut.cleans(); });
}

Keyspace::Digest Keyspace::digest(TimeMs now) const {
  DigestSum sum(now);
  for_each([&](const Entry& entry) { sum.add(entry); });
  return sum.sum();
}

}  // namespace raftkv::data
