#include "server/command/args.h"

#include <clocale>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace raftkv::server {
namespace {

constexpr size_t kFloatBytesMax = 5 * 1024;  // Redis's bound; the largest number has 4932 digits

locale_t c_locale() {
  static const locale_t locale = newlocale(LC_ALL_MASK, "C", nullptr);
  return locale;
}

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// Whether an entry could be in the table although its deadline has passed. O(1), and nearly always
// false: the leader deletes what is due soon after.
bool something_is_due(const DataContext& context) {
  const data::TimeMs earliest = context.keyspace.earliest_expiry();
  return data::is_due(earliest, context.clock.now);
}

}  // namespace

std::optional<int64_t> integer_or_reply(DataContext& context, std::string_view text) {
  const std::optional<int64_t> value = parse_integer(text);
  if (!value) context.reply.error(kNotAnInteger);
  return value;
}

std::string invalid_expire_time(std::string_view command) {
  return std::string("ERR invalid expire time in '").append(command).append("' command");
}

std::optional<long double> parse_long_double(std::string_view text) {
  if (text.empty() || text.size() >= kFloatBytesMax || is_space(text.front())) return std::nullopt;
  char copy[kFloatBytesMax];
  std::memcpy(copy, text.data(), text.size());
  copy[text.size()] = '\0';
  char* end = nullptr;
  errno = 0;
  const long double value = strtold_l(copy, &end, c_locale());
  if (end != copy + text.size() || std::isnan(value)) return std::nullopt;
  const bool lost = errno == ERANGE && (std::isinf(value) || value == 0);
  return lost ? std::nullopt : std::optional(value);
}

std::string format_long_double(long double value) {
  // The integer part has up to 4933 digits.
  char digits[kFloatBytesMax];
  const locale_t before = uselocale(c_locale());
  const int length = std::snprintf(digits, sizeof digits, "%.17Lf", value);
  uselocale(before);
  std::string_view text(digits, static_cast<size_t>(length));
  text = text.substr(0, text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.remove_suffix(1);
  return std::string(text == "-0" ? "0" : text);
}

bool is_live(const data::Entry& entry, data::Clock& clock) {
  const data::TimeMs expiry = data::Keyspace::expiry_of(entry);
  if (!data::is_due(expiry, clock.now)) return true;
  if (!data::is_due(expiry, clock.settled)) clock.unsettled = true;
  return false;
}

const data::Entry* lookup_read(DataContext& context, std::string_view key) {
  const data::Entry* entry = context.keyspace.find(key, context.clock);
  ++(entry ? context.keyspace_hits : context.keyspace_misses);
  return entry;
}

const data::Entry* lookup_write(DataContext& context, std::string_view key) {
  const data::Entry* entry = context.keyspace.find(key, context.clock);
  if (!entry && something_is_due(context)) context.keyspace.erase_if_due(key, context.clock.now);
  return entry;
}

bool erase_live(DataContext& context, std::string_view key) {
  const bool live =
      !something_is_due(context) || context.keyspace.find(key, context.clock) != nullptr;
  return context.keyspace.erase(key) && live;
}

bool string_or_reply(DataContext& context, const data::Entry* entry) {
  if (!entry || data::Keyspace::type_of(*entry) == data::Type::kString) return true;
  context.reply.error(kWrongType);
  return false;
}

void store_string(DataContext& context, std::string_view key, std::string_view value,
                  data::TimeMs expiry) {
  if (data::is_due(expiry, context.clock.now)) {
    context.keyspace.erase(key);
  } else {
    context.keyspace.set_string(key, value, expiry);
  }
}

}  // namespace raftkv::server
