#include "server/command/glob.h"

#include <algorithm>

namespace raftkv::server {
namespace {

class Matcher {
 public:
  Matcher(std::string_view pattern, Case letters) : pattern_(pattern), letters_(letters) {}

  bool matches(std::string_view text) {
    if (text.empty()) return pattern_.empty();
    // Where the last '*' was met. When what follows it does not fit, the star takes one byte more;
    // an earlier star never needs to, since the later one could have taken the same bytes.
    size_t star_at = std::string_view::npos;
    size_t star_text = 0;
    size_t at = 0;
    for (size_t i = 0; i < text.size();) {
      if (at < pattern_.size() && pattern_[at] == '*') {
        star_at = ++at;
        star_text = i;
        if (at == pattern_.size()) return true;
      } else if (at < pattern_.size() && element_matches(at, text[i])) {
        ++i;
      } else if (star_at != std::string_view::npos) {
        i = ++star_text;
        at = star_at;
      } else {
        return false;
      }
    }
    return pattern_.find_first_not_of('*', at) == std::string_view::npos;
  }

 private:
  signed char fold(char c) const {
    const bool upper = letters_ == Case::kIgnored && c >= 'A' && c <= 'Z';
    return static_cast<signed char>(upper ? c - 'A' + 'a' : c);
  }

  // Matches the element that begins at `at` against one byte, and moves `at` behind it.
  bool element_matches(size_t& at, char c) const {
    const char first = pattern_[at++];
    if (first == '?') return true;
    if (first == '[') return class_matches(at, fold(c));
    if (first == '\\' && at < pattern_.size()) return fold(pattern_[at++]) == fold(c);
    return fold(first) == fold(c);
  }

  // `at` is behind the '['.
  bool class_matches(size_t& at, signed char c) const {
    const bool negated = at < pattern_.size() && pattern_[at] == '^';
    if (negated) ++at;
    bool found = false;
    while (at < pattern_.size() && pattern_[at] != ']') {
      const size_t left = pattern_.size() - at;
      if (pattern_[at] == '\\' && left >= 2) {
        found |= fold(pattern_[at + 1]) == c;
        at += 2;
      } else if (left >= 3 && pattern_[at + 1] == '-') {
        const auto [low, high] = std::minmax({fold(pattern_[at]), fold(pattern_[at + 2])});
        found |= low <= c && c <= high;
        at += 3;
      } else {
        found |= fold(pattern_[at]) == c;
        ++at;
      }
    }
    if (at < pattern_.size()) ++at;
    return found != negated;
  }

  std::string_view pattern_;
  Case letters_;
};

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text, Case letters) {
  return Matcher(pattern, letters).matches(text);
}

}  // namespace raftkv::server
