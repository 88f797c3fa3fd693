#include "resp/inline_request.h"

#include <optional>

namespace raftkv::resp {
namespace {

// Between arguments Redis skips all of C's white space, but only these four end a bare word.
bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
bool ends_word(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

char unescape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

// Reads one argument of a line that has quotes.
class QuotedReader {
 public:
  QuotedReader(std::string_view line, std::string& storage) : rest_(line), storage_(storage) {}

  bool skip_spaces() {
    while (!rest_.empty() && is_space(rest_.front())) rest_.remove_prefix(1);
    return !rest_.empty();
  }

  // One argument, appended to the storage. A quote may open in the middle of a word (a"b c"), and
  // its end is the end of the argument.
  bool read_argument() {
    while (!rest_.empty() && !ends_word(rest_.front())) {
      const char c = take();
      if (c == '"') return read_double_quoted() && at_boundary();
      if (c == '\'') return read_single_quoted() && at_boundary();
      storage_.push_back(c);
    }
    return true;
  }

 private:
  char take() {
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }

  bool at_boundary() const { return rest_.empty() || is_space(rest_.front()); }

  bool read_double_quoted() {
    while (!rest_.empty()) {
      const char c = take();
      if (c == '"') return true;
      if (c == '\\' && !rest_.empty()) {
        read_escape();
      } else {
        storage_.push_back(c);
      }
    }
    return false;
  }

  void read_escape() {
    if (rest_.size() >= 3 && rest_.front() == 'x') {
      const auto high = hex_digit(rest_[1]);
      const auto low = hex_digit(rest_[2]);
      if (high && low) {
        storage_.push_back(static_cast<char>(*high * 16 + *low));
        rest_.remove_prefix(3);
        return;
      }
    }
    storage_.push_back(unescape(take()));
  }

  bool read_single_quoted() {
    while (!rest_.empty()) {
      const char c = take();
      if (c == '\'') return true;
      if (c == '\\' && rest_.starts_with('\'')) {
        storage_.push_back(take());
      } else {
        storage_.push_back(c);
      }
    }
    return false;
  }

  std::string_view rest_;
  std::string& storage_;
};

void split_bare(std::string_view line, std::vector<std::string_view>& args) {
  size_t at = 0;
  for (;;) {
    while (at < line.size() && is_space(line[at])) ++at;
    if (at == line.size()) return;
    const size_t start = at;
    while (at < line.size() && !ends_word(line[at])) ++at;
    args.push_back(line.substr(start, at - start));
  }
}

}  // namespace

bool split_inline(std::string_view line, std::vector<std::string_view>& args,
                  std::string& storage) {
  if (line.find_first_of("\"'") == std::string_view::npos) {
    split_bare(line, args);
    return true;
  }
  // Unquoting never makes an argument longer, so the storage stays where it is while views into it
  // are handed out.
  storage.clear();
  storage.reserve(line.size());
  QuotedReader reader(line, storage);
  while (reader.skip_spaces()) {
    const size_t start = storage.size();
    if (!reader.read_argument()) return false;
    args.push_back(std::string_view(storage).substr(start));
  }
  return true;
}

}  // namespace raftkv::resp
