// Requests of the Redis protocol, multibulk ("*2\r\n$3\r\nGET\r\n...") and inline ("GET x\r\n"),
// from a byte stream that may be cut anywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "resp/line_number.h"

namespace raftkv::resp {

// Redis's own limits and their defaults. Only args_max is stricter than Redis 7, which allows 2^31
// - 1: an argument costs us 32 bytes beside its own, so that count alone would be worth gigabytes.
struct ParserLimits {
  size_t inline_bytes_max = 64 * 1024;           // an inline request, and a line of a header
  int64_t args_max = 1024 * 1024;                // arguments in one request
  int64_t bulk_bytes_max = 512LL * 1024 * 1024;  // one argument (proto-max-bulk-len)
  size_t request_bytes_max = size_t{1} << 30;    // a whole multibulk request
};

enum class ParseStatus : uint8_t {
  kNeedMore,  // nothing wrong, the request is not complete
  kRequest,   // args() holds a request; an empty one (an empty line, "*0") is skipped by the parser
  kError,     // error() is the reply without '-' and CRLF; the connection is beyond repair
};

// Pure and not thread-safe. Never scans a byte twice, however the stream is cut: keep the bytes it
// has not consumed, append what arrives, and call again. What it says does not depend on where the
// stream is cut. Reserves nothing for what a client only announces.
class RequestParser {
 public:
  explicit RequestParser(ParserLimits limits = {}) : limits_(limits) {}

  // `buffer` begins with the first byte not yet consumed, i.e. with the same bytes as at the last
  // call if that ended with kNeedMore (their address may have changed).
  // After kError every call returns kError.
  ParseStatus parse(std::string_view buffer);

  // After kRequest: views into the buffer given to parse() (inline requests with quotes or escapes:
  // into the parser). Valid until the next call, until the buffer changes or the parser is moved.
  const std::vector<std::string_view>& args() const { return args_; }
  // Bytes of `buffer` that are done with: the request and empty ones before it. Drop them before
  // the next call. After kNeedMore: empty requests only (may be more than 0).
  size_t consumed() const { return consumed_; }
  // After kNeedMore: how many bytes beyond the buffer are surely needed, at least 1 (a reader may
  // make room for a large argument at once). It is only what the client announced, up to
  // bulk_bytes_max: cap it by what one connection may cost before a byte of it has arrived.
  size_t bytes_needed() const { return bytes_needed_; }
  // After kError, e.g. "ERR Protocol error: invalid bulk length". One line, whatever was received.
  const std::string& error() const { return error_; }

  // While true (from the first byte of a connection that has yet to authenticate), requests of more
  // than 10 arguments or with arguments of more than 16 KiB are refused, as Redis does.
  void set_unauthenticated(bool value) { unauthenticated_ = value; }
  // Counts from the next header that is read (CONFIG SET proto-max-bulk-len).
  void set_limits(const ParserLimits& limits) { limits_ = limits; }

 private:
  enum class Stage : uint8_t {
    kStart,
    kInline,
    kCount,
    kBulkMark,
    kBulkLength,
    kBulkBytes,
    kFailed
  };

  struct Span {
    size_t offset;  // from the first byte of the request: the buffer's address may change
    size_t size;
  };

  void begin_request(char first);
  void release_large_buffers();
  ParseStatus parse_inline(std::string_view request);
  ParseStatus parse_multibulk(std::string_view request);
  ParseStatus read_count(std::string_view request);
  ParseStatus read_bulk_length(std::string_view request);
  ParseStatus read_number(std::string_view request, std::string_view too_long);
  ParseStatus fail(std::string_view what);
  ParseStatus fail_request_too_large();
  void lend_args(std::string_view request);

  ParserLimits limits_;
  bool unauthenticated_ = false;
  Stage stage_ = Stage::kStart;

  // All offsets count from the first byte of the request in progress.
  size_t cursor_ = 0;      // everything before it is understood
  size_t line_start_ = 0;  // the header line being read begins here
  LineNumber number_;      // what that line says so far
  int64_t args_left_ = 0;
  size_t bulk_size_ = 0;
  std::vector<Span> spans_;

  std::vector<std::string_view> args_;
  std::string unquoted_;  // what args_ point to after an inline request with quotes
  size_t consumed_ = 0;
  size_t bytes_needed_ = 1;
  std::string error_;
};

}  // namespace raftkv::resp
