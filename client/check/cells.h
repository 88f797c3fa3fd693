// What a key can hold, interned: equal contents have equal numbers, so that states are compared and
// hashed as integers.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace raftkv::client::check {

using CellId = uint32_t;
constexpr CellId kAbsent = 0;  // no such key; also what an empty list or set is
constexpr CellId kNoCell = UINT32_MAX;

// One thread. Never forgets, except by forget_since.
class CellTable {
 public:
  CellTable();
  CellTable(const CellTable&) = delete;
  CellTable& operator=(const CellTable&) = delete;

  CellId string(std::string_view bytes);
  CellId list(std::span<const CellId> elements);  // each element a string cell; empty: kAbsent
  CellId set(std::vector<CellId> elements);       // in any order, also with repeats

  [[nodiscard]] bool is_string(CellId cell) const { return kind_of(cell) == kString; }
  [[nodiscard]] bool is_list(CellId cell) const { return kind_of(cell) == kList; }
  [[nodiscard]] bool is_set(CellId cell) const { return kind_of(cell) == kSet; }
  [[nodiscard]] std::string_view bytes(CellId cell) const;          // of a string
  [[nodiscard]] std::vector<CellId> elements(CellId cell) const;    // of a list, set or kAbsent
  [[nodiscard]] size_t element_count(CellId cell) const;            // the same
  [[nodiscard]] std::optional<int64_t> integer(CellId cell) const;  // as INCR reads it
  [[nodiscard]] CellId with_integer(int64_t number) { return string(std::to_string(number)); }

  // Bytes of a string, or elements times their size: grows with what is appended.
  [[nodiscard]] size_t content_bytes(CellId cell) const { return contents_[cell].size(); }
  // Whether `cell` is `beginning` with nothing or something appended.
  [[nodiscard]] bool begins_with(CellId cell, CellId beginning) const {
    return contents_[cell].starts_with(contents_[beginning]);
  }

  // How a person reads it: 'text', (nil), [a, b] or {a, b}, cut to about `limit` characters.
  [[nodiscard]] std::string display(CellId cell, size_t limit = 60) const;

  [[nodiscard]] size_t size() const { return contents_.size(); }
  [[nodiscard]] size_t memory_bytes() const { return memory_bytes_; }
  // Forgets the cells numbered `size` and above: what one search made and no other can use.
  void forget_since(size_t size);

 private:
  enum Kind : char { kNothing = 0, kString = 's', kList = 'l', kSet = 't' };

  [[nodiscard]] Kind kind_of(CellId cell) const {
    return contents_[cell].empty() ? kNothing : static_cast<Kind>(contents_[cell][0]);
  }
  CellId intern(std::string_view content);

  // The kind, then the bytes of a string or the elements' numbers, four bytes each.
  std::deque<std::string> contents_;
  absl::flat_hash_map<std::string_view, CellId> ids_;
  std::string scratch_;
  size_t memory_bytes_ = 0;
};

}  // namespace raftkv::client::check
