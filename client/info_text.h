// The text that INFO answers with: "# Section" titles and "field:value" lines.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace raftkv::client {

class InfoText {
 public:
  InfoText() = default;
  explicit InfoText(std::string_view text) { add(text); }

  // Later fields win over earlier ones of the same name.
  void add(std::string_view text);

  std::string_view text(std::string_view field) const;           // empty if absent
  std::optional<uint64_t> number(std::string_view field) const;  // absent or not a number: nothing

  const std::map<std::string, std::string, std::less<>>& fields() const { return fields_; }

 private:
  std::map<std::string, std::string, std::less<>> fields_;
};

// The value of `key` in "id=2,addr=127.0.0.1:7002,lag=0"; empty if absent.
std::string_view info_part(std::string_view value, std::string_view key);

// Digits and nothing else, within range.
std::optional<uint64_t> info_number(std::string_view digits);

}  // namespace raftkv::client
