#include "resp/translate_reply.h"

#include <charconv>
#include <cstdio>
#include <cstdlib>

namespace raftkv::resp {
namespace {

constexpr std::string_view kCrlf = "\r\n";
constexpr size_t kVerbatimPrefix = 4;  // "txt:"

[[noreturn]] void refuse(const char* why) {
  std::fprintf(stderr, "translate_reply: %s\n", why);
  std::abort();
}

// Walks over replies token by token: an aggregate's header is a token, and so is each of its parts.
class Tokens {
 public:
  explicit Tokens(std::string_view bytes) : rest_(bytes) {}

  bool done() const { return rest_.empty(); }

  // The next line with its mark, without its end.
  std::string_view line() {
    const size_t end = rest_.find(kCrlf);
    if (end == std::string_view::npos || end == 0) refuse("a line without an end, or empty");
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end + kCrlf.size());
    return line;
  }

  // The bytes behind a line that announced them.
  std::string_view bytes(size_t size) {
    if (rest_.size() < size + kCrlf.size()) refuse("a string that is cut off");
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size + kCrlf.size());
    return bytes;
  }

 private:
  std::string_view rest_;
};

int64_t number_of(std::string_view line) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(line.data() + 1, line.data() + line.size(), value);
  if (error != std::errc() || end != line.data() + line.size()) refuse("a length is no number");
  return value;
}

void string_token(std::string_view line, Tokens& tokens, ReplyWriter& writer) {
  const int64_t size = number_of(line);
  if (size < 0) return writer.null();
  writer.bulk(tokens.bytes(static_cast<size_t>(size)));
}

void verbatim_token(std::string_view line, Tokens& tokens, ReplyWriter& writer) {
  const int64_t size = number_of(line);
  if (size < static_cast<int64_t>(kVerbatimPrefix)) refuse("a verbatim string without a format");
  const std::string_view bytes = tokens.bytes(static_cast<size_t>(size));
  writer.verbatim(bytes.substr(0, kVerbatimPrefix - 1), bytes.substr(kVerbatimPrefix));
}

void token(std::string_view line, Tokens& tokens, ReplyWriter& writer) {
  const auto count = [line] { return static_cast<size_t>(number_of(line)); };
  switch (line.front()) {
    case '+':
    case '-':
    case ':':
      writer.buffer().append(line).append(kCrlf);
      return;
    case '$':
      return string_token(line, tokens, writer);
    case '=':
      return verbatim_token(line, tokens, writer);
    case '*':
      return number_of(line) < 0 ? writer.null_array() : writer.array(count());
    case '%':
      return writer.map(count());
    case '~':
      return writer.set(count());
    case '>':
      return writer.push(count());
    case '_':
      return writer.null();
    case '#':
      return writer.boolean(line == "#t");
    case ',':  // written for RESP2 only, whose doubles are strings
    case '(':
      return writer.bulk(line.substr(1));
    default:
      refuse("a reply of an unknown type");
  }
}

}  // namespace

void translate_reply(std::string_view reply, Protocol from, Protocol to, std::string& out) {
  if (from == to) {
    out.append(reply);
    return;
  }
  ReplyWriter writer(out, to);
  for (Tokens tokens(reply); !tokens.done();) token(tokens.line(), tokens, writer);
}

}  // namespace raftkv::resp
