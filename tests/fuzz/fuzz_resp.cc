// The request parser on arbitrary bytes: it stays in its memory, what it says does not depend on
// how the stream is cut, and a request that is written out again parses to itself.
//
// Input: one byte that picks limits and the size of the pieces, then the stream.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "resp/reply_writer.h"
#include "resp/request_parser.h"
#include "tests/fuzz/seeds.h"

namespace {

using raftkv::fuzz::require;
using raftkv::resp::ParserLimits;
using raftkv::resp::ParseStatus;
using raftkv::resp::ReplyWriter;
using raftkv::resp::RequestParser;

struct Outcome {
  std::vector<std::vector<std::string>> requests;
  std::string error;
};

Outcome parse_in_pieces(std::string_view stream, size_t piece_size, ParserLimits limits) {
  RequestParser parser(limits);
  Outcome outcome;
  std::string buffer;
  while (!stream.empty()) {
    const std::string_view piece = stream.substr(0, piece_size);
    stream.remove_prefix(piece.size());
    // An exact copy at a new address: the sanitizer then sees every byte read too far or too late.
    buffer = std::string(buffer + std::string(piece));
    for (;;) {
      const ParseStatus status = parser.parse(buffer);
      if (status == ParseStatus::kError) {
        outcome.error = parser.error();
        require(outcome.error.starts_with("ERR Protocol error: "), "errors name their kind");
        require(outcome.error.find_first_of("\r\n") == std::string::npos, "an error is one line");
        return outcome;
      }
      require(parser.consumed() <= buffer.size(), "only what is there is consumed");
      if (status == ParseStatus::kRequest) {
        require(!parser.args().empty(), "empty requests are skipped");
        outcome.requests.emplace_back(parser.args().begin(), parser.args().end());
      }
      buffer.erase(0, parser.consumed());
      if (status == ParseStatus::kNeedMore) break;
    }
    require(parser.bytes_needed() >= 1, "an incomplete request needs more");
  }
  return outcome;
}

void check_round_trip(const Outcome& outcome) {
  std::string stream;
  ReplyWriter writer(stream);
  for (const auto& request : outcome.requests) {
    writer.array(request.size());
    for (const auto& arg : request) writer.bulk(arg);
  }
  const Outcome again = parse_in_pieces(stream, stream.size(), {});
  require(again.requests == outcome.requests && again.error.empty(),
          "a request that is written out parses to itself");
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  raftkv::fuzz::write_seeds_if_asked(
      *argc, *argv,
      {
          "\x05*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n",
          "\x81*2\r\n$3\r\nGET\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n",
          "\x03SET \"a b\" 'c d' \"\\x41\\n\\\"\" e\"f\"\r\nPING\n\r\n",
          "\x02*0\r\n*-1\r\n\r\n*1\r\n$4\r\nPING\r\n",
          "\x01*1\r\n$-1\r\n",
          "\x01*1048577\r\n",
          "\x81GET \"a\r\n",
      });
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ParserLimits small = {
      .inline_bytes_max = 24, .args_max = 6, .bulk_bytes_max = 40, .request_bytes_max = 120};
  const ParserLimits limits = (data[0] & 0x80) != 0 ? small : ParserLimits{};
  const size_t piece_size = 1 + (data[0] & 0x7f);
  const std::string stream(data + 1, data + size);

  const Outcome whole = parse_in_pieces(stream, std::max<size_t>(stream.size(), 1), limits);
  for (const size_t pieces_of : {size_t{1}, piece_size}) {
    const Outcome cut = parse_in_pieces(stream, pieces_of, limits);
    require(cut.requests == whole.requests && cut.error == whole.error,
            "what the parser says does not depend on where the stream is cut");
  }
  check_round_trip(whole);
  return 0;
}
