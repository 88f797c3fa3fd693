// Where a node listens: "host:port".
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace raftkv::client {

struct Address {
  std::string host;  // a name or an IP address, an IPv6 one without brackets
  uint16_t port = 0;

  // "127.0.0.1:7001", "[::1]:7001"
  std::string to_string() const;

  friend bool operator==(const Address&, const Address&) = default;
};

// "127.0.0.1:7001", "[::1]:7001", and "::1:7001" as Redis writes it: the last colon counts. The
// error says what is wrong.
[[nodiscard]] std::expected<Address, std::string> parse_address(std::string_view text);

// A list separated by commas, at least one, none twice.
[[nodiscard]] std::expected<std::vector<Address>, std::string> parse_addresses(
    std::string_view text);

}  // namespace raftkv::client
