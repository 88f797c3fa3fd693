#include "resp/reply_writer.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace raftkv::resp {
namespace {

constexpr std::string_view kCrlf = "\r\n";

// A line may not break: what a user typed can come back inside an error or a status.
void append_line(std::string& out, char mark, std::string_view text) {
  out.push_back(mark);
  const size_t start = out.size();
  out.append(text);
  for (size_t i = start; i < out.size(); ++i) {
    if (out[i] == '\r' || out[i] == '\n') out[i] = ' ';
  }
  out.append(kCrlf);
}

struct DoubleText {
  char bytes[32];  // "-1.7976931348623157e+308" has 24
  size_t size;

  std::string_view view() const { return {bytes, size}; }
};

DoubleText format_double(double value) {
  DoubleText text{};
  std::string_view special;
  if (std::isnan(value)) special = "nan";
  if (std::isinf(value)) special = value > 0 ? "inf" : "-inf";
  if (!special.empty()) {
    text.size = special.copy(text.bytes, sizeof text.bytes);
    return text;
  }
  const auto end = std::to_chars(text.bytes, text.bytes + sizeof text.bytes, value,
                                 std::chars_format::general, 17);
  text.size = static_cast<size_t>(end.ptr - text.bytes);
  return text;
}

}  // namespace

void ReplyWriter::header(char mark, int64_t number) {
  char line[1 + 20 + 2];
  line[0] = mark;
  char* end = line + 1;
  if (number >= 0 && number <= 9) {
    *end++ = static_cast<char>('0' + number);
  } else {
    end = std::to_chars(end, line + sizeof line, number).ptr;
  }
  *end++ = '\r';
  *end++ = '\n';
  out_->append(line, static_cast<size_t>(end - line));
}

void ReplyWriter::simple(std::string_view text) {
  append_line(*out_, '+', text);
}

void ReplyWriter::error(std::string_view text) {
  append_line(*out_, '-', text);
}

void ReplyWriter::integer(int64_t value) {
  header(':', value);
}

void ReplyWriter::bulk(std::string_view bytes) {
  header('$', static_cast<int64_t>(bytes.size()));
  out_->append(bytes);
  out_->append(kCrlf);
}

void ReplyWriter::bulk_integer(int64_t value) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value);
  bulk({digits, static_cast<size_t>(end.ptr - digits)});
}

void ReplyWriter::null() {
  out_->append(protocol_ == Protocol::kResp3 ? "_\r\n" : "$-1\r\n");
}

void ReplyWriter::null_array() {
  out_->append(protocol_ == Protocol::kResp3 ? "_\r\n" : "*-1\r\n");
}

void ReplyWriter::array(size_t count) {
  header('*', static_cast<int64_t>(count));
}

void ReplyWriter::map(size_t pairs) {
  if (protocol_ == Protocol::kResp3) {
    header('%', static_cast<int64_t>(pairs));
  } else {
    array(2 * pairs);
  }
}

void ReplyWriter::set(size_t count) {
  header(protocol_ == Protocol::kResp3 ? '~' : '*', static_cast<int64_t>(count));
}

void ReplyWriter::push(size_t count) {
  header(protocol_ == Protocol::kResp3 ? '>' : '*', static_cast<int64_t>(count));
}

void ReplyWriter::boolean(bool value) {
  if (protocol_ == Protocol::kResp3) {
    out_->append(value ? "#t\r\n" : "#f\r\n");
  } else {
    integer(value ? 1 : 0);
  }
}

void ReplyWriter::double_value(double value) {
  const DoubleText text = format_double(value);
  if (protocol_ == Protocol::kResp2) return bulk(text.view());
  out_->push_back(',');
  out_->append(text.view());
  out_->append(kCrlf);
}

void ReplyWriter::big_number(std::string_view digits) {
  if (protocol_ == Protocol::kResp2) return bulk(digits);
  append_line(*out_, '(', digits);
}

void ReplyWriter::verbatim(std::string_view format, std::string_view text) {
  if (format.size() != 3) {
    std::fprintf(stderr, "ReplyWriter::verbatim: a format has 3 characters, this one %zu\n",
                 format.size());
    std::abort();
  }
  if (protocol_ == Protocol::kResp2) return bulk(text);
  header('=', static_cast<int64_t>(format.size() + 1 + text.size()));
  out_->append(format);
  out_->push_back(':');
  out_->append(text);
  out_->append(kCrlf);
}

}  // namespace raftkv::resp
