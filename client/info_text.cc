#include "client/info_text.h"

#include <algorithm>
#include <charconv>

namespace raftkv::client {

void InfoText::add(std::string_view text) {
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const size_t colon = line.find(':');
    if (line.starts_with('#') || colon == std::string_view::npos) continue;
    fields_.insert_or_assign(std::string(line.substr(0, colon)),
                             std::string(line.substr(colon + 1)));
  }
}

std::string_view InfoText::text(std::string_view field) const {
  const auto found = fields_.find(field);
  return found == fields_.end() ? std::string_view() : std::string_view(found->second);
}

std::optional<uint64_t> InfoText::number(std::string_view field) const {
  return info_number(text(field));
}

std::optional<uint64_t> info_number(std::string_view digits) {
  uint64_t value = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (fault != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

std::string_view info_part(std::string_view value, std::string_view key) {
  while (!value.empty()) {
    const std::string_view part = value.substr(0, value.find(','));
    value.remove_prefix(std::min(value.size(), part.size() + 1));
    if (part.size() > key.size() && part.starts_with(key) && part[key.size()] == '=') {
      return part.substr(key.size() + 1);
    }
  }
  return {};
}

}  // namespace raftkv::client
