// LCS: the longest common subsequence of two strings, by dynamic programming.

#include <algorithm>
#include <vector>

#include "server/command/args.h"
#include "server/command/strings.h"

namespace raftkv::server::strings {
namespace {

struct LcsOptions {
  bool length_only = false;
  bool ranges = false;
  bool with_length = false;
  int64_t length_min = 0;  // of a range that is told
};

// Empty after an error reply.
std::optional<LcsOptions> parse_or_reply(DataContext& context) {
  LcsOptions options;
  const Args words = context.args.subspan(3);
  for (size_t i = 0; i < words.size(); ++i) {
    if (same_word(words[i], "IDX")) {
      options.ranges = true;
    } else if (same_word(words[i], "LEN")) {
      options.length_only = true;
    } else if (same_word(words[i], "WITHMATCHLEN")) {
      options.with_length = true;
    } else if (same_word(words[i], "MINMATCHLEN") && i + 1 < words.size()) {
      const std::optional<int64_t> length = integer_or_reply(context, words[++i]);
      if (!length) return std::nullopt;
      options.length_min = std::max<int64_t>(*length, 0);
    } else {
      context.reply.error(kSyntaxError);
      return std::nullopt;
    }
  }
  if (!options.ranges || !options.length_only) return options;
  context.reply.error("ERR If you want both the length and indexes, please just use IDX.");
  return std::nullopt;
}

// For each pair of beginnings of a and b the length of their longest common subsequence.
class Table {
 public:
  Table(std::string_view a, std::string_view b)
      : width_(b.size() + 1), cells_((a.size() + 1) * width_) {
    for (size_t i = 1; i <= a.size(); ++i) {
      for (size_t j = 1; j <= b.size(); ++j) {
        cells_[i * width_ + j] =
            a[i - 1] == b[j - 1] ? at(i - 1, j - 1) + 1 : std::max(at(i - 1, j), at(i, j - 1));
      }
    }
  }

  static uint64_t bytes(std::string_view a, std::string_view b) {
    return (a.size() + 1) * (b.size() + 1) * sizeof(uint32_t);
  }

  uint32_t at(size_t i, size_t j) const { return cells_[i * width_ + j]; }

 private:
  size_t width_;
  std::vector<uint32_t> cells_;
};

// A run of equal bytes: a[a_first .. a_first + length) and b[b_first .. b_first + length).
struct Run {
  size_t a_first = 0;
  size_t b_first = 0;
  size_t length = 0;
};

// The runs that make up the subsequence, from the last to the first. Where two ways are equally
// long, it is b that gives way, as in Redis.
std::vector<Run> find_runs(const Table& table, std::string_view a, std::string_view b) {
  std::vector<Run> runs;
  bool open = false;  // the byte before the last run's first may belong to it, too
  size_t i = a.size();
  size_t j = b.size();
  while (i > 0 && j > 0) {
    if (a[i - 1] == b[j - 1]) {
      if (!open) runs.push_back({i, j, 0});
      open = true;
      --i;
      --j;
      runs.back() = {i, j, runs.back().length + 1};
    } else {
      open = false;
      if (table.at(i - 1, j) > table.at(i, j - 1)) {
        --i;
      } else {
        --j;
      }
    }
  }
  return runs;
}

void reply_range(resp::ReplyWriter& reply, size_t first, size_t length) {
  reply.array(2);
  reply.integer(static_cast<int64_t>(first));
  reply.integer(static_cast<int64_t>(first + length - 1));
}

void reply_runs(DataContext& context, std::vector<Run> runs, uint32_t total,
                const LcsOptions& options) {
  std::erase_if(
      runs, [&](const Run& run) { return static_cast<int64_t>(run.length) < options.length_min; });
  resp::ReplyWriter& reply = context.reply;
  reply.map(2);
  reply.bulk("matches");
  reply.array(runs.size());
  for (const Run& run : runs) {
    reply.array(options.with_length ? 3 : 2);
    reply_range(reply, run.a_first, run.length);
    reply_range(reply, run.b_first, run.length);
    if (options.with_length) reply.integer(static_cast<int64_t>(run.length));
  }
  reply.bulk("len");
  reply.integer(total);
}

}  // namespace

void lcs(DataContext& context) {
  const data::Entry* entries[] = {lookup_read(context, context.args[1]),
                                  lookup_read(context, context.args[2])};
  std::string_view values[2];
  data::IntBuffer buffers[2];
  for (int i = 0; i < 2; ++i) {
    if (!entries[i]) continue;
    if (data::Keyspace::type_of(*entries[i]) != data::Type::kString) {
      return context.reply.error("ERR The specified keys must contain string values");
    }
    values[i] = data::Keyspace::string_of(*entries[i], buffers[i]);
  }
  const std::optional<LcsOptions> options = parse_or_reply(context);
  if (!options) return;
  const auto [a, b] = values;
  if (Table::bytes(a, b) > static_cast<uint64_t>(kStringBytesMax)) {
    return context.reply.error(
        "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
  }
  const Table table(a, b);
  const uint32_t total = table.at(a.size(), b.size());
  if (options->length_only) return context.reply.integer(total);
  const std::vector<Run> runs = find_runs(table, a, b);
  if (options->ranges) return reply_runs(context, runs, total, *options);
  std::string result;
  result.reserve(total);
  for (size_t i = runs.size(); i-- > 0;) result.append(a.substr(runs[i].a_first, runs[i].length));
  context.reply.bulk(result);
}

}  // namespace raftkv::server::strings
