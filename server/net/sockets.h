// What both ports need of the operating system's sockets: addresses as text, and listening.
#pragma once

#include <sys/socket.h>
#include <uv.h>

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

namespace raftkv::server {

// "127.0.0.1:7001", "[::1]:7001"; "?" for what is no Internet address.
std::string format_address(const sockaddr_storage& address);
std::string format_host_port(const std::string& host, uint16_t port);
// Of the other end and of this end of a connection; "?" if it is not connected.
std::string remote_address(const uv_tcp_t& handle);
std::string local_address(const uv_tcp_t& handle);

// An address given in numbers ("10.0.0.1", "::1"); nothing if it is a name.
std::optional<sockaddr_storage> numeric_address(const std::string& host, uint16_t port);

struct ListenRequest {
  std::string host;     // a name or an address; empty or "*": every interface
  uint16_t port = 0;    // 0: any free one
  const char* purpose;  // "clients": for the error text
  const char* flag;     // "--listen": what the operator may change
  int backlog = 511;
};

// A listening socket whose `data` is `data`. Resolves names, which blocks: for the start of a
// process only. The handle belongs to the caller, who ends it with close_listener(). The error is
// one line for the operator.
std::expected<uv_tcp_t*, std::string> open_listener(uv_loop_t* loop, const ListenRequest& request,
                                                    void* data, uv_connection_cb on_connection);
// Closes and deletes it; `closed` is called with its `data` once that is done.
void close_listener(uv_tcp_t* handle, void (*closed)(void* data));
uint16_t listener_port(const uv_tcp_t& handle);

// Writing to a connection that the other side closed must be an error, not a signal.
void ignore_sigpipe();

// Nagle's algorithm off; the kernel asks a silent peer after `keepalive_s` seconds whether it
// lives.
void set_tcp_options(uv_tcp_t& handle, unsigned keepalive_s);
// The kernel ends a connection whose sent bytes stay unacknowledged for this long.
void set_tcp_user_timeout(uv_tcp_t& handle, uint64_t timeout_ms);

}  // namespace raftkv::server
