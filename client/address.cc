#include "client/address.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace raftkv::client {

std::string Address::to_string() const {
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

std::expected<Address, std::string> parse_address(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) {
    return std::unexpected(fmt::format("'{}' is not an address of the form host:port", text));
  }
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']') && host.size() > 2) {
    host = host.substr(1, host.size() - 2);
  }
  const std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (fault != std::errc{} || end != digits.data() + digits.size() || port == 0) {
    return std::unexpected(fmt::format("the port in '{}' is not a number from 1 to 65535", text));
  }
  return Address{.host = std::string(host), .port = port};
}

std::expected<std::vector<Address>, std::string> parse_addresses(std::string_view text) {
  std::vector<Address> addresses;
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    if (one.empty()) continue;
    auto address = parse_address(one);
    if (!address) return std::unexpected(address.error());
    if (std::find(addresses.begin(), addresses.end(), *address) != addresses.end()) {
      return std::unexpected(fmt::format("{} is named twice", address->to_string()));
    }
    addresses.push_back(*std::move(address));
  }
  if (addresses.empty()) return std::unexpected("no address is given");
  return addresses;
}

}  // namespace raftkv::client
