// The dataset: keys, values and deadlines, in memory. Knows no command, no wire format, no clock
// and no thread: everything that depends on time gets it as an argument.
//
// Determinism: what a *write* can observe through this interface depends only on the calls made
// before it, never on addresses, hash seeds or how the table happens to be laid out. (The order of
// scan() and random_key() does, so only reads may use those.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace raftkv::data {

enum class Type : uint8_t { kString = 1 };
const char* type_name(Type type);  // "string"

// Milliseconds since 1970 by the log's clock.
using TimeMs = int64_t;
inline constexpr TimeMs kNoExpiry = -1;

// Whether a deadline has passed. A key that expires at T is last seen at T - 1, so a live key never
// has a time to live of 0.
constexpr bool is_due(TimeMs expiry, TimeMs time) {
  return expiry != kNoExpiry && expiry <= time;
}

// By which time a lookup is judged.
//
// A write is judged by its entry's time: settled == now. A read on the leader has two times: what
// the log has settled (the time of the last applied entry: every replica agrees that a deadline up
// to there has passed), and the leader's own clock. A deadline in between is due but not settled:
// the read may neither show the value nor claim that it is gone. The lookup then treats the key as
// absent and sets `unsettled`; the caller discards what it computed and waits for the log's clock.
struct Clock {
  TimeMs settled = 0;
  TimeMs now = 0;  // >= settled
  bool unsettled = false;

  static Clock at(TimeMs time) { return Clock{time, time, false}; }
};

// A string value as its bytes; integers are kept as such, and rendered into `buffer`. Valid until
// the next change of the keyspace or the next use of the buffer.
using IntBuffer = char[24];

// Two walks over a past moment may run at once, one of each kind.
enum class CutKind : uint8_t { kSnapshot = 0, kDigest = 1 };

// One key with its value. Owned by the keyspace; a pointer is valid until the key is written,
// deleted or the keyspace changes in any other way, unless a method says otherwise.
class Entry;

// Entries that are due but not yet deleted are still in the keyspace: only find() and digest() tell
// them from live ones. Methods that replace or remove a key do so whether it is live or due; those
// that change a key (replace_integer, write_range, set_expiry, and rename and copy of `from`) don't
// know the time and would change a due one as well: a caller who did not find() it live calls
// erase_if_due() first.
//
// Keys and values given to the methods may not point into the keyspace, except for the keys of
// erase() and set_expiry().
class Keyspace {
 public:
  explicit Keyspace(uint64_t hash_seed);
  ~Keyspace();
  Keyspace(Keyspace&&) noexcept;
  Keyspace& operator=(Keyspace&&) noexcept;

  // --- lookup ----------------------------------------------------------------------------------

  // The live entry of `key`, or null. Never changes anything.
  const Entry* find(std::string_view key, Clock& clock) const;
  // A hint that these keys will be looked up soon: their memory is fetched together, not one by
  // one.
  void prefetch(std::span<const std::string_view> keys) const;

  // --- facts of an entry -----------------------------------------------------------------------
  static std::string_view key_of(const Entry& entry);
  static Type type_of(const Entry& entry);
  static TimeMs expiry_of(const Entry& entry);  // kNoExpiry if none
  // Redis's names, as OBJECT ENCODING tells them: "int" (a 64-bit integer in canonical form),
  // "embstr" (at most 44 bytes), "raw" (longer, or grown by APPEND or SETRANGE).
  static const char* encoding_of(const Entry& entry);
  static size_t memory_of(const Entry& entry);  // bytes held, with overheads, for MEMORY USAGE

  // --- strings (the entry must be of Type::kString) --------------------------------------------
  static std::string_view string_of(const Entry& entry, IntBuffer& buffer);
  static size_t string_length(const Entry& entry);
  // The value if it is kept as an integer, i.e. is one in canonical form.
  static std::optional<int64_t> integer_of(const Entry& entry);

  // Makes `key` a string with this value, whatever it was; sets its deadline to `expiry`.
  void set_string(std::string_view key, std::string_view value, TimeMs expiry = kNoExpiry);
  void set_integer(std::string_view key, int64_t value, TimeMs expiry = kNoExpiry);
  // Change the value and keep the deadline. The key must exist, live at the time of the caller.
  void replace_integer(std::string_view key, int64_t value);
  // Writes `bytes` at `offset` of the string of `key`, zero-filling a gap; creates the key if it is
  // absent. Amortized O(bytes) for appends. Returns the new length. The encoding becomes "raw" in
  // any case: Redis's APPEND to an absent key is a set_string().
  size_t write_range(std::string_view key, size_t offset, std::string_view bytes);

