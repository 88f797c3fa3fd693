#include "server/replica/payload.h"

#include "server/replica/check.h"

namespace raftkv::server {

namespace {

void append_varint(std::string& out, uint64_t value) {
  char bytes[10];
  size_t n = 0;
  while (value >= 0x80) {
    bytes[n++] = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  bytes[n++] = static_cast<char>(value);
  out.append(bytes, n);
}

}  // namespace

size_t encoded_size(Args args) {
  constexpr size_t kVarintMax = 10;
  size_t size = kVarintMax;
  for (std::string_view arg : args) size += kVarintMax + arg.size();
  return size;
}

void append_command(std::string& out, Args args) {
  append_varint(out, args.size());
  for (std::string_view arg : args) {
    append_varint(out, arg.size());
    out.append(arg);
  }
}

void append_transaction(std::string& out, size_t commands) {
  append_varint(out, 0);
  append_varint(out, commands);
}

uint64_t PayloadReader::varint() {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    RAFTKV_CHECK(!rest_.empty(), "a log entry's payload ends inside a number");
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    value |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
  die("a log entry's payload holds an overlong number", __FILE__, __LINE__);
}

PayloadReader::Item PayloadReader::next_item() {
  RAFTKV_CHECK(!rest_.empty(), "a log entry's payload ends where an item should begin");
  if (rest_.front() != 0) return Item{};
  rest_.remove_prefix(1);
  const uint64_t commands = varint();
  RAFTKV_CHECK(commands > 0, "a log entry holds an empty transaction");
  return Item{true, commands};
}

Args PayloadReader::next_command() {
  const uint64_t argc = varint();
  RAFTKV_CHECK(argc > 0, "a log entry holds a command without a name");
  RAFTKV_CHECK(argc <= rest_.size(), "a log entry's payload ends inside a command");
  args_.clear();
  args_.reserve(argc);
  for (uint64_t i = 0; i < argc; ++i) {
    const uint64_t length = varint();
    RAFTKV_CHECK(length <= rest_.size(), "a log entry's payload ends inside an argument");
    args_.push_back(rest_.substr(0, length));
    rest_.remove_prefix(length);
  }
  return args_;
}

}  // namespace raftkv::server
