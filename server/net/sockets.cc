#include "server/net/sockets.h"

#include <fmt/format.h>
#include <glog/logging.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <array>
#include <csignal>
#include <cstring>
#include <memory>
#include <utility>

namespace raftkv::server {
namespace {

using NameFunction = int (*)(const uv_tcp_t*, sockaddr*, int*);

const sockaddr* plain(const sockaddr_storage& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

std::string end_address(const uv_tcp_t& handle, NameFunction name_of) {
  sockaddr_storage address{};
  int length = sizeof address;
  if (name_of(&handle, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "?";
  return format_address(address);
}

std::expected<sockaddr_storage, std::string> resolve_listen(const ListenRequest& request) {
  const bool any = request.host.empty() || request.host == "*";
  addrinfo hints{};
  hints.ai_family = any ? AF_INET : AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(request.port);
  const int error = getaddrinfo(any ? nullptr : request.host.c_str(), port.c_str(), &hints, &found);
  if (error != 0) return std::unexpected(std::string(gai_strerror(error)));
  sockaddr_storage address{};
  std::memcpy(&address, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return address;
}

std::string advice(int error, const char* flag) {
  switch (error) {
    case UV_EADDRINUSE:
      return fmt::format("end the process that uses it, or choose another port with {}", flag);
    case UV_EADDRNOTAVAIL:
      return fmt::format("no interface of this machine has that address, correct {}", flag);
    case UV_EACCES:
      return fmt::format("ports below 1024 need a privilege, choose another one with {}", flag);
    default:
      return fmt::format("check {}", flag);
  }
}

}  // namespace

std::string format_host_port(const std::string& host, uint16_t port) {
  if (host.find(':') != std::string::npos) return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host, port);
}

std::string format_address(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    uv_ip4_name(&v4, text.data(), text.size());
    return format_host_port(text.data(), ntohs(v4.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    uv_ip6_name(&v6, text.data(), text.size());
    return format_host_port(text.data(), ntohs(v6.sin6_port));
  }
  return "?";
}

std::string remote_address(const uv_tcp_t& handle) {
  return end_address(handle, uv_tcp_getpeername);
}

std::string local_address(const uv_tcp_t& handle) {
  return end_address(handle, uv_tcp_getsockname);
}

std::optional<sockaddr_storage> numeric_address(const std::string& host, uint16_t port) {
  sockaddr_storage address{};
  if (uv_ip4_addr(host.c_str(), port, reinterpret_cast<sockaddr_in*>(&address)) == 0) {
    return address;
  }
  if (uv_ip6_addr(host.c_str(), port, reinterpret_cast<sockaddr_in6*>(&address)) == 0) {
    return address;
  }
  return std::nullopt;
}

std::expected<uv_tcp_t*, std::string> open_listener(uv_loop_t* loop, const ListenRequest& request,
                                                    void* data, uv_connection_cb on_connection) {
  const std::string where = format_host_port(request.host, request.port);
  const auto address = resolve_listen(request);
  if (!address) {
    return std::unexpected(fmt::format("can't listen for {} on {}: {}; check {}", request.purpose,
                                       where, address.error(), request.flag));
  }
  auto handle = std::make_unique<uv_tcp_t>();
  int error = uv_tcp_init(loop, handle.get());
  if (error == 0) {
    handle->data = data;
    error = uv_tcp_bind(handle.get(), plain(*address), 0);
    auto* stream = reinterpret_cast<uv_stream_t*>(handle.get());
    if (error == 0) error = uv_listen(stream, request.backlog, on_connection);
    if (error == 0) return handle.release();
    handle->data = nullptr;
    close_listener(handle.release(), [](void*) {});
  }
  return std::unexpected(fmt::format("can't listen for {} on {}: {}; {}", request.purpose, where,
                                     uv_strerror(error), advice(error, request.flag)));
}

void close_listener(uv_tcp_t* handle, void (*closed)(void* data)) {
  // The close callback has only the handle itself to carry what it needs.
  struct Closing {
    void* data;
    void (*closed)(void*);
  };
  handle->data = new Closing{handle->data, closed};
  uv_close(reinterpret_cast<uv_handle_t*>(handle), [](uv_handle_t* gone) {
    const std::unique_ptr<uv_tcp_t> owned(reinterpret_cast<uv_tcp_t*>(gone));
    const std::unique_ptr<Closing> closing(static_cast<Closing*>(gone->data));
    closing->closed(closing->data);
  });
}

uint16_t listener_port(const uv_tcp_t& handle) {
  sockaddr_storage address{};
  int length = sizeof address;
  if (uv_tcp_getsockname(&handle, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  if (address.ss_family == AF_INET) {
    return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  }
  return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
}

void ignore_sigpipe() {
  std::signal(SIGPIPE, SIG_IGN);
}

void set_tcp_options(uv_tcp_t& handle, unsigned keepalive_s) {
  // Failing is harmless (the connection may be dead already, its next read says so).
  uv_tcp_nodelay(&handle, 1);
  uv_tcp_keepalive(&handle, 1, keepalive_s);
}

void set_tcp_user_timeout(uv_tcp_t& handle, uint64_t timeout_ms) {
  uv_os_fd_t fd = -1;
  if (uv_fileno(reinterpret_cast<const uv_handle_t*>(&handle), &fd) != 0) return;
  const auto value = static_cast<unsigned>(timeout_ms);
  if (setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof value) != 0) {
    LOG_FIRST_N(WARNING, 1) << "can't set TCP_USER_TIMEOUT: " << std::strerror(errno);
  }
}

}  // namespace raftkv::server
