// One key with its value and deadline, in one allocation:
//
//   header 8 | deadline 8, if it has ever had one | key | room for the value
//
// The room holds what the value needs here, by its store: the 8 bytes of an integer, the bytes of a
// short string, or a pointer to what is too large or too rich to lie inline: a StringBuffer, or the
// container of a further type (a new Store each, told apart by a switch). The key never moves when
// the value changes its store, so overwriting a value asks the allocator for nothing while the room
// fits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "storage/data/keyspace.h"

namespace raftkv::data {

// The integer that `text` is, if it is written just as we would write it: no sign but a minus, no
// leading zero, no "-0", within 64 bits.
std::optional<int64_t> canonical_integer(std::string_view text);

// The bytes of a long string, with spare capacity behind them. Allocated by malloc.
struct StringBuffer;

class Entry {
 public:
  enum class Store : uint8_t { kInteger, kEmbedded, kBuffer };

  static constexpr size_t kKeyLengthMax = (size_t{1} << 30) - 1;
  // Strings up to here lie in the entry. A string's store follows from its length alone.
  static constexpr size_t kEmbeddedMax = 384;
  static constexpr size_t kRoomMax = 511;
  // Redis calls a string up to here "embstr".
  static constexpr size_t kEmbstrMax = 44;

  // An entry with the empty string and at least `room` bytes (at most kRoomMax) for its value.
  // `with_deadline`: there is a place for a deadline, which says kNoExpiry. To be given back to
  // destroy().
  static Entry* create(std::string_view key, size_t room, bool with_deadline);
  // A new entry under `key` which takes over the value and deadline of `old`; `old` is only good to
  // be destroyed then (its key and deadline may still be read).
  static Entry* create_from(Entry& old, std::string_view key, size_t room, bool with_deadline);
  // The same, but `old` keeps its value and this gets a copy.
  static Entry* create_copy(const Entry& old, std::string_view key);
  static void destroy(Entry* entry);

  // --- room: how many bytes a value needs in the entry itself ----------------------------------
  static constexpr size_t kIntegerRoom = sizeof(int64_t);
  static size_t room_for_string(size_t key_length, size_t length);
  size_t room_needed() const { return room_needed_under(key_length_); }  // by the present value
  size_t room_needed_under(size_t key_length) const;                     // with another key
  size_t room() const { return room_; }
  bool has_deadline_place() const { return has_deadline_ != 0; }
  // Whether a value that needs `room` can be set here, without leaving much more than it unused.
  bool suits(size_t room) const { return room <= room_ && room_ <= 2 * room + 32; }

  // --- facts -----------------------------------------------------------------------------------
  std::string_view key() const { return {at(key_offset()), key_length_}; }
  Type type() const { return static_cast<Type>(type_); }
  TimeMs expiry() const {
    if (!has_deadline_) return kNoExpiry;
    TimeMs expiry;
    std::memcpy(&expiry, at(sizeof(Entry)), sizeof(expiry));
    return expiry;
  }
  void set_expiry(TimeMs expiry);  // kNoExpiry, or there must be a place for it
  // One bit for each kind of cut; what it says stands in cut.h.
  static constexpr unsigned kMarkBits = 2;
  unsigned marks() const { return marks_; }
  void set_marks(unsigned marks) { marks_ = marks & ((1 << kMarkBits) - 1); }
  size_t memory() const;  // bytes asked of the allocator, of all parts

  // --- the value as a string -------------------------------------------------------------------
  const char* encoding() const;
  std::string_view string(IntBuffer& buffer) const;
  size_t string_length() const;
  std::optional<int64_t> integer() const;

  // These replace the value; the room must be enough for it.
  void set_integer(int64_t value);
  void set_string(std::string_view bytes);
  // Turns an integer into text, to be written to; the room must be enough.
  void make_text();
  // Writes into the string (not an integer), zero-filling a gap. The room must be enough for the
  // new length.
  void write_range(size_t offset, std::string_view bytes);

  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;
  ~Entry() = delete;

 private:
  Entry(std::string_view key, size_t room, bool with_deadline);

  Store store() const { return static_cast<Store>(store_); }
  void set_store(Store store) { store_ = static_cast<uint64_t>(store) & 3; }
  size_t key_offset() const { return sizeof(Entry) + (has_deadline_ ? sizeof(TimeMs) : 0); }
  size_t value_offset() const { return key_offset() + key_length_; }
  // Pointers are kept aligned, so that leak checkers find them.
  size_t pointer_offset() const { return (value_offset() + 7) & ~size_t{7}; }
  const char* at(size_t offset) const { return reinterpret_cast<const char*>(this) + offset; }
  char* at(size_t offset) { return reinterpret_cast<char*>(this) + offset; }

  StringBuffer* buffer() const;
  void set_buffer(StringBuffer* buffer);
  void release_value();

  uint64_t type_ : 4;
  uint64_t store_ : 2;
  uint64_t grown_ : 1;         // by APPEND or SETRANGE: "raw" however short
  uint64_t has_deadline_ : 1;  // a place for one; it may say kNoExpiry
  uint64_t key_length_ : 30;
  uint64_t embedded_length_ : 9;
  uint64_t room_ : 9;
  uint64_t marks_ : kMarkBits;
  uint64_t spare_ : 6;
};
static_assert(sizeof(Entry) == 8);
static_assert(Entry::kEmbeddedMax <= Entry::kRoomMax && Entry::kRoomMax < (1 << 9));

}  // namespace raftkv::data
