// Reads over the keyspace as a whole. Their order, and RANDOMKEY's draw, differ from node to node;
// only reads may.

#include <algorithm>
#include <charconv>
#include <chrono>
#include <vector>

#include "server/command/args.h"
#include "server/command/generic.h"
#include "server/command/glob.h"

namespace raftkv::server::generic {
namespace {

using data::Keyspace;

constexpr std::string_view kEverything = "*";

// What SCAN filters by.
struct Filter {
  std::optional<std::string_view> pattern;
  std::optional<std::string_view> type;

  bool accepts(const data::Entry& entry, data::Clock& clock) const {
    if (pattern && !glob_match(*pattern, Keyspace::key_of(entry))) return false;
    if (type && !same_word(*type, data::type_name(Keyspace::type_of(entry)))) return false;
    return is_live(entry, clock);
  }
};

struct ScanOptions {
  Filter filter;
  int64_t count = 10;
};

// "*" is the only pattern that the empty key matches as well; it is also the most common one.
void set_pattern(Filter& filter, std::string_view pattern) {
  filter.pattern = pattern == kEverything ? std::nullopt : std::optional(pattern);
}

// As C's strtoul, which Redis uses: an empty text is 0, a sign is taken.
std::optional<uint64_t> parse_cursor(std::string_view text) {
  if (text.empty()) return 0;
  const bool minus = text.starts_with('-');
  if (minus || text.starts_with('+')) text.remove_prefix(1);
  uint64_t cursor = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cursor);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return minus ? 0 - cursor : cursor;
}

// Empty after an error reply.
std::optional<ScanOptions> scan_options_or_reply(DataContext& context) {
  ScanOptions options;
  const Args words = context.args.subspan(2);
  for (size_t i = 0; i < words.size(); i += 2) {
    const bool has_value = i + 1 < words.size();
    if (has_value && same_word(words[i], "COUNT")) {
      const std::optional<int64_t> count = integer_or_reply(context, words[i + 1]);
      if (!count) return std::nullopt;
      if (*count < 1) {
        context.reply.error(kSyntaxError);
        return std::nullopt;
      }
      options.count = *count;
    } else if (has_value && same_word(words[i], "MATCH")) {
      set_pattern(options.filter, words[i + 1]);
    } else if (has_value && same_word(words[i], "TYPE")) {
      options.filter.type = words[i + 1];
    } else {
      context.reply.error(kSyntaxError);
      return std::nullopt;
    }
  }
  return options;
}

void reply_keys(resp::ReplyWriter& reply, const std::vector<std::string_view>& keys) {
  reply.array(keys.size());
  for (const std::string_view key : keys) reply.bulk(key);
}

// xorshift64*. Only RANDOMKEY draws from it, which is a read: no replica needs to agree.
uint64_t draw() {
  thread_local uint64_t state =
      static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()) | 1;
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * 0x2545F4914F6CDD1D;
}

// A live entry, nearly uniformly drawn; null if there is none.
const data::Entry* draw_live(DataContext& context) {
  constexpr int kDraws = 32;
  for (int i = 0; i < kDraws; ++i) {
    const data::Entry* entry = context.keyspace.random_entry(draw());
    if (!entry || is_live(*entry, context.clock)) return entry;
  }
  // Nearly all is due and about to be deleted: what is left is found by walking.
  const data::Entry* found = nullptr;
  context.keyspace.for_each([&](const data::Entry& entry) {
    if (!found && is_live(entry, context.clock)) found = &entry;
  });
  return found;
}

}  // namespace

void keys(DataContext& context) {
  Filter filter;
  set_pattern(filter, context.args[1]);
  std::vector<std::string_view> found;
  context.keyspace.for_each([&](const data::Entry& entry) {
    if (filter.accepts(entry, context.clock)) found.push_back(Keyspace::key_of(entry));
  });
  reply_keys(context.reply, found);
}

void scan(DataContext& context) {
  const std::optional<uint64_t> cursor = parse_cursor(context.args[1]);
  if (!cursor) return context.reply.error("ERR invalid cursor");
  const std::optional<ScanOptions> options = scan_options_or_reply(context);
  if (!options) return;
  const size_t count = static_cast<size_t>(
      std::min(options->count, static_cast<int64_t>(context.keyspace.size()) + 1));
  std::vector<std::string_view> found;
  const uint64_t next = context.keyspace.scan(*cursor, count, [&](const data::Entry& entry) {
    if (options->filter.accepts(entry, context.clock)) found.push_back(Keyspace::key_of(entry));
  });
  context.reply.array(2);
  context.reply.bulk(std::to_string(next));
  reply_keys(context.reply, found);
}

void randomkey(DataContext& context) {
  const data::Entry* entry = draw_live(context);
  if (!entry) return context.reply.null();
  context.reply.bulk(Keyspace::key_of(*entry));
}

// As in Redis, keys that are due count until they are deleted, which the leader does at once.
void dbsize(DataContext& context) {
  context.reply.integer(static_cast<int64_t>(context.keyspace.size()));
}

}  // namespace raftkv::server::generic
