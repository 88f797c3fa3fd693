// Keys as a whole: deleting, renaming, copying, asking about them.

#include <limits>

#include <fmt/format.h>

#include "server/command/args.h"
#include "server/command/generic.h"

namespace raftkv::server::generic {
namespace {

using data::Keyspace;

void rename_with(DataContext& context, bool only_if_absent) {
  const std::string_view from = context.args[1];
  const std::string_view to = context.args[2];
  if (!lookup_write(context, from)) return context.reply.error(kNoSuchKey);
  // A key is in its own way, too.
  if (only_if_absent && context.keyspace.find(to, context.clock)) return context.reply.integer(0);
  context.keyspace.rename(from, to);
  if (only_if_absent) {
    context.reply.integer(1);
  } else {
    context.reply.ok();
  }
}

// The argument of COPY ... DB. False after an error reply. There is one database, 0.
bool database_or_reply(DataContext& context, std::string_view text) {
  constexpr int64_t kMin = std::numeric_limits<int32_t>::min();
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  const std::optional<int64_t> index = integer_or_reply(context, text);
  if (!index) return false;
  if (*index == 0) return true;
  if (*index < kMin || *index > kMax) {
    context.reply.error(
        fmt::format("ERR value is out of range, value must between {} and {}", kMin, kMax));
  } else {
    context.reply.error("ERR DB index is out of range");
  }
  return false;
}

// The entry that OBJECT asks about. Null after a reply.
const data::Entry* object_or_reply(DataContext& context) {
  const data::Entry* entry = lookup_read(context, context.args[2]);
  if (!entry) context.reply.null();
  return entry;
}

}  // namespace

void del(DataContext& context) {
  int64_t deleted = 0;
  context.keyspace.prefetch(context.args.subspan(1));
  for (const std::string_view key : context.args.subspan(1)) {
    deleted += erase_live(context, key) ? 1 : 0;
  }
  context.reply.integer(deleted);
}

void exists(DataContext& context) {
  int64_t found = 0;
  context.keyspace.prefetch(context.args.subspan(1));
  for (const std::string_view key : context.args.subspan(1)) {
    found += lookup_read(context, key) ? 1 : 0;
  }
  context.reply.integer(found);
}

void type(DataContext& context) {
  const data::Entry* entry = lookup_read(context, context.args[1]);
  context.reply.simple(entry ? data::type_name(Keyspace::type_of(*entry)) : "none");
}

void rename(DataContext& context) {
  rename_with(context, false);
}
void renamenx(DataContext& context) {
  rename_with(context, true);
}

void copy(DataContext& context) {
  const Args args = context.args;
  bool replace = false;
  for (size_t i = 3; i < args.size(); ++i) {
    if (same_word(args[i], "REPLACE")) {
      replace = true;
    } else if (same_word(args[i], "DB") && i + 1 < args.size()) {
      if (!database_or_reply(context, args[++i])) return;
    } else {
      return context.reply.error(kSyntaxError);
    }
  }
  if (args[1] == args[2]) {
    return context.reply.error("ERR source and destination objects are the same");
  }
  if (!lookup_read(context, args[1])) return context.reply.integer(0);
  if (lookup_write(context, args[2]) && !replace) return context.reply.integer(0);
  context.keyspace.copy(args[1], args[2]);
  context.reply.integer(1);
}

// FLUSHALL and FLUSHDB. Memory is given back in slices between turns, with ASYNC as with SYNC: a
// thread of its own would make no difference that a client can see.
void flush(DataContext& context) {
  const Args args = context.args;
  const bool known =
      args.size() == 1 ||
      (args.size() == 2 && (same_word(args[1], "SYNC") || same_word(args[1], "ASYNC")));
  if (!known) return context.reply.error(kSyntaxError);
  context.keyspace.clear();
  context.reply.ok();
}

void object_encoding(DataContext& context) {
  const data::Entry* entry = object_or_reply(context);
  if (entry) context.reply.bulk(Keyspace::encoding_of(*entry));
}

// What Redis answers unless maxmemory-policy is one of the LFU ones.
void object_freq(DataContext& context) {
  if (!object_or_reply(context)) return;
  context.reply.error(
      "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that "
      "when switching between policies at runtime LRU and LFU data will take some time to adjust.");
}

void object_idletime(DataContext& context) {
  if (object_or_reply(context)) context.reply.integer(0);
}

void object_refcount(DataContext& context) {
  if (object_or_reply(context)) context.reply.integer(1);
}

}  // namespace raftkv::server::generic
