// Small helpers that handlers of local commands share: words in any case, numbers, standard errors.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace raftkv::server {

struct CommandSpec;
struct LocalContext;

inline constexpr char kSyntaxError[] = "ERR syntax error";
inline constexpr char kNotAnInteger[] = "ERR value is not an integer or out of range";

// ASCII letters without regard to case, as Redis compares options.
bool same_word(std::string_view a, std::string_view b);
std::string lower_word(std::string_view word);
std::string upper_word(std::string_view word);

// The whole text as a decimal number in canonical form ("-1", "0", "17"; not "+1", "01", " 1").
std::optional<int64_t> parse_integer(std::string_view text);

// "<host>:<port>" cut at its last colon; the port as text. An IPv6 host keeps no brackets.
struct HostPort {
  std::string_view host;
  std::string_view port;
};
HostPort split_address(std::string_view address);

// What Redis says to a subcommand that was given more arguments than it takes.
void reply_too_many_arguments(LocalContext& context);

// The reply of a container's HELP: one line a subcommand with its arguments, one with its summary.
void reply_help(LocalContext& context, const CommandSpec& container);

}  // namespace raftkv::server
