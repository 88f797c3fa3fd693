#include "server/command/local_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "server/command/host.h"

namespace raftkv::server {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

void append_arguments(std::string& out, std::span<const ArgDoc> arguments) {
  for (const ArgDoc& argument : arguments) {
    const std::string_view type = argument.type;
    std::string text = argument.token ? argument.token : "";
    if (type == "oneof" || type == "block") {
      std::string choices;
      for (const ArgDoc& child : argument.children) {
        std::string one;
        append_arguments(one, {&child, 1});
        if (!choices.empty()) choices += type == "oneof" ? "|" : " ";
        choices += one.substr(1);
      }
      text += (text.empty() ? "" : " ") + choices;
    } else if (type != "pure-token") {
      text += (text.empty() ? "<" : " <") + std::string(argument.name) + ">";
    }
    if (argument.flags & ArgDoc::kMultiple) text += " [...]";
    out += argument.flags & ArgDoc::kOptional ? " [" + text + "]" : " " + text;
  }
}

}  // namespace

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string lower_word(std::string_view word) {
  std::string result(word);
  std::ranges::transform(result, result.begin(), lower);
  return result;
}

std::string upper_word(std::string_view word) {
  std::string result(word);
  std::ranges::transform(result, result.begin(), upper);
  return result;
}

std::optional<int64_t> parse_integer(std::string_view text) {
  const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
  // No sign alone, no leading zero; "-0" is not canonical either.
  if (digits.empty() || (digits.front() == '0' && text.size() > 1)) return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

HostPort split_address(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return {address, {}};
  std::string_view host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return {host, address.substr(colon + 1)};
}

void reply_too_many_arguments(LocalContext& context) {
  context.reply.error(
      fmt::format("ERR unknown subcommand or wrong number of arguments for '{}'. Try {} HELP.",
                  context.args[1], upper_word(context.args[0])));
}

void reply_help(LocalContext& context, const CommandSpec& container) {
  resp::ReplyWriter& reply = context.reply;
  reply.array(1 + 2 * container.subcommands.size());
  reply.simple(upper_word(container.name) +
               " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
  for (const CommandSpec& subcommand : container.subcommands) {
    std::string line = upper_word(subcommand.name);
    append_arguments(line, subcommand.arguments);
    reply.simple(line);
    reply.simple(std::string("    ") + subcommand.summary);
  }
}

}  // namespace raftkv::server
