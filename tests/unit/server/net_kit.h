// For the tests of both ports: a loop that is pumped until something is so, and plain sockets that
// play the other side, driven from the same thread.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace raftkv::server::test {

// Nothing that is right takes so long, on a busy machine either. Sanitizers make all of it slower.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kPatienceMs = 90'000;
#else
constexpr uint64_t kPatienceMs = 20'000;
#endif

inline sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// A non-blocking socket on loopback. Bytes to send wait in a queue; step() moves what can be moved.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) { fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) | O_NONBLOCK); }
  ~Socket() { close(); }
  Socket(Socket&& other) noexcept { *this = std::move(other); }
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(outgoing_, other.outgoing_);
    std::swap(sent_, other.sent_);
    std::swap(incoming, other.incoming);
    std::swap(ended, other.ended);
    std::swap(was_reset, other.was_reset);
    std::swap(reading, other.reading);
    return *this;
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  static Socket connect(uint16_t port, int receive_buffer = 0) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    if (receive_buffer != 0) {
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    const sockaddr_in address = loopback(port);
    // Otherwise small pieces wait for the acknowledgement of the one before.
    const int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0)
        << "port " << port;
    return Socket(fd);
  }

  void send(std::string_view bytes) { outgoing_.append(bytes); }
  void step() {
    if (fd_ < 0) return;
    if (sent_ < outgoing_.size()) {
      const ssize_t sent =
          ::send(fd_, outgoing_.data() + sent_, outgoing_.size() - sent_, MSG_NOSIGNAL);
      if (sent > 0) sent_ += static_cast<size_t>(sent);
      if (sent_ == outgoing_.size()) {
        outgoing_.clear();
        sent_ = 0;
      }
    }
    if (!reading) return;
    char buffer[64 * 1024];
    for (int round = 0; round < 64; ++round) {
      const ssize_t got = ::recv(fd_, buffer, sizeof buffer, 0);
      if (got > 0) {
        incoming.append(buffer, static_cast<size_t>(got));
        continue;
      }
      if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        ended = true;
        was_reset = was_reset || got < 0;
      }
      return;
    }
  }
  void shutdown_sending() { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  // Ends it with a reset instead of a proper end.
  void reset() {
    const linger hard{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close();
  }
  bool open() const { return fd_ >= 0; }

  std::string incoming;
  bool ended = false;      // the other side closed or reset it
  bool was_reset = false;  // ended, and not properly
  bool reading = true;     // false: what arrives stays in the kernel

 private:
  int fd_ = -1;
  std::string outgoing_;
  size_t sent_ = 0;  // of outgoing_
};

// A listening socket on loopback.
class Acceptor {
 public:
  explicit Acceptor(uint16_t port = 0) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const int yes = 1;
    setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address = loopback(port);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd_, 16), 0);
    fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) | O_NONBLOCK);
    socklen_t length = sizeof address;
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
  }
  ~Acceptor() { ::close(fd_); }
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  uint16_t port() const { return port_; }
  // Not open if nobody has connected.
  Socket accept() {
    const int fd = ::accept(fd_, nullptr, nullptr);
    return fd < 0 ? Socket() : Socket(fd);
  }

 private:
  int fd_;
  uint16_t port_ = 0;
};

// A port on which nobody listens just now.
// Free now, and below the range (from 32768 on) from which the kernel takes ports for outgoing
// connections: one of those could take it before the test listens.
inline uint16_t free_port() {
  static std::mt19937 random{std::random_device{}()};
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const auto port = static_cast<uint16_t>(std::uniform_int_distribution(23'000, 30'000)(random));
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    const sockaddr_in address = loopback(port);
    const bool free = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    ::close(fd);
    if (free) return port;
  }
  ADD_FAILURE() << "no free port between 23000 and 30000";
  return 0;
}

// A libuv loop that ends each turn as the server's does.
class Loop {
 public:
  Loop() {
    uv_loop_init(&loop_);
    uv_check_init(&loop_, &check_);
    check_.data = this;
    uv_check_start(&check_, [](uv_check_t* handle) {
      Loop& self = *static_cast<Loop*>(handle->data);
      if (self.end_of_turn) self.end_of_turn();
    });
    // So that a turn that waits for nothing but our own sockets comes back.
    uv_timer_init(&loop_, &tick_);
    uv_timer_start(
        &tick_, [](uv_timer_t*) {}, 1, 1);
  }
  ~Loop() {
    uv_close(reinterpret_cast<uv_handle_t*>(&check_), nullptr);
    uv_close(reinterpret_cast<uv_handle_t*>(&tick_), nullptr);
    uv_run(&loop_, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&loop_), 0) << "handles were left open";
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  uv_loop_t* get() { return &loop_; }

  // Turns the loop until `condition` holds; false if it does not within `limit_ms`.
  bool until(const std::function<bool()>& condition, uint64_t limit_ms = kPatienceMs) {
    const uint64_t end = uv_hrtime() + limit_ms * 1'000'000;
    while (!condition()) {
      if (uv_hrtime() > end) return false;
      uv_run(&loop_, UV_RUN_ONCE);
    }
    return true;
  }
  // For what must not happen: some turns without a condition.
  void turns(int count) {
    for (int turn = 0; turn < count; ++turn) uv_run(&loop_, UV_RUN_ONCE);
  }

  std::function<void()> end_of_turn;

 private:
  uv_loop_t loop_{};
  uv_check_t check_{};
  uv_timer_t tick_{};
};

}  // namespace raftkv::server::test