  // --- keys ------------------------------------------------------------------------------------

  // True if a live or a due entry was there.
  bool erase(std::string_view key);
  // Deletes the key if its deadline is <= now. True if it did.
  bool erase_if_due(std::string_view key, TimeMs now);
  // False if the key is absent. kNoExpiry removes the deadline.
  bool set_expiry(std::string_view key, TimeMs expiry);
  // Gives `from`'s value and deadline to `to`, which loses its own. `from` must exist. Nothing
  // happens if both are the same.
  void rename(std::string_view from, std::string_view to);
  void copy(std::string_view from, std::string_view to);
  // O(1) for the caller's turn or as near as can be: the old contents may be freed later in slices.
  void clear();
  // The same, and the contents of `loaded` take the place; no cut of it may run. A cut of this
  // keyspace goes on over what was here before.
  void replace_contents(Keyspace&& loaded);

  // --- expiry ----------------------------------------------------------------------------------

  // Deletes up to `limit` entries whose deadline is <= now, earliest first, and returns how many.
  // `on_expired` sees each key before it goes (may be empty).
  size_t expire_due(TimeMs now, size_t limit,
                    const std::function<void(std::string_view key)>& on_expired = {});
  // The earliest deadline, kNoExpiry if no key has one. O(1).
  TimeMs earliest_expiry() const;

  // --- the whole -------------------------------------------------------------------------------

  size_t size() const;  // keys, those due but not yet deleted included
  size_t size_with_expiry() const;
  // Bytes asked of the allocator for entries, table and index, and for what clear() left to be
  // freed.
  size_t memory_used() const;
  TimeMs average_ttl(TimeMs now) const;  // over keys with a deadline, 0 if none; O(1)

  // Visits about `count` entries and returns the next cursor, 0 at the end. As Redis's SCAN: every
  // entry that is there during a whole iteration is visited at least once, however the table grows
  // or shrinks between the calls.
  uint64_t scan(uint64_t cursor, size_t count,
                const std::function<void(const Entry&)>& visit) const;
  void for_each(const std::function<void(const Entry&)>& visit) const;
  // Uniform enough for RANDOMKEY; null if empty. `random` is the caller's draw.
  const Entry* random_entry(uint64_t random) const;

  // Makes room for so many keys at once, ahead of a load. The keyspace must be empty.
  void reserve(size_t keys);

  // --- cuts: the contents as they are at one moment, in slices ----------------------------------

  // From this moment on, `on_entry` sees each of the present keys once, with the value and deadline
  // it has now: either when the walk comes by, or, if the key is to be changed or deleted before,
  // just ahead of that, from within the changing method. Keys that are made later are not seen.
  // clear() counts as a change, but what it leaves is walked on in slices and freed later. Due keys
  // that are not yet deleted belong to it. No memory is needed for it but a bit in each key.
  //
  // `on_entry` may not call the keyspace. Only if cut_may_begin(kind).
  void begin_cut(CutKind kind, std::function<void(const Entry&)> on_entry);
  // Walks on, past about `entries` keys or as many empty buckets. True while there is more to do;
  // false at the end, with the cut over and `on_entry` gone. The cut must run.
  bool advance_cut(CutKind kind, size_t entries);
  // Ends the cut, if one runs; `on_entry` is not called any more. The marks that it left in keys
  // are cleaned up by work_slice(), and not before may another cut of the kind begin.
  void abandon_cut(CutKind kind);
  bool cut_runs(CutKind kind) const;
  bool cut_may_begin(CutKind kind) const;

  // A bounded slice of background work, about `steps` buckets of entries: freeing what clear() left
  // and no cut needs any more, cleaning up after abandoned cuts. True while there is more to do.
  // (The table grows and shrinks with the writes, a bucket at a time.)
  bool work_slice(size_t steps);

  // Order-independent digest of all keys, values and deadlines that are live at `now`: equal on two
  // replicas if and only if (up to collisions of 128 bits) their contents are. Independent of the
  // hash seed.
  struct Digest {
    uint64_t low = 0;
    uint64_t high = 0;
    friend bool operator==(const Digest&, const Digest&) = default;
  };
  Digest digest(TimeMs now) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace raftkv::data
