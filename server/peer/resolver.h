// Looks up the address of a host's name on libuv's thread pool. Loop thread only.
#pragma once

#include <sys/socket.h>
#include <uv.h>

#include <cstdint>
#include <expected>
#include <functional>
#include <string>

namespace raftkv::server {

class Resolver {
 public:
  using Done = std::function<void(const std::expected<sockaddr_storage, std::string>&)>;

  explicit Resolver(uv_loop_t* loop) : loop_(loop) {}
  ~Resolver() { cancel(); }
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // One look-up at a time. `done` is called from the loop, or at once if the look-up can't begin,
  // and not at all after cancel(). A name may stand for several addresses: `attempt` picks one of
  // them in turn.
  void start(const std::string& host, uint16_t port, uint64_t attempt, Done done);
  // Safe at any time.
  void cancel();

 private:
  struct Lookup;
  uv_loop_t* loop_;
  Lookup* lookup_ = nullptr;  // owned by its callback
};

}  // namespace raftkv::server
