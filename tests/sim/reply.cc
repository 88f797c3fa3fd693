#include "tests/sim/reply.h"

#include <charconv>
#include <stdexcept>

namespace raftkv::sim {

namespace {

int64_t number(std::string_view text) {
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

std::string to_text(const Reply& reply) {
  switch (reply.kind) {
    case Reply::Kind::kInteger:
      return std::to_string(reply.integer);
    case Reply::Kind::kText:
      return "'" + reply.text + "'";
    case Reply::Kind::kNil:
      return "nil";
    case Reply::Kind::kArray: {
      std::string text = "[";
      for (const Reply& item : reply.items) text += (text.size() > 1 ? ", " : "") + to_text(item);
      return text + "]";
    }
    default:
      return reply.text;
  }
}

Reply take_reply(std::string_view& bytes) {
  const size_t end = bytes.find("\r\n");
  if (end == std::string_view::npos) throw std::runtime_error("a reply without an end");
  const char type = bytes.front();
  const std::string_view line = bytes.substr(1, end - 1);
  bytes.remove_prefix(end + 2);
  Reply reply;
  switch (type) {
    case '+':
    case '-':
      reply.kind = type == '+' ? Reply::Kind::kStatus : Reply::Kind::kError;
      reply.text = line;
      return reply;
    case ':':
      reply.kind = Reply::Kind::kInteger;
      reply.integer = number(line);
      return reply;
    case '$': {
      const int64_t length = number(line);
      if (length < 0) return reply;
      if (bytes.size() < static_cast<size_t>(length) + 2) throw std::runtime_error("a cut reply");
      reply.kind = Reply::Kind::kText;
      reply.text = bytes.substr(0, static_cast<size_t>(length));
      reply.integer = number(reply.text);
      bytes.remove_prefix(static_cast<size_t>(length) + 2);
      return reply;
    }
    case '*': {
      const int64_t length = number(line);
      if (length < 0) return reply;
      reply.kind = Reply::Kind::kArray;
      for (int64_t i = 0; i < length; ++i) reply.items.push_back(take_reply(bytes));
      return reply;
    }
    default:
      throw std::runtime_error("a reply of an unknown type");
  }
}

}  // namespace raftkv::sim
