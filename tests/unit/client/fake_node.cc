#include "tests/unit/client/fake_node.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

namespace raftkv::client {
namespace {

void require(bool done, const char* what) {
  if (done) return;
  std::perror(what);
  std::abort();
}

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

int bound_socket(Address* address) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  require(fd >= 0, "socket");
  sockaddr_in at = loopback(0);
  socklen_t size = sizeof at;
  require(bind(fd, reinterpret_cast<sockaddr*>(&at), size) == 0, "bind");
  require(getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) == 0, "getsockname");
  *address = {.host = "127.0.0.1", .port = ntohs(at.sin_port)};
  return fd;
}

// Takes one whole multibulk request off the front of `buffer`.
std::optional<Args> take_request(std::string& buffer) {
  size_t at = 0;
  const auto number = [&](char mark) -> std::optional<size_t> {
    const size_t end = buffer.find("\r\n", at);
    if (end == std::string::npos) return std::nullopt;
    require(buffer[at] == mark, "the client sent something else than a multibulk request");
    const size_t value = std::strtoull(buffer.c_str() + at + 1, nullptr, 10);
    at = end + 2;
    return value;
  };
  const auto count = number('*');
  if (!count) return std::nullopt;
  Args args;
  while (args.size() < *count) {
    const auto size = number('$');
    if (!size || buffer.size() < at + *size + 2) return std::nullopt;
    args.push_back(buffer.substr(at, *size));
    at += *size + 2;
  }
  buffer.erase(0, at);
  return args;
}

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

}  // namespace

FakeNode::FakeNode(Handler handler) : FakeNode(std::move(handler), std::chrono::milliseconds(0)) {}

FakeNode::FakeNode(Handler handler, std::chrono::milliseconds patience)
    : listener_(bound_socket(&address_)), deaf_for_(patience), handler_(std::move(handler)) {
  require(listen(listener_, 1024) == 0, "listen");
  acceptor_ = std::thread([this] { accept_all(); });
}

FakeNode FakeNode::that_never_reads(std::chrono::milliseconds patience) {
  return FakeNode({}, patience);
}

FakeNode::~FakeNode() {
  die();
}

void FakeNode::die() {
  if (dying_.exchange(true)) return;
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  close(listener_);
  {
    const std::lock_guard lock(mutex_);
    for (const int fd : open_) shutdown(fd, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
}

std::vector<Args> FakeNode::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void FakeNode::answer_with(Handler handler) {
  const std::lock_guard lock(mutex_);
  handler_ = std::move(handler);
}

void FakeNode::accept_all() {
  while (!dying_) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    ++accepted_;
    const std::lock_guard lock(mutex_);
    open_.push_back(fd);
    threads_.emplace_back([this, fd] { serve(fd); });
  }
}

void FakeNode::serve(int fd) {
  // A slow node is what is simulated here; no test waits for this to have passed.
  if (deaf_for_.count() > 0) std::this_thread::sleep_for(deaf_for_);
  std::string buffer;
  char bytes[65536];
  bool going = deaf_for_.count() == 0;
  while (going) {
    const ssize_t size = recv(fd, bytes, sizeof bytes, 0);
    if (size <= 0) break;
    buffer.append(bytes, static_cast<size_t>(size));
    while (going) {
      const auto args = take_request(buffer);
      if (!args) break;
      going = answer_request(fd, *args);
    }
  }
  const std::lock_guard lock(mutex_);
  open_.erase(std::find(open_.begin(), open_.end(), fd));
  close(fd);
  ++closed_;
}

bool FakeNode::answer_request(int fd, const Args& args) {
  Answer answer;
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(args);
    answer = handler_(args);
  }
  if (answer.delay.count() > 0) std::this_thread::sleep_for(answer.delay);
  if (!send_all(fd, answer.bytes)) return false;
  const std::string more(answer.endless ? 256 * 1024 : 0, 'x');
  while (answer.endless) {
    if (!send_all(fd, more)) return false;
  }
  return !answer.close;
}

ClosedPort::ClosedPort() : fd_(bound_socket(&address_)) {}
ClosedPort::~ClosedPort() {
  close(fd_);
}

// A listener whose queue is full drops what else comes.
BlackHole::BlackHole() : listener_(bound_socket(&address_)) {
  require(listen(listener_, 0) == 0, "listen");
  for (int i = 0; i < 4; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    require(fd >= 0, "socket");
    const sockaddr_in at = loopback(address_.port);
    const int result = connect(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at);
    require(result == 0 || errno == EINPROGRESS, "connect");
    fillers_.push_back(fd);
  }
}

BlackHole::~BlackHole() {
  for (const int fd : fillers_) close(fd);
  close(listener_);
}

}  // namespace raftkv::client
