// Deadlines: setting, asking, taking away.

#include <limits>

#include "server/command/args.h"
#include "server/command/generic.h"

namespace raftkv::server::generic {
namespace {

using data::Keyspace;
using data::kNoExpiry;
using data::TimeMs;

enum class Unit : uint8_t { kSeconds, kMilliseconds };

struct Condition {
  bool nx = false;
  bool xx = false;
  bool gt = false;
  bool lt = false;
};

// Empty after an error reply.
std::optional<Condition> condition_or_reply(DataContext& context) {
  Condition condition;
  for (const std::string_view word : context.args.subspan(3)) {
    if (same_word(word, "NX")) {
      condition.nx = true;
    } else if (same_word(word, "XX")) {
      condition.xx = true;
    } else if (same_word(word, "GT")) {
      condition.gt = true;
    } else if (same_word(word, "LT")) {
      condition.lt = true;
    } else {
      context.reply.error(std::string("ERR Unsupported option ").append(word));
      return std::nullopt;
    }
  }
  if (condition.nx && (condition.xx || condition.gt || condition.lt)) {
    context.reply.error("ERR NX and XX, GT or LT options at the same time are not compatible");
    return std::nullopt;
  }
  if (condition.gt && condition.lt) {
    context.reply.error("ERR GT and LT options at the same time are not compatible");
    return std::nullopt;
  }
  return condition;
}

// No deadline counts as one that never comes: nothing is greater, everything is less.
bool holds(const Condition& condition, TimeMs old_deadline, TimeMs new_deadline) {
  const bool had = old_deadline != kNoExpiry;
  if (condition.nx && had) return false;
  if (condition.xx && !had) return false;
  if (condition.gt && (!had || new_deadline <= old_deadline)) return false;
  if (condition.lt && had && new_deadline >= old_deadline) return false;
  return true;
}

// `given` in `unit` after `base`, in milliseconds. Negative results are fine: they are in the past.
std::optional<TimeMs> deadline_of(int64_t given, Unit unit, TimeMs base) {
  constexpr TimeMs kMax = std::numeric_limits<TimeMs>::max();
  constexpr TimeMs kMin = std::numeric_limits<TimeMs>::min();
  if (unit == Unit::kSeconds) {
    if (given > kMax / 1000 || given < kMin / 1000) return std::nullopt;
    given *= 1000;
  }
  if (given > kMax - base) return std::nullopt;
  return given + base;
}

void expire_with(DataContext& context, Unit unit, TimeMs base, std::string_view command) {
  const std::string_view key = context.args[1];
  const std::optional<Condition> condition = condition_or_reply(context);
  if (!condition) return;
  const std::optional<int64_t> given = integer_or_reply(context, context.args[2]);
  if (!given) return;
  const std::optional<TimeMs> deadline = deadline_of(*given, unit, base);
  if (!deadline) return context.reply.error(invalid_expire_time(command));
  const data::Entry* entry = lookup_write(context, key);
  if (!entry || !holds(*condition, Keyspace::expiry_of(*entry), *deadline)) {
    return context.reply.integer(0);
  }
  if (*deadline <= context.clock.now) {
    context.keyspace.erase(key);
  } else {
    context.keyspace.set_expiry(key, *deadline);
  }
  context.reply.integer(1);
}

// To the nearest second, without the overflow that adding half a second first could bring.
int64_t rounded_seconds(TimeMs time) {
  return time / 1000 + (time % 1000 >= 500 ? 1 : 0);
}

// -2 without the key, -1 without a deadline, else the deadline after `base`.
void reply_deadline(DataContext& context, Unit unit, TimeMs base) {
  const data::Entry* entry = lookup_read(context, context.args[1]);
  if (!entry) return context.reply.integer(-2);
  const TimeMs deadline = Keyspace::expiry_of(*entry);
  if (deadline == kNoExpiry) return context.reply.integer(-1);
  const TimeMs time = deadline - base;  // positive: the entry is live
  context.reply.integer(unit == Unit::kSeconds ? rounded_seconds(time) : time);
}

}  // namespace

void expire(DataContext& context) {
  expire_with(context, Unit::kSeconds, context.clock.now, "expire");
}

void pexpire(DataContext& context) {
  expire_with(context, Unit::kMilliseconds, context.clock.now, "pexpire");
}

void expireat(DataContext& context) {
  expire_with(context, Unit::kSeconds, 0, "expireat");
}
void pexpireat(DataContext& context) {
  expire_with(context, Unit::kMilliseconds, 0, "pexpireat");
}

void ttl(DataContext& context) {
  reply_deadline(context, Unit::kSeconds, context.clock.now);
}
void pttl(DataContext& context) {
  reply_deadline(context, Unit::kMilliseconds, context.clock.now);
}
void expiretime(DataContext& context) {
  reply_deadline(context, Unit::kSeconds, 0);
}
void pexpiretime(DataContext& context) {
  reply_deadline(context, Unit::kMilliseconds, 0);
}

void persist(DataContext& context) {
  const data::Entry* entry = lookup_write(context, context.args[1]);
  const bool had = entry && Keyspace::expiry_of(*entry) != kNoExpiry;
  if (had) context.keyspace.set_expiry(context.args[1], kNoExpiry);
  context.reply.integer(had ? 1 : 0);
}

}  // namespace raftkv::server::generic
