// Replies of the Redis protocol, RESP2 and RESP3, appended to a buffer. What RESP2 has no type for
// is written as Redis writes it there (a map as a flat array, a double as a bulk string, ...).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace raftkv::resp {

enum class Protocol : uint8_t { kResp2 = 2, kResp3 = 3 };

class ReplyWriter {
 public:
  // `out` must outlive the writer.
  explicit ReplyWriter(std::string& out, Protocol protocol = Protocol::kResp2)
      : out_(&out), protocol_(protocol) {}

  Protocol protocol() const { return protocol_; }
  std::string& buffer() { return *out_; }

  void simple(std::string_view text);  // +text
  void ok() { out_->append("+OK\r\n"); }
  // -text; the text begins with its code ("ERR ..."). CR and LF in it become spaces.
  void error(std::string_view text);
  void integer(int64_t value);
  void bulk(std::string_view bytes);
  void bulk_integer(int64_t value);  // a number as a bulk string
  void null();                       // "$-1" or "_"
  void null_array();                 // "*-1" or "_"
  void array(size_t count);          // followed by `count` replies
  void map(size_t pairs);            // followed by 2 * pairs replies
  void set(size_t count);
  void push(size_t count);
  void boolean(bool value);         // ":1" in RESP2
  void double_value(double value);  // as Redis: shortest %.17g form, "inf", "-inf", "nan"
  void big_number(std::string_view digits);
  void verbatim(std::string_view format, std::string_view text);  // format has 3 characters ("txt")

 private:
  void header(char mark, int64_t number);

  std::string* out_;
  Protocol protocol_;
};

}  // namespace raftkv::resp
