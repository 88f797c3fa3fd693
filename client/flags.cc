#include "client/flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace raftkv::client {
namespace {

template <typename Number>
bool read_number(const std::string& text, Number min, Number max, Number* value) {
  Number parsed{};
  const char* last = text.data() + text.size();
  const auto [end, fault] = std::from_chars(text.data(), last, parsed);
  // Also refuses a NaN, which compares with nothing.
  if (fault != std::errc{} || end != last || !(parsed >= min && parsed <= max)) return false;
  *value = parsed;
  return true;
}

bool read_bool(const std::string& text, bool* value) {
  if (text != "true" && text != "false") return false;
  *value = text == "true";
  return true;
}

}  // namespace

Flags::Flag& Flags::add(std::string_view name, std::string_view help, std::string_view kind) {
  Flag& flag = flags_.emplace_back();
  flag.name = name;
  flag.help = help;
  flag.kind = kind;
  return flag;
}

void Flags::text(std::string_view name, std::string* value, std::string_view help) {
  Flag& flag = add(name, help, "TEXT");
  if (!value->empty()) flag.help += fmt::format(" (default: {})", *value);
  flag.set = [value](const std::string& text) {
    *value = text;
    return true;
  };
}

void Flags::required_text(std::string_view name, std::string* value, std::string_view help) {
  text(name, value, help);
  flags_.back().required = true;
  flags_.back().help += " (required)";
}

void Flags::argument(std::string_view name, std::string* value, std::string_view help) {
  required_text(name, value, help);
  flags_.back().nameless = true;
  flags_.back().help += "; the name may be left out";
}

void Flags::number(std::string_view name, int64_t* value, int64_t min, int64_t max,
                   std::string_view help) {
  add_number(name, value, min, max, help).help += fmt::format(" (default: {})", *value);
}

void Flags::required_number(std::string_view name, int64_t* value, int64_t min, int64_t max,
                            std::string_view help) {
  Flag& flag = add_number(name, value, min, max, help);
  flag.required = true;
  flag.help += " (required)";
}

Flags::Flag& Flags::add_number(std::string_view name, int64_t* value, int64_t min, int64_t max,
                               std::string_view help) {
  Flag& flag = add(name, help, "N");
  flag.allowed = fmt::format("a number from {} to {}", min, max);
  flag.set = [=](const std::string& text) { return read_number(text, min, max, value); };
  return flag;
}

void Flags::share(std::string_view name, double* value, std::string_view help) {
  Flag& flag = add(name, help, "X");
  flag.help += fmt::format(" (default: {:.1f})", *value);
  flag.allowed = "a number from 0.0 to 1.0";
  flag.set = [=](const std::string& text) { return read_number(text, 0.0, 1.0, value); };
}

void Flags::toggle(std::string_view name, bool* value, std::string_view help) {
  Flag& flag = add(name, help, "");
  flag.allowed = "true or false";
  flag.set = [=](const std::string& text) { return read_bool(text, value); };
}

Flags::Flag* Flags::find(std::string_view name) {
  const auto found = std::find_if(flags_.begin(), flags_.end(),
                                  [name](const Flag& flag) { return flag.name == name; });
  return found == flags_.end() ? nullptr : &*found;
}

Flags::Flag* Flags::next_nameless() {
  const auto found = std::find_if(flags_.begin(), flags_.end(),
                                  [](const Flag& flag) { return flag.nameless && !flag.given; });
  return found == flags_.end() ? nullptr : &*found;
}

std::expected<void, std::string> Flags::parse(std::span<const std::string> args) {
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string_view arg = args[i];
    if (!arg.starts_with("--")) {
      if (Flag* nameless = next_nameless(); nameless != nullptr) {
        nameless->given = nameless->set(args[i]);
        continue;
      }
      return std::unexpected(fmt::format("unexpected argument '{}': flags begin with --", arg));
    }
    const size_t equals = arg.find('=');
    const std::string_view name = arg.substr(2, equals == arg.npos ? equals : equals - 2);
    Flag* flag = find(name);
    if (flag == nullptr) return std::unexpected(fmt::format("unknown flag --{}", name));
    if (flag->given) return std::unexpected(fmt::format("--{} is given twice", name));
    std::string value = "true";
    if (equals != arg.npos) {
      value = arg.substr(equals + 1);
    } else if (!flag->kind.empty()) {
      if (++i == args.size()) return std::unexpected(fmt::format("--{} needs a value", name));
      value = args[i];
    }
    if (!flag->set(value)) {
      return std::unexpected(fmt::format("--{} takes {}, not '{}'", name, flag->allowed, value));
    }
    flag->given = true;
  }
  for (const Flag& flag : flags_) {
    if (flag.required && !flag.given) {
      return std::unexpected(fmt::format("--{} is missing", flag.name));
    }
  }
  return {};
}

std::string Flags::help() const {
  std::string out;
  for (const Flag& flag : flags_) {
    out += fmt::format("  --{}{}{}\n", flag.name, flag.kind.empty() ? "" : " ", flag.kind);
    out += fmt::format("      {}\n", flag.help);
  }
  return out;
}

}  // namespace raftkv::client
