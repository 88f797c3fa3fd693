#include "client/connection.h"

#include <fmt/format.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <system_error>
#include <utility>

namespace raftkv::client {
namespace {

constexpr const char* kTimedOut = "timed out";

std::string error_text(int number) {
  return std::generic_category().message(number);
}

// Waits for any of `events`; 0 when the deadline has passed.
short wait_for(int fd, short events, Deadline deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd entry = {.fd = fd, .events = events, .revents = 0};
    const int timeout = static_cast<int>(std::clamp<int64_t>(left.count(), 0, 1'000'000));
    const int ready = poll(&entry, 1, timeout);
    if (ready > 0) return entry.revents;
    if (ready == 0 && Clock::now() >= deadline) return 0;
    if (ready < 0 && errno != EINTR) return 0;
  }
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
  redisContext* context = redisConnectNonBlock(address.host.c_str(), address.port);
  if (context == nullptr) return std::unexpected("out of memory");
  Connection connection(context);
  if (context->err != 0) return std::unexpected(context->errstr);
  if (auto connected = connection.wait_connected(deadline); !connected) {
    return std::unexpected(connected.error());
  }
  return connection;
}

std::expected<void, std::string> Connection::wait_connected(Deadline deadline) {
  if (wait_for(context_->fd, POLLOUT, deadline) == 0) return std::unexpected(kTimedOut);
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(context_->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return std::unexpected(error_text(error));
  return {};
}

void Connection::append(std::span<const std::string> args) {
  const size_t before = out_.size();
  fmt::format_to(std::back_inserter(out_), "*{}\r\n", args.size());
  for (const std::string& arg : args) {
    fmt::format_to(std::back_inserter(out_), "${}\r\n", arg.size());
    out_ += arg;
    out_ += "\r\n";
  }
  appended_bytes_ += out_.size() - before;
}

std::expected<void, std::string> Connection::flush(Deadline deadline) {
  while (!out_.empty()) {
    if (auto moved = exchange(deadline); !moved) return moved;
  }
  return {};
}

std::expected<Reply, std::string> Connection::receive(Deadline deadline) {
  for (;;) {
    void* raw = nullptr;
    if (redisGetReplyFromReader(context_.get(), &raw) != REDIS_OK) {
      return std::unexpected(fmt::format("not the Redis protocol: {}", context_->errstr));
    }
    if (raw != nullptr) {
      const std::unique_ptr<void, decltype(&freeReplyObject)> owned(raw, &freeReplyObject);
      return to_reply(*static_cast<const redisReply*>(raw));
    }
    if (auto moved = exchange(deadline); !moved) return std::unexpected(moved.error());
  }
}

// Moves bytes in whichever direction can move, once.
std::expected<void, std::string> Connection::exchange(Deadline deadline) {
  if (!closed_.empty()) return std::unexpected(closed_);
  if (Clock::now() >= deadline) return std::unexpected(kTimedOut);  // also if bytes trickle in
  send_some();
  if (!closed_.empty()) return {};
  const short wanted = static_cast<short>(out_.empty() ? POLLIN : POLLIN | POLLOUT);
  const short ready = wait_for(context_->fd, wanted, deadline);
  if (ready == 0) return std::unexpected(kTimedOut);
  if ((ready & ~POLLOUT) != 0) read_some();
  return {};
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
