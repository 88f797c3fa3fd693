// Strings as bytes: whole, in part, and growing.

#include <algorithm>

#include "server/command/args.h"
#include "server/command/strings.h"

namespace raftkv::server::strings {
namespace {

using data::Keyspace;

// True if a string of `length` bytes at `offset` stays within the limit. Else replies with the
// error.
bool room_or_reply(DataContext& context, int64_t offset, size_t length) {
  // Neither side can overflow: an argument is no longer than the limit itself.
  if (static_cast<int64_t>(length) <= kStringBytesMax &&
      offset <= kStringBytesMax - static_cast<int64_t>(length)) {
    return true;
  }
  context.reply.error(kStringTooLong);
  return false;
}

// The part of a string of `size` bytes that GETRANGE start end means; negative places count from
// the end. Places far outside are cut, not refused.
struct Slice {
  size_t first = 0;
  size_t count = 0;
};

Slice slice_of(int64_t size, int64_t start, int64_t end) {
  if (start < 0 && end < 0 && start > end) return {};
  if (start < 0) start = std::max<int64_t>(start + size, 0);
  if (end < 0) end = std::max<int64_t>(end + size, 0);
  end = std::min(end, size - 1);
  if (start > end) return {};
  return {static_cast<size_t>(start), static_cast<size_t>(end - start + 1)};
}

}  // namespace

void reply_value(DataContext& context, const data::Entry* entry) {
  if (!entry) return context.reply.null();
  data::IntBuffer buffer;
  context.reply.bulk(Keyspace::string_of(*entry, buffer));
}

void get(DataContext& context) {
  const data::Entry* entry = lookup_read(context, context.args[1]);
  if (string_or_reply(context, entry)) reply_value(context, entry);
}

void getdel(DataContext& context) {
  const data::Entry* entry = lookup_read(context, context.args[1]);
  if (!string_or_reply(context, entry)) return;
  reply_value(context, entry);
  if (entry) context.keyspace.erase(context.args[1]);
}

// A key of another type is answered as if it were absent, unlike GET.
void mget(DataContext& context) {
  context.keyspace.prefetch(context.args.subspan(1));
  context.reply.array(context.args.size() - 1);
  for (const std::string_view key : context.args.subspan(1)) {
    const data::Entry* entry = lookup_read(context, key);
    const bool string = entry && Keyspace::type_of(*entry) == data::Type::kString;
    reply_value(context, string ? entry : nullptr);
  }
}

void strlen(DataContext& context) {
  const data::Entry* entry = lookup_read(context, context.args[1]);
  if (!string_or_reply(context, entry)) return;
  context.reply.integer(entry ? static_cast<int64_t>(Keyspace::string_length(*entry)) : 0);
}

void getrange(DataContext& context) {
  const auto start = integer_or_reply(context, context.args[2]);
  if (!start) return;
  const auto end = integer_or_reply(context, context.args[3]);
  if (!end) return;
  const data::Entry* entry = lookup_read(context, context.args[1]);
  if (!entry) return context.reply.bulk("");
  if (!string_or_reply(context, entry)) return;
  data::IntBuffer buffer;
  const std::string_view value = Keyspace::string_of(*entry, buffer);
  const Slice slice = slice_of(static_cast<int64_t>(value.size()), *start, *end);
  context.reply.bulk(value.substr(slice.first, slice.count));
}

void setrange(DataContext& context) {
  const std::string_view key = context.args[1];
  const std::string_view bytes = context.args[3];
  const auto offset = integer_or_reply(context, context.args[2]);
  if (!offset) return;
  if (*offset < 0) return context.reply.error("ERR offset is out of range");
  const data::Entry* entry = lookup_write(context, key);
  if (!string_or_reply(context, entry)) return;
  if (bytes.empty()) {
    // Nothing is written, so nothing is created or padded either.
    return context.reply.integer(entry ? static_cast<int64_t>(Keyspace::string_length(*entry)) : 0);
  }
  if (!room_or_reply(context, *offset, bytes.size())) return;
  const size_t length = context.keyspace.write_range(key, static_cast<size_t>(*offset), bytes);
  context.reply.integer(static_cast<int64_t>(length));
}

void append(DataContext& context) {
  const std::string_view key = context.args[1];
  const std::string_view bytes = context.args[2];
  const data::Entry* entry = lookup_write(context, key);
  if (!string_or_reply(context, entry)) return;
  if (!entry) {
    context.keyspace.set_string(key, bytes);
    return context.reply.integer(static_cast<int64_t>(bytes.size()));
  }
  const size_t old_length = Keyspace::string_length(*entry);
  if (!room_or_reply(context, static_cast<int64_t>(old_length), bytes.size())) return;
  const size_t length = context.keyspace.write_range(key, old_length, bytes);
  context.reply.integer(static_cast<int64_t>(length));
}

}  // namespace raftkv::server::strings
