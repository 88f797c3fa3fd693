#include "client/connection.h"

#include <fmt/format.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace raftkv::client {
namespace {

constexpr const char* kTimedOut = "timed out";

std::string error_text(int number) {
  return std::generic_category().message(number);
}

Reply to_reply(const redisReply& from) {
  Reply reply;
  switch (from.type) {
    case REDIS_REPLY_STATUS:
      reply.type = Reply::Type::kStatus;
      break;
    case REDIS_REPLY_STRING:
      reply.type = Reply::Type::kString;
      break;
    case REDIS_REPLY_ERROR:
      reply.type = Reply::Type::kError;
      break;
    case REDIS_REPLY_INTEGER:
      reply.type = Reply::Type::kInteger;
      reply.integer = from.integer;
      return reply;
    case REDIS_REPLY_ARRAY:
      reply.type = Reply::Type::kArray;
      reply.elements.reserve(from.elements);
      for (size_t i = 0; i < from.elements; ++i)
        reply.elements.push_back(to_reply(*from.element[i]));
      return reply;
    default:
      return reply;
  }
  reply.text.assign(from.str, from.len);
  return reply;
}

}  // namespace

void Connection::Close::operator()(redisContext* context) const {
  redisFree(context);
}

std::expected<Connection, std::string> Connection::connect(const Address& address,
                                                           Deadline deadline) {
  IoLoop loop;
  return loop.run(connect(loop, address, deadline));
}

Task<std::expected<Connection, std::string>> Connection::connect(IoLoop& loop, Address address,
                                                                 Deadline deadline) {
  redisContext* context = redisConnectNonBlock(address.host.c_str(), address.port);
  if (context == nullptr) co_return std::unexpected("out of memory");
  Connection connection(context);
  if (context->err != 0) co_return std::unexpected(context->errstr);
  const short connected = co_await loop.ready(context->fd, POLLOUT, deadline);
  if (connected == 0) co_return std::unexpected(kTimedOut);
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(context->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) co_return std::unexpected(error_text(error));
  co_return connection;
}

void Connection::append(std::span<const std::string> args) {
  const size_t before = out_.size();
  append_size('*', args.size());
  for (const std::string& arg : args) {
    append_size('$', arg.size());
    out_ += arg;
    out_ += "\r\n";
  }
  appended_bytes_ += out_.size() - before;
}

void Connection::append_size(char mark, size_t size) {
  const fmt::format_int digits(size);
  out_ += mark;
  out_.append(digits.data(), digits.size());
  out_ += "\r\n";
}

std::expected<void, std::string> Connection::flush(Deadline deadline) {
  IoLoop loop;
  while (!out_.empty()) {
    if (auto moved = loop.run(exchange(loop, deadline)); !moved) return moved;
  }
  return {};
}

std::expected<Reply, std::string> Connection::receive(Deadline deadline) {
  IoLoop loop;
  return loop.run(receive(loop, deadline));
}

Task<std::expected<Reply, std::string>> Connection::receive(IoLoop& loop, Deadline deadline) {
  for (;;) {
    auto reply = received();
    if (reply) co_return *std::move(reply);
    auto moved = co_await exchange(loop, deadline);
    if (!moved) co_return std::unexpected(std::move(moved).error());
  }
}

std::optional<std::expected<Reply, std::string>> Connection::received() {
  void* raw = nullptr;
  if (redisGetReplyFromReader(context_.get(), &raw) != REDIS_OK) {
    return std::unexpected(fmt::format("not the Redis protocol: {}", context_->errstr));
  }
  if (raw == nullptr) return std::nullopt;
  const std::unique_ptr<void, decltype(&freeReplyObject)> owned(raw, &freeReplyObject);
  return to_reply(*static_cast<const redisReply*>(raw));
}

// Moves bytes in whichever direction can move, once.
Task<std::expected<void, std::string>> Connection::exchange(IoLoop& loop, Deadline deadline) {
  if (!closed_.empty()) co_return std::unexpected(closed_);
  // Also if bytes trickle in.
  if (Clock::now() >= deadline) co_return std::unexpected(kTimedOut);
  send_some();
  if (!closed_.empty()) co_return std::expected<void, std::string>();
  const short wanted = static_cast<short>(out_.empty() ? POLLIN : POLLIN | POLLOUT);
  const short ready = co_await loop.ready(context_->fd, wanted, deadline);
  if (ready == 0) co_return std::unexpected(kTimedOut);
  if ((ready & ~POLLOUT) != 0) read_some();
  co_return std::expected<void, std::string>();
}

void Connection::send_some() {
  while (!out_.empty()) {
    const ssize_t sent = send(context_->fd, out_.data() + out_sent_, out_.size() - out_sent_,
                              MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      // What the peer said before it closed ("max number of clients reached") may still be read.
      const std::string reason = error_text(errno);
      read_some();
      closed_ = reason;
      return;
    }
    sent_bytes_ += static_cast<uint64_t>(sent);
    out_sent_ += static_cast<size_t>(sent);
    if (out_sent_ == out_.size()) {
      out_.clear();
      out_sent_ = 0;
    }
  }
}

void Connection::read_some() {
  if (redisBufferRead(context_.get()) == REDIS_OK) return;
  closed_ = context_->err == REDIS_ERR_EOF ? "closed by the node" : context_->errstr;
}

bool Connection::usable() const {
  if (!closed_.empty() || !out_.empty()) return false;
  pollfd entry = {.fd = context_->fd, .events = POLLIN, .revents = 0};
  return poll(&entry, 1, 0) == 0;
}

}  // namespace raftkv::client
