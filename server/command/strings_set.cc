// SET in all its forms, and what else replaces a whole value or changes a deadline with a read.

#include <limits>

#include "server/command/args.h"
#include "server/command/strings.h"

namespace raftkv::server::strings {
namespace {

using data::Keyspace;
using data::kNoExpiry;
using data::TimeMs;

// How the deadline is given. Only one kind may be in a command, but that more than once: the last
// one counts.
enum class Deadline : uint8_t {
  kNone,
  kSeconds,
  kMilliseconds,
  kUnixSeconds,
  kUnixMilliseconds,
  kKeep,     // SET ... KEEPTTL
  kPersist,  // GETEX ... PERSIST
};

bool takes_time(Deadline kind) {
  return kind != Deadline::kNone && kind != Deadline::kKeep && kind != Deadline::kPersist;
}

enum class Family : uint8_t { kSet, kGet };

struct Options {
  bool nx = false;
  bool xx = false;
  bool get = false;
  Deadline deadline = Deadline::kNone;
  std::string_view time;
};

Deadline deadline_word(std::string_view word, Family family) {
  if (same_word(word, "EX")) return Deadline::kSeconds;
  if (same_word(word, "PX")) return Deadline::kMilliseconds;
  if (same_word(word, "EXAT")) return Deadline::kUnixSeconds;
  if (same_word(word, "PXAT")) return Deadline::kUnixMilliseconds;
  if (family == Family::kSet && same_word(word, "KEEPTTL")) return Deadline::kKeep;
  if (family == Family::kGet && same_word(word, "PERSIST")) return Deadline::kPersist;
  return Deadline::kNone;
}

// Empty if the words are not options, or contradict each other.
std::optional<Options> parse_options(Args words, Family family) {
  Options options;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (family == Family::kSet && same_word(word, "NX") && !options.xx) {
      options.nx = true;
    } else if (family == Family::kSet && same_word(word, "XX") && !options.nx) {
      options.xx = true;
    } else if (family == Family::kSet && same_word(word, "GET")) {
      options.get = true;
    } else {
      const Deadline kind = deadline_word(word, family);
      if (kind == Deadline::kNone) return std::nullopt;
      if (options.deadline != Deadline::kNone && options.deadline != kind) return std::nullopt;
      options.deadline = kind;
      if (!takes_time(kind)) continue;
      if (++i == words.size()) return std::nullopt;
      options.time = words[i];
    }
  }
  return options;
}

// The deadline in milliseconds since 1970. Empty after an error reply.
std::optional<TimeMs> deadline_or_reply(DataContext& context, Deadline kind, std::string_view text,
                                        std::string_view command) {
  constexpr TimeMs kMax = std::numeric_limits<TimeMs>::max();
  const std::optional<int64_t> given = integer_or_reply(context, text);
  if (!given) return std::nullopt;
  TimeMs time = *given;
  bool fits = time > 0;
  if (fits && (kind == Deadline::kSeconds || kind == Deadline::kUnixSeconds)) {
    fits = time <= kMax / 1000;
    if (fits) time *= 1000;
  }
  if (fits && (kind == Deadline::kSeconds || kind == Deadline::kMilliseconds)) {
    fits = time <= kMax - context.clock.now;
    if (fits) time += context.clock.now;
  }
  if (fits) return time;
  context.reply.error(invalid_expire_time(command));
  return std::nullopt;
}

// SET key value with options. The order of the checks is Redis's: a bad time comes before a bad
// type.
void set_with(DataContext& context, std::string_view key, std::string_view value,
              const Options& options) {
  TimeMs expiry = kNoExpiry;
  if (takes_time(options.deadline)) {
    const auto time = deadline_or_reply(context, options.deadline, options.time, "set");
    if (!time) return;
    expiry = *time;
  }
  const data::Entry* old =
      options.get ? lookup_read(context, key) : context.keyspace.find(key, context.clock);
  if (options.get) {
    if (!string_or_reply(context, old)) return;
    reply_value(context, old);
  }
  if ((options.nx && old) || (options.xx && !old)) {
    if (!options.get) context.reply.null();
    return;
  }
  if (options.deadline == Deadline::kKeep && old) expiry = Keyspace::expiry_of(*old);
  store_string(context, key, value, expiry);
  if (!options.get) context.reply.ok();
}

void set_until(DataContext& context, Deadline kind, std::string_view command) {
  const auto expiry = deadline_or_reply(context, kind, context.args[2], command);
  if (!expiry) return;
  store_string(context, context.args[1], context.args[3], *expiry);
  context.reply.ok();
}

// Redis leaves this to the commands, so that COMMAND shows a simple arity.
bool pairs_or_reply(DataContext& context, const char* command) {
  if (context.args.size() % 2 == 1) return true;
  context.reply.error(std::string("ERR wrong number of arguments for '") + command + "' command");
  return false;
}

void set_pairs(DataContext& context) {
  for (size_t i = 1; i < context.args.size(); i += 2) {
    context.keyspace.set_string(context.args[i], context.args[i + 1]);
  }
}

}  // namespace

void set(DataContext& context) {
  const Args args = context.args;
  if (args.size() == 3) [[likely]] {
    context.keyspace.set_string(args[1], args[2]);
    return context.reply.ok();
  }
  const std::optional<Options> options = parse_options(args.subspan(3), Family::kSet);
  if (!options) return context.reply.error(kSyntaxError);
  set_with(context, args[1], args[2], *options);
}

void setnx(DataContext& context) {
  const bool absent = !context.keyspace.find(context.args[1], context.clock);
  if (absent) context.keyspace.set_string(context.args[1], context.args[2]);
  context.reply.integer(absent ? 1 : 0);
}

void setex(DataContext& context) {
  set_until(context, Deadline::kSeconds, "setex");
}
void psetex(DataContext& context) {
  set_until(context, Deadline::kMilliseconds, "psetex");
}

void getex(DataContext& context) {
  const std::string_view key = context.args[1];
  const std::optional<Options> options = parse_options(context.args.subspan(2), Family::kGet);
  if (!options) return context.reply.error(kSyntaxError);
  const data::Entry* entry = lookup_read(context, key);
  if (!entry) return context.reply.null();
  if (!string_or_reply(context, entry)) return;
  std::optional<TimeMs> expiry;
  if (takes_time(options->deadline)) {
    expiry = deadline_or_reply(context, options->deadline, options->time, "getex");
    if (!expiry) return;
  }
  reply_value(context, entry);
  if (options->deadline == Deadline::kPersist) {
    context.keyspace.set_expiry(key, kNoExpiry);
  } else if (expiry && *expiry <= context.clock.now) {
    context.keyspace.erase(key);
  } else if (expiry) {
    context.keyspace.set_expiry(key, *expiry);
  }
}

void getset(DataContext& context) {
  const data::Entry* old = lookup_read(context, context.args[1]);
  if (!string_or_reply(context, old)) return;
  reply_value(context, old);
  context.keyspace.set_string(context.args[1], context.args[2]);
}

void mset(DataContext& context) {
  if (!pairs_or_reply(context, "mset")) return;
  set_pairs(context);
  context.reply.ok();
}

void msetnx(DataContext& context) {
  if (!pairs_or_reply(context, "msetnx")) return;
  for (size_t i = 1; i < context.args.size(); i += 2) {
    if (context.keyspace.find(context.args[i], context.clock)) return context.reply.integer(0);
  }
  set_pairs(context);
  context.reply.integer(1);
}

}  // namespace raftkv::server::strings
