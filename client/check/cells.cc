#include "client/check/cells.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace raftkv::client::check {
namespace {

constexpr size_t kEntryOverhead = 64;  // a string object and its place in the hash table, about

bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

// Cuts between characters, never inside one.
std::string cut(std::string text, size_t limit) {
  if (text.size() <= limit) return text;
  size_t end = limit;
  while (end > 0 && is_continuation(text[end])) --end;
  const size_t rest = text.size() - end;
  text.resize(end);
  return text + "... (" + std::to_string(rest) + " more bytes)";
}

}  // namespace

CellTable::CellTable() {
  intern("");  // kAbsent
}

CellId CellTable::intern(std::string_view content) {
  const auto found = ids_.find(content);
  if (found != ids_.end()) return found->second;
  const auto id = static_cast<CellId>(contents_.size());
  contents_.emplace_back(content);
  ids_.emplace(contents_.back(), id);
  memory_bytes_ += content.size() + kEntryOverhead;
  return id;
}

CellId CellTable::string(std::string_view bytes) {
  scratch_.assign(1, kString);
  scratch_.append(bytes);
  return intern(scratch_);
}

CellId CellTable::list(std::span<const CellId> elements) {
  if (elements.empty()) return kAbsent;
  scratch_.assign(1, kList);
  for (const CellId element : elements) {
    scratch_.append(reinterpret_cast<const char*>(&element), sizeof element);
  }
  return intern(scratch_);
}

CellId CellTable::set(std::vector<CellId> elements) {
  if (elements.empty()) return kAbsent;
  std::sort(elements.begin(), elements.end());
  elements.erase(std::unique(elements.begin(), elements.end()), elements.end());
  scratch_.assign(1, kSet);
  for (const CellId element : elements) {
    scratch_.append(reinterpret_cast<const char*>(&element), sizeof element);
  }
  return intern(scratch_);
}

std::string_view CellTable::bytes(CellId cell) const {
  return std::string_view(contents_[cell]).substr(1);
}

size_t CellTable::element_count(CellId cell) const {
  return contents_[cell].size() / sizeof(CellId);  // the kind's byte is lost in the rounding
}

std::vector<CellId> CellTable::elements(CellId cell) const {
  std::vector<CellId> result(element_count(cell));
  if (!result.empty()) {
    std::memcpy(result.data(), contents_[cell].data() + 1, result.size() * sizeof(CellId));
  }
  return result;
}

std::optional<int64_t> CellTable::integer(CellId cell) const {
  if (!is_string(cell)) return std::nullopt;
  const std::string_view text = bytes(cell);
  int64_t number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  // Redis takes only the form that it would print: no leading zeros, no "-0".
  if (std::to_string(number) != text) return std::nullopt;
  return number;
}

std::string CellTable::display(CellId cell, size_t limit) const {
  if (cell == kAbsent) return "(nil)";
  if (is_string(cell)) return "'" + cut(std::string(bytes(cell)), limit) + "'";
  std::string text;
  size_t shown = 0;
  const std::vector<CellId> all = elements(cell);
  for (const CellId element : all) {
    if (text.size() >= limit) break;
    text += (shown++ == 0 ? "" : ", ") + cut(std::string(bytes(element)), limit);
  }
  if (shown < all.size()) text += ", ... (" + std::to_string(all.size() - shown) + " more)";
  return is_list(cell) ? "[" + text + "]" : "{" + text + "}";
}

void CellTable::forget_since(size_t size) {
  while (contents_.size() > size) {
    memory_bytes_ -= contents_.back().size() + kEntryOverhead;
    ids_.erase(std::string_view(contents_.back()));
    contents_.pop_back();
  }
}

}  // namespace raftkv::client::check
