// A node made of plain sockets and threads that answers what a test tells it to.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "client/address.h"

namespace raftkv::client {

using Args = std::vector<std::string>;

struct Answer {
  std::string bytes;                   // sent as they are
  bool close = false;                  // then the connection is closed
  std::chrono::milliseconds delay{0};  // before the answer
  bool endless = false;                // then more and more bytes follow, without a pause
};

inline Answer ok() {
  return {.bytes = "+OK\r\n"};
}
inline Answer text(const std::string& line) {
  return {.bytes = line + "\r\n"};
}
inline Answer bulk(const std::string& value) {
  return {.bytes = "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n"};
}
inline Answer silence() {
  return {};
}
inline Answer hang_up() {
  return {.bytes = "", .close = true};
}
inline Answer moved_to(const Address& address) {
  return text("-MOVED 16287 " + address.to_string());
}

class FakeNode {
 public:
  using Handler = std::function<Answer(const Args&)>;

  // Listens on a free port of 127.0.0.1 from here on. The handler is called by one thread at a
  // time.
  explicit FakeNode(Handler handler);
  // Accepts, and never reads a byte; hangs up after `patience`.
  static FakeNode that_never_reads(std::chrono::milliseconds patience);
  ~FakeNode();
  FakeNode(const FakeNode&) = delete;
  FakeNode& operator=(const FakeNode&) = delete;

  const Address& address() const { return address_; }
  std::vector<Args> requests() const;
  size_t connections() const { return accepted_; }
  // Of those, how many this node has closed for good.
  size_t closed() const { return closed_; }
  void answer_with(Handler handler);
  // Refuses connections from here on, and closes those it has.
  void die();

 private:
  FakeNode(Handler handler, std::chrono::milliseconds patience);
  void accept_all();
  void serve(int fd);
  bool answer_request(int fd, const Args& args);

  Address address_;
  int listener_ = -1;
  std::chrono::milliseconds deaf_for_{0};
  std::atomic<size_t> accepted_ = 0;
  std::atomic<size_t> closed_ = 0;
  std::atomic<bool> dying_ = false;
  mutable std::mutex mutex_;
  Handler handler_;
  std::vector<Args> requests_;
  std::vector<int> open_;
  std::vector<std::thread> threads_;  // one a connection
  std::thread acceptor_;
};

// An address where nothing listens, reserved while this lives.
class ClosedPort {
 public:
  ClosedPort();
  ~ClosedPort();
  ClosedPort(const ClosedPort&) = delete;
  ClosedPort& operator=(const ClosedPort&) = delete;

  const Address& address() const { return address_; }

 private:
  Address address_;
  int fd_;
};

// An address that neither accepts nor refuses, as behind a firewall that drops.
class BlackHole {
 public:
  BlackHole();
  ~BlackHole();
  BlackHole(const BlackHole&) = delete;
  BlackHole& operator=(const BlackHole&) = delete;

  const Address& address() const { return address_; }

 private:
  Address address_;
  int listener_;
  std::vector<int> fillers_;
};

}  // namespace raftkv::client
