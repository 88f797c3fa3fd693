#include "resp/request_parser.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "resp/inline_request.h"

namespace raftkv::resp {
namespace {

// Kept between requests; more than this is given back, or a connection that once sent a huge
// request would hold its vectors for ever.
constexpr size_t kKeptArgs = 1024;
constexpr size_t kKeptUnquotedBytes = 4096;

// What Redis grants to a client that has yet to authenticate.
constexpr int64_t kUnauthenticatedArgsMax = 10;
constexpr int64_t kUnauthenticatedBulkBytesMax = 16384;

constexpr size_t kCrlf = 2;

}  // namespace

ParseStatus RequestParser::parse(std::string_view buffer) {
  if (stage_ == Stage::kFailed) return ParseStatus::kError;
  consumed_ = 0;
  for (;;) {
    const std::string_view request = buffer.substr(consumed_);
    if (stage_ == Stage::kStart) {
      if (request.empty()) {
        bytes_needed_ = 1;
        return ParseStatus::kNeedMore;
      }
      begin_request(request.front());
    }
    const ParseStatus status =
        stage_ == Stage::kInline ? parse_inline(request) : parse_multibulk(request);
    if (status != ParseStatus::kRequest) return status;
    consumed_ += cursor_;
    stage_ = Stage::kStart;
    if (!args_.empty()) return ParseStatus::kRequest;
  }
}

void RequestParser::begin_request(char first) {
  release_large_buffers();
  args_.clear();
  spans_.clear();
  line_start_ = 0;
  if (first == '*') {
    stage_ = Stage::kCount;
    cursor_ = 1;
    number_ = {};
  } else {
    stage_ = Stage::kInline;
    cursor_ = 0;
  }
}

void RequestParser::release_large_buffers() {
  if (args_.capacity() > kKeptArgs) std::vector<std::string_view>().swap(args_);
  if (spans_.capacity() > kKeptArgs) std::vector<Span>().swap(spans_);
  if (unquoted_.capacity() > kKeptUnquotedBytes) std::string().swap(unquoted_);
}

ParseStatus RequestParser::parse_inline(std::string_view request) {
  // One byte beyond the limit is enough to know that the line is too long, so that a long line is
  // refused whether or not its end has already arrived.
  const size_t visible =
      request.size() > limits_.inline_bytes_max ? limits_.inline_bytes_max + 1 : request.size();
  const void* found = std::memchr(request.data() + cursor_, '\n', visible - cursor_);
  if (found == nullptr) {
    cursor_ = visible;
    if (visible > limits_.inline_bytes_max) return fail("too big inline request");
    bytes_needed_ = 1;
    return ParseStatus::kNeedMore;
  }
  const size_t newline = static_cast<size_t>(static_cast<const char*>(found) - request.data());
  std::string_view line = request.substr(0, newline);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (!split_inline(line, args_, unquoted_)) return fail("unbalanced quotes in request");
  cursor_ = newline + 1;
  return ParseStatus::kRequest;
}

ParseStatus RequestParser::parse_multibulk(std::string_view request) {
  if (stage_ == Stage::kCount) {
    const ParseStatus status = read_count(request);
    if (status != ParseStatus::kRequest) return status;
  }
  while (args_left_ > 0) {
    if (stage_ != Stage::kBulkBytes) {
      const ParseStatus status = read_bulk_length(request);
      if (status != ParseStatus::kRequest) return status;
    }
    const size_t arrived = request.size() - cursor_;
    if (arrived < bulk_size_ + kCrlf) {
      bytes_needed_ = bulk_size_ + kCrlf - arrived;
      return ParseStatus::kNeedMore;
    }
    // Like Redis, we don't insist that the two bytes behind an argument are CR and LF.
    spans_.push_back({.offset = cursor_, .size = bulk_size_});
    cursor_ += bulk_size_ + kCrlf;
    --args_left_;
    stage_ = Stage::kBulkMark;
  }
  lend_args(request);
  return ParseStatus::kRequest;
}

ParseStatus RequestParser::read_count(std::string_view request) {
  const ParseStatus status = read_number(request, "too big mbulk count string");
  if (status != ParseStatus::kRequest) return status;
  const auto count = number_.value();
  if (!count || *count > limits_.args_max) return fail("invalid multibulk length");
  if (unauthenticated_ && *count > kUnauthenticatedArgsMax) {
    return fail("unauthenticated multibulk length");
  }
  args_left_ = *count;
  stage_ = Stage::kBulkMark;
  return ParseStatus::kRequest;
}

ParseStatus RequestParser::read_bulk_length(std::string_view request) {
  if (stage_ == Stage::kBulkMark) {
    if (cursor_ == request.size()) {
      bytes_needed_ = 1;
      return ParseStatus::kNeedMore;
    }
    const char mark = request[cursor_];
    if (mark != '$') {
      const bool breaks_line = mark == '\r' || mark == '\n';
      return fail(std::string("expected '$', got '") + (breaks_line ? ' ' : mark) + "'");
    }
    line_start_ = cursor_++;
    number_ = {};
    stage_ = Stage::kBulkLength;
  }
  const ParseStatus status = read_number(request, "too big bulk count string");
  if (status != ParseStatus::kRequest) return status;
  const auto size = number_.value();
  if (!size || *size < 0 || *size > limits_.bulk_bytes_max) return fail("invalid bulk length");
  if (unauthenticated_ && *size > kUnauthenticatedBulkBytesMax) {
    return fail("unauthenticated bulk length");
  }
  bulk_size_ = static_cast<size_t>(*size);
  // Subtractions only: a limit near SIZE_MAX must not wrap.
  if (cursor_ > limits_.request_bytes_max || limits_.request_bytes_max - cursor_ < kCrlf ||
      limits_.request_bytes_max - cursor_ - kCrlf < bulk_size_) {
    return fail_request_too_large();
  }
  stage_ = Stage::kBulkBytes;
  return ParseStatus::kRequest;
}

// Adds the bytes from cursor_ to the end of the line to number_. kRequest: the line is complete and
// cursor_ stands behind it.
ParseStatus RequestParser::read_number(std::string_view request, std::string_view too_long) {
  if (const size_t line = number_.read_short(request.substr(cursor_)); line > 0) {
    cursor_ += line;
    return ParseStatus::kRequest;
  }
  LineNumber number = number_;
  size_t at = cursor_;
  const size_t size = request.size();
  while (at < size && request[at] != '\r') number.add(request[at++]);
  number_ = number;
  cursor_ = at;
  if (at - line_start_ > limits_.inline_bytes_max) return fail(too_long);
  if (size - at < kCrlf) {
    bytes_needed_ = kCrlf - (size - at);
    return ParseStatus::kNeedMore;
  }
  cursor_ = at + kCrlf;
  return ParseStatus::kRequest;
}

ParseStatus RequestParser::fail(std::string_view what) {
  stage_ = Stage::kFailed;
  error_ = "ERR Protocol error: ";
  error_ += what;
  return ParseStatus::kError;
}

ParseStatus RequestParser::fail_request_too_large() {
  return fail("request of more than " + std::to_string(limits_.request_bytes_max) +
              " bytes, send it as several smaller requests");
}

void RequestParser::lend_args(std::string_view request) {
  args_.resize(spans_.size());
  std::transform(spans_.begin(), spans_.end(), args_.begin(), [request](Span span) {
    return std::string_view(request.data() + span.offset, span.size);
  });
}

}  // namespace raftkv::resp
