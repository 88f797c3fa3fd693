// Flags of a subcommand: `--name value` or `--name=value`, typed, checked, and documented in one
// place, so that --help can't forget one.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace raftkv::client {

class Flags {
 public:
  // Each binds a variable, which holds the default and outlives this object. `help` is one or more
  // lines of plain text; the default and the range are added to it.
  void text(std::string_view name, std::string* value, std::string_view help);
  void required_text(std::string_view name, std::string* value, std::string_view help);
  // As required_text(), and the name may be left out.
  void argument(std::string_view name, std::string* value, std::string_view help);
  void number(std::string_view name, int64_t* value, int64_t min, int64_t max,
              std::string_view help);
  void required_number(std::string_view name, int64_t* value, int64_t min, int64_t max,
                       std::string_view help);
  void share(std::string_view name, double* value, std::string_view help);  // 0.0 to 1.0
  void toggle(std::string_view name, bool* value, std::string_view help);   // false unless named

  // The error names the flag and says what is allowed.
  [[nodiscard]] std::expected<void, std::string> parse(std::span<const std::string> args);

  // One paragraph a flag, in the order of declaration.
  std::string help() const;

 private:
  struct Flag {
    std::string name;
    std::string help;
    std::string kind;  // what stands for the value in the help, empty for a toggle
    bool required = false;
    bool nameless = false;  // may be given without its name
    bool given = false;
    std::function<bool(const std::string&)> set;
    std::string allowed;  // "a number from 1 to 10"
  };

  Flag& add(std::string_view name, std::string_view help, std::string_view kind);
  Flag& add_number(std::string_view name, int64_t* value, int64_t min, int64_t max,
                   std::string_view help);
  Flag* find(std::string_view name);
  Flag* next_nameless();

  std::vector<Flag> flags_;
};

}  // namespace raftkv::client
