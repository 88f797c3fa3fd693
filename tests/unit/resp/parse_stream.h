// Feeds a stream to a parser in pieces, as a connection would, and says what came out.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "resp/request_parser.h"

namespace raftkv::resp {

using Request = std::vector<std::string>;

struct Parsed {
  std::vector<Request> requests;
  std::string error;    // empty: none
  size_t leftover = 0;  // bytes not consumed at the end

  bool operator==(const Parsed&) const = default;
};

// A reader with a buffer. Each piece moves the unconsumed bytes to a new address, and the old copy
// is overwritten, so that a parser which held on to the old one is caught.
class StreamReader {
 public:
  explicit StreamReader(ParserLimits limits = {}) : parser_(limits) {}

  RequestParser& parser() { return parser_; }
  const Parsed& parsed() const { return parsed_; }

  void feed(std::string_view piece) {
    if (!parsed_.error.empty()) return;
    std::string moved = buffer_ + std::string(piece);
    buffer_.assign(buffer_.size(), '#');
    buffer_ = std::move(moved);
    parse_all();
    parsed_.leftover = buffer_.size();
  }

 private:
  void parse_all() {
    for (;;) {
      const ParseStatus status = parser_.parse(buffer_);
      ASSERT_LE(parser_.consumed(), buffer_.size());
      if (status == ParseStatus::kError) {
        parsed_.error = parser_.error();
        return;
      }
      if (status == ParseStatus::kRequest) {
        parsed_.requests.emplace_back(parser_.args().begin(), parser_.args().end());
        ASSERT_FALSE(parsed_.requests.back().empty());
      }
      buffer_.erase(0, parser_.consumed());
      if (status == ParseStatus::kNeedMore) {
        ASSERT_GE(parser_.bytes_needed(), 1U);
        return;
      }
    }
  }

  RequestParser parser_;
  std::string buffer_;
  Parsed parsed_;
};

inline Parsed parse_whole(std::string_view stream, ParserLimits limits = {}) {
  StreamReader reader(limits);
  reader.feed(stream);
  return reader.parsed();
}

inline Parsed parse_bytewise(std::string_view stream, ParserLimits limits = {}) {
  StreamReader reader(limits);
  for (size_t i = 0; i < stream.size(); ++i) reader.feed(stream.substr(i, 1));
  return reader.parsed();
}

inline std::string multibulk(const Request& args) {
  std::string out = "*" + std::to_string(args.size()) + "\r\n";
  for (const auto& arg : args) {
    out += "$" + std::to_string(arg.size()) + "\r\n";
    out += arg;
    out += "\r\n";
  }
  return out;
}

}  // namespace raftkv::resp
