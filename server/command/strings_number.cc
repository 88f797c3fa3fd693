// Strings as numbers.

#include <cmath>
#include <limits>

#include "server/command/args.h"
#include "server/command/strings.h"

namespace raftkv::server::strings {
namespace {

using data::Keyspace;

// The value as an integer, 0 if there is none. Empty after an error reply. A string that grew by
// APPEND may well be a number although it is not kept as one.
std::optional<int64_t> integer_value_or_reply(DataContext& context, const data::Entry* entry) {
  if (!entry) return 0;
  if (const std::optional<int64_t> value = Keyspace::integer_of(*entry)) return value;
  data::IntBuffer buffer;
  return integer_or_reply(context, Keyspace::string_of(*entry, buffer));
}

void add(DataContext& context, int64_t amount) {
  const std::string_view key = context.args[1];
  const data::Entry* entry = lookup_write(context, key);
  if (!string_or_reply(context, entry)) return;
  const std::optional<int64_t> value = integer_value_or_reply(context, entry);
  if (!value) return;
  int64_t sum = 0;
  if (__builtin_add_overflow(*value, amount, &sum)) {
    return context.reply.error("ERR increment or decrement would overflow");
  }
  if (entry) {
    context.keyspace.replace_integer(key, sum);
  } else {
    context.keyspace.set_integer(key, sum);
  }
  context.reply.integer(sum);
}

}  // namespace

void incr(DataContext& context) {
  add(context, 1);
}
void decr(DataContext& context) {
  add(context, -1);
}

void incrby(DataContext& context) {
  const std::optional<int64_t> amount = integer_or_reply(context, context.args[2]);
  if (amount) add(context, *amount);
}

void decrby(DataContext& context) {
  const std::optional<int64_t> amount = integer_or_reply(context, context.args[2]);
  if (!amount) return;
  if (*amount == std::numeric_limits<int64_t>::min()) {
    return context.reply.error("ERR decrement would overflow");
  }
  add(context, -*amount);
}

void incrbyfloat(DataContext& context) {
  const std::string_view key = context.args[1];
  const data::Entry* entry = lookup_write(context, key);
  if (!string_or_reply(context, entry)) return;
  data::IntBuffer buffer;
  const auto value =
      entry ? parse_long_double(Keyspace::string_of(*entry, buffer)) : std::optional(0.0L);
  const auto amount = parse_long_double(context.args[2]);
  if (!value || !amount) return context.reply.error(kNotAFloat);
  const long double sum = *value + *amount;
  if (!std::isfinite(sum)) {
    return context.reply.error("ERR increment would produce NaN or Infinity");
  }
  const std::string text = format_long_double(sum);
  const data::TimeMs expiry = entry ? Keyspace::expiry_of(*entry) : data::kNoExpiry;
  context.keyspace.set_string(key, text, expiry);
  context.reply.bulk(text);
}

}  // namespace raftkv::server::strings
