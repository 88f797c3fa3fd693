// DUMP and RESTORE: one value in the form in which Redis's servers hand them to each other.

#include <limits>

#include "server/command/args.h"
#include "server/command/generic.h"
#include "storage/snapshot/rdb_payload.h"

namespace raftkv::server::generic {
namespace {

using data::TimeMs;
using storage::PayloadError;

struct RestoreOptions {
  bool replace = false;
  bool absolute = false;  // the time to live is a deadline
};

// The argument of IDLETIME or FREQ, within its bounds. False after an error reply. Neither is kept:
// eviction here does not look at single keys' use.
bool usage_or_reply(DataContext& context, std::string_view text, int64_t max, const char* error) {
  const std::optional<int64_t> value = integer_or_reply(context, text);
  if (!value) return false;
  if (*value >= 0 && *value <= max) return true;
  context.reply.error(error);
  return false;
}

// Empty after an error reply. Of IDLETIME and FREQ only one may be given.
std::optional<RestoreOptions> options_or_reply(DataContext& context) {
  const Args words = context.args;
  RestoreOptions options;
  bool idle = false;
  bool freq = false;
  for (size_t i = 4; i < words.size(); ++i) {
    const bool more = i + 1 < words.size();
    if (same_word(words[i], "REPLACE")) {
      options.replace = true;
    } else if (same_word(words[i], "ABSTTL")) {
      options.absolute = true;
    } else if (same_word(words[i], "IDLETIME") && more && !freq) {
      idle = true;
      if (!usage_or_reply(context, words[++i], std::numeric_limits<int64_t>::max(),
                          "ERR Invalid IDLETIME value, must be >= 0")) {
        return std::nullopt;
      }
    } else if (same_word(words[i], "FREQ") && more && !idle) {
      freq = true;
      if (!usage_or_reply(context, words[++i], 255,
                          "ERR Invalid FREQ value, must be >= 0 and <= 255")) {
        return std::nullopt;
      }
    } else {
      context.reply.error(kSyntaxError);
      return std::nullopt;
    }
  }
  return options;
}

// The deadline that the arguments mean, kNoExpiry for 0. Empty after an error reply.
std::optional<TimeMs> deadline_or_reply(DataContext& context, bool absolute) {
  const std::optional<int64_t> ttl = integer_or_reply(context, context.args[2]);
  if (!ttl) return std::nullopt;
  const TimeMs from = absolute ? 0 : context.clock.now;
  if (*ttl < 0 || *ttl > std::numeric_limits<TimeMs>::max() - from) {
    context.reply.error("ERR Invalid TTL value, must be >= 0");
    return std::nullopt;
  }
  return *ttl == 0 ? data::kNoExpiry : from + *ttl;
}

}  // namespace

void dump(DataContext& context) {
  const data::Entry* entry = lookup_read(context, context.args[1]);
  if (!entry) return context.reply.null();
  context.reply.bulk(storage::dump_value(*entry));
}

// The order of the checks is Redis's.
void restore(DataContext& context) {
  const std::string_view key = context.args[1];
  const std::optional<RestoreOptions> options = options_or_reply(context);
  if (!options) return;
  if (!options->replace && lookup_write(context, key)) {
    return context.reply.error("BUSYKEY Target key name already exists.");
  }
  const std::optional<TimeMs> deadline = deadline_or_reply(context, options->absolute);
  if (!deadline) return;
  const auto value = storage::restore_string(context.args[3]);
  if (!value) {
    const bool footer = value.error().kind == PayloadError::Kind::kFooter;
    return context.reply.error(footer ? "ERR DUMP payload version or checksum are wrong"
                                      : "ERR Bad data format");
  }
  // A deadline that has passed removes what was there.
  store_string(context, key, *value, *deadline);
  context.reply.ok();
}

}  // namespace raftkv::server::generic
