// Requests of the Redis protocol, multibulk ("*2\r\n$3\r\nGET\r\n...") and inline ("GET x\r\n"), from
// a byte stream that may be cut anywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace raftkv::resp {

// Redis's own limits and their defaults.
struct ParserLimits {
  size_t inline_bytes_max = 64 * 1024;             // an inline request, and a line of a header
  int64_t args_max = 1024 * 1024;                  // arguments in one request
  int64_t bulk_bytes_max = 512LL * 1024 * 1024;    // one argument (proto-max-bulk-len)
  size_t request_bytes_max = size_t{1} << 30;      // a whole request
};

enum class ParseStatus : uint8_t {
  kNeedMore,  // nothing wrong, the request is not complete
  kRequest,   // args() holds a request; an empty one (an empty line, "*0") is skipped by the parser
  kError,     // error() is the reply without '-' and CRLF; the connection is beyond repair
};

// Pure and not thread-safe. Never looks at a byte twice, however the stream is cut: keep the bytes it
// has not consumed, append what arrives, and call again.
class RequestParser {
 public:
  explicit RequestParser(ParserLimits limits = {});

  // `buffer` begins with the first byte not yet consumed, i.e. with the same bytes as at the last
  // call if that ended with kNeedMore (their address may have changed).
  ParseStatus parse(std::string_view buffer);

  // After kRequest: views into the buffer given to parse() (inline requests with quotes or escapes:
  // into the parser). Valid until the next call or until the buffer changes.
  const std::vector<std::string_view>& args() const { return args_; }
  // Bytes of `buffer` that are done with: the request and empty ones before it. Drop them before the
  // next call. After kNeedMore: empty requests only (may be more than 0).
  size_t consumed() const { return consumed_; }
  // After kNeedMore: how many bytes beyond the buffer are surely needed, at least 1 (a reader may
  // make room for a large argument at once).
  size_t bytes_needed() const { return bytes_needed_; }
  // After kError, e.g. "ERR Protocol error: invalid bulk length".
  const std::string& error() const { return error_; }

 private:
  ParserLimits limits_;
  std::vector<std::string_view> args_;
  size_t consumed_ = 0;
  size_t bytes_needed_ = 1;
  std::string error_;
};

}  // namespace raftkv::resp
