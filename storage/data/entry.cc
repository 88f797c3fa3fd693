#include "storage/data/entry.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <new>

#include "storage/data/check.h"

namespace raftkv::data {

// --- string buffer -----------------------------------------------------------------------------

struct StringBuffer {
  size_t length;
  size_t capacity;

  char* data() { return reinterpret_cast<char*>(this + 1); }
  const char* data() const { return reinterpret_cast<const char*>(this + 1); }
  std::string_view view() const { return {data(), length}; }
  size_t memory() const { return sizeof(StringBuffer) + capacity; }
};

namespace {

constexpr size_t kPage = 4096;
constexpr size_t kLargeBuffer = 4 * kPage;

// Large buffers are rounded to pages only: what an allocator reserves beyond is never touched.
size_t buffer_size(size_t capacity) {
  const size_t bytes = sizeof(StringBuffer) + capacity;
  return bytes <= kLargeBuffer ? good_size(bytes) : (bytes + kPage - 1) & ~(kPage - 1);
}

StringBuffer* make_buffer(std::string_view bytes, size_t capacity) {
  const size_t size = buffer_size(std::max(capacity, bytes.size()));
  auto* buffer = new (allocate(size)) StringBuffer{bytes.size(), size - sizeof(StringBuffer)};
  if (!bytes.empty()) std::memcpy(buffer->data(), bytes.data(), bytes.size());
  return buffer;
}

// Grows by at least half of what is there, so that a long row of appends copies each byte only a
// few times; doubling would waste too much on the very long.
size_t grown_capacity(size_t capacity, size_t needed) {
  constexpr size_t kDoubleUpTo = size_t{1} << 20;
  return std::max(needed, capacity < kDoubleUpTo ? 2 * capacity : capacity + capacity / 2);
}

StringBuffer* grow_buffer(StringBuffer* buffer, size_t needed) {
  const size_t size = buffer_size(grown_capacity(buffer->capacity, needed));
  buffer = static_cast<StringBuffer*>(reallocate(buffer, size));
  buffer->capacity = size - sizeof(StringBuffer);
  return buffer;
}

void copy_bytes(char* to, std::string_view from) {
  if (!from.empty()) std::memcpy(to, from.data(), from.size());
}

}  // namespace

std::optional<int64_t> canonical_integer(std::string_view text) {
  constexpr size_t kDigitsMax = 20;  // "-9223372036854775808"
  if (text.empty() || text.size() > kDigitsMax) return std::nullopt;
  if (text == "0") return 0;
  const char first_digit = text[0] == '-' && text.size() > 1 ? text[1] : text[0];
  if (first_digit < '1' || first_digit > '9') return std::nullopt;
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

// --- making and ending -------------------------------------------------------------------------

Entry::Entry(std::string_view key, size_t room, bool with_deadline)
    : type_(static_cast<uint64_t>(Type::kString) & 15),
      store_(static_cast<uint64_t>(Store::kEmbedded) & 3),
      grown_(0),
      has_deadline_(with_deadline ? 1 : 0),
      key_length_(key.size() & kKeyLengthMax),
      embedded_length_(0),
      room_(room & kRoomMax),
      marks_(0),
      spare_(0) {
  if (with_deadline) set_expiry(kNoExpiry);
  copy_bytes(at(key_offset()), key);
}

Entry* Entry::create(std::string_view key, size_t room, bool with_deadline) {
  check(key.size() <= kKeyLengthMax, "a key is shorter than 1 GiB");
  check(room <= kRoomMax, "longer values lie outside of the entry");
  const size_t fixed = sizeof(Entry) + (with_deadline ? sizeof(TimeMs) : 0) + key.size();
  const size_t fitting_room = std::min(good_size(fixed + room) - fixed, kRoomMax);
  return new (allocate(fixed + fitting_room)) Entry(key, fitting_room, with_deadline);
}

Entry* Entry::create_from(Entry& old, std::string_view key, size_t room, bool with_deadline) {
  check(with_deadline || old.expiry() == kNoExpiry, "a deadline is not lost on the way");
  Entry* entry = create(key, room, with_deadline);
  if (with_deadline) entry->set_expiry(old.expiry());
  switch (old.store()) {
    case Store::kInteger:
      entry->set_integer(*old.integer());
      break;
    case Store::kEmbedded: {
      IntBuffer unused;
      entry->set_string(old.string(unused));
      break;
    }
    case Store::kBuffer:
      entry->set_buffer(old.buffer());
      old.set_store(Store::kEmbedded);
      old.embedded_length_ = 0;
      break;
  }
  entry->type_ = old.type_;
  entry->grown_ = old.grown_;
  return entry;
}

Entry* Entry::create_copy(const Entry& old, std::string_view key) {
  const bool with_deadline = old.expiry() != kNoExpiry;
  Entry* entry = create(key, old.room_needed_under(key.size()), with_deadline);
  entry->set_expiry(old.expiry());
  if (const auto integer = old.integer()) {
    entry->set_integer(*integer);
  } else {
    IntBuffer unused;
    entry->set_string(old.string(unused));
  }
  entry->grown_ = old.grown_;
  return entry;
}

void Entry::destroy(Entry* entry) {
  entry->release_value();
  std::free(entry);
}

void Entry::release_value() {
  if (store() == Store::kBuffer) std::free(buffer());
  set_store(Store::kEmbedded);
  embedded_length_ = 0;
}

// --- room and facts ----------------------------------------------------------------------------

size_t Entry::room_for_string(size_t key_length, size_t length) {
  if (length <= kEmbeddedMax) return length;
  // All that lies before the key is a multiple of 8, so the key alone decides the padding.
  const size_t padding = -key_length & 7;
  return padding + sizeof(StringBuffer*);
}

size_t Entry::room_needed_under(size_t key_length) const {
  return store() == Store::kInteger ? kIntegerRoom : room_for_string(key_length, string_length());
}

void Entry::set_expiry(TimeMs expiry) {
  if (!has_deadline_) {
    check(expiry == kNoExpiry, "the entry has a place for a deadline");
    return;
  }
  std::memcpy(at(sizeof(Entry)), &expiry, sizeof(expiry));
}

size_t Entry::memory() const {
  const size_t own = value_offset() + room_;
  return store() == Store::kBuffer ? own + buffer()->memory() : own;
}

// --- strings -----------------------------------------------------------------------------------

StringBuffer* Entry::buffer() const {
  StringBuffer* buffer;
  std::memcpy(&buffer, at(pointer_offset()), sizeof(buffer));
  return buffer;
}

void Entry::set_buffer(StringBuffer* buffer) {
  check(pointer_offset() + sizeof(buffer) <= value_offset() + room_, "a pointer has room");
  std::memcpy(at(pointer_offset()), &buffer, sizeof(buffer));
  set_store(Store::kBuffer);
}

const char* Entry::encoding() const {
  if (store() == Store::kInteger) return "int";
  return grown_ || string_length() > kEmbstrMax ? "raw" : "embstr";
}

std::string_view Entry::string(IntBuffer& text) const {
  switch (store()) {
    case Store::kInteger: {
      const auto end = std::to_chars(text, text + sizeof(text), *integer()).ptr;
      return {text, static_cast<size_t>(end - text)};
    }
    case Store::kEmbedded:
      return {at(value_offset()), embedded_length_};
    case Store::kBuffer:
      return buffer()->view();
  }
  check(false, "every store is known");
  return {};
}

size_t Entry::string_length() const {
  IntBuffer unused;
  return string(unused).size();
}

std::optional<int64_t> Entry::integer() const {
  if (store() != Store::kInteger) return std::nullopt;
  int64_t value;
  std::memcpy(&value, at(value_offset()), sizeof(value));
  return value;
}

void Entry::set_integer(int64_t value) {
  check(room_ >= kIntegerRoom, "an integer has room");
  release_value();
  type_ = static_cast<uint64_t>(Type::kString) & 15;
  set_store(Store::kInteger);
  grown_ = 0;
  std::memcpy(at(value_offset()), &value, sizeof(value));
}

void Entry::set_string(std::string_view bytes) {
  type_ = static_cast<uint64_t>(Type::kString) & 15;
  grown_ = 0;
  if (bytes.size() <= kEmbeddedMax) {
    check(bytes.size() <= room_, "an embedded string has room");
    release_value();
    copy_bytes(at(value_offset()), bytes);
    embedded_length_ = bytes.size() & kRoomMax;
    return;
  }
  if (store() == Store::kBuffer) {
    StringBuffer* old = buffer();
    if (bytes.size() <= old->capacity && old->capacity <= 2 * bytes.size()) {
      copy_bytes(old->data(), bytes);
      old->length = bytes.size();
      return;
    }
  }
  release_value();
  set_buffer(make_buffer(bytes, bytes.size()));
}

void Entry::make_text() {
  if (store() != Store::kInteger) return;
  IntBuffer buffer;
  const std::string_view text = string(buffer);
  check(text.size() <= room_, "an embedded string has room");
  set_store(Store::kEmbedded);
  copy_bytes(at(value_offset()), text);
  embedded_length_ = text.size() & kRoomMax;
}

void Entry::write_range(size_t offset, std::string_view bytes) {
  check(store() != Store::kInteger, "an integer is turned into text before it is written to");
  const size_t old_length = string_length();
  const size_t new_length = std::max(old_length, offset + bytes.size());
  check(offset + bytes.size() >= offset, "a range ends behind its start");
  char* data = nullptr;
  if (new_length <= kEmbeddedMax) {
    check(new_length <= room_, "an embedded string has room");
    data = at(value_offset());
    embedded_length_ = new_length & kRoomMax;
  } else {
    if (store() == Store::kEmbedded) {
      set_buffer(
          make_buffer({at(value_offset()), old_length}, grown_capacity(old_length, new_length)));
    } else if (new_length > buffer()->capacity) {
      set_buffer(grow_buffer(buffer(), new_length));
    }
    data = buffer()->data();
    buffer()->length = new_length;
  }
  if (offset > old_length) std::memset(data + old_length, 0, offset - old_length);
  copy_bytes(data + offset, bytes);
  grown_ = 1;
}

}  // namespace raftkv::data
