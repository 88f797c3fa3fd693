// A keyspace that commands are run on at times a test chooses, and replies in a form to read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/command/command.h"

namespace raftkv::test {

// Replies in one line: OK, 1, 'text', nil, -ERR ..., [a, b] for arrays, (a, b) for sets, {k: v} for
// maps. Anything malformed reads as "malformed".
inline std::string read_reply(std::string_view& bytes) {
  const size_t end = bytes.find("\r\n");
  if (end == std::string_view::npos) return "malformed";
  const char mark = bytes[0];
  std::string text(bytes.substr(1, end - 1));
  bytes.remove_prefix(end + 2);
  const auto list = [&](size_t count, std::string_view brackets) {
    std::string out(1, brackets[0]);
    for (size_t i = 0; i < count; ++i) {
      if (i > 0) out += mark == '%' && i % 2 == 1 ? ": " : ", ";
      out += read_reply(bytes);
    }
    return out + brackets[1];
  };
  switch (mark) {
    case '+':
    case ':':
      return text;
    case '-':
      return "-" + text;
    case '_':
      return "nil";
    case '$': {
      if (text == "-1") return "nil";
      const size_t size = std::stoul(text);
      if (bytes.size() < size + 2 || bytes.substr(size, 2) != "\r\n") return "malformed";
      const std::string body(bytes.substr(0, size));
      bytes.remove_prefix(size + 2);
      return "'" + body + "'";
    }
    case '*':
      return text == "-1" ? "nil" : list(std::stoul(text), "[]");
    case '~':
      return list(std::stoul(text), "()");
    case '%':
      return list(2 * std::stoul(text), "{}");
    default:
      return "malformed";
  }
}

inline std::string readable(std::string_view bytes) {
  if (bytes.empty()) return "";
  const std::string one = read_reply(bytes);
  return bytes.empty() ? one : "malformed";
}

inline std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (end > 0) words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

class DataWorld {
 public:
  explicit DataWorld(uint64_t hash_seed = 1) : keyspace(hash_seed) {}

  data::Keyspace keyspace;
  data::TimeMs now = 1'700'000'000'000;
  data::TimeMs unsettled_ms = 0;  // how far a read's clock is ahead of the log's
  resp::Protocol protocol = resp::Protocol::kResp2;

  // Of the last command.
  bool unsettled = false;
  uint64_t hits = 0;
  uint64_t misses = 0;

  // The reply's bytes, as a session gives them.
  std::string run_bytes(const std::vector<std::string>& words) {
    std::vector<std::string_view> args(words.begin(), words.end());
    std::string bytes;
    resp::ReplyWriter reply(bytes, protocol);
    const server::CommandSpec* spec = nullptr;
    const std::string error =
        server::CommandTable::instance().admission_error(server::Args(args), &spec);
    if (!error.empty()) {
      reply.error(error);
      return bytes;
    }
    if (!spec->is_data()) return "not a data command";
    data::Clock clock = data::Clock::at(now);
    if (!spec->is_write()) clock.settled -= unsettled_ms;
    server::DataContext context{keyspace, clock, server::Args(args), reply};
    spec->data(context);
    unsettled = context.clock.unsettled;
    hits = context.keyspace_hits;
    misses = context.keyspace_misses;
    return bytes;
  }

  std::string call(const std::vector<std::string>& words) { return readable(run_bytes(words)); }
  // Words separated by spaces.
  std::string run(std::string_view line) { return call(split_words(line)); }
  std::string run(const char* line) { return run(std::string_view(line)); }

  data::Keyspace::Digest digest() const { return keyspace.digest(now); }
};

}  // namespace raftkv::test
