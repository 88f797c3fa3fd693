#include "client/answer.h"

#include <algorithm>
#include <array>

namespace raftkv::client {

Verdict judge(std::string_view error) {
  const std::string_view code = error.substr(0, error.find(' '));
  if (code == "MOVED") return Verdict::kMoved;
  if (code == "UNKNOWN") return Verdict::kUnknown;
  if (code == "NOSESSION") return Verdict::kNoSession;
  if (code == "REPLYGONE") return Verdict::kReplyGone;
  // Sent only where the command did not and will not take effect; any client library retries them.
  constexpr std::array<std::string_view, 6> kNotNow = {"CLUSTERDOWN", "LOADING",    "TRYAGAIN",
                                                       "READONLY",    "MASTERDOWN", "NOREPLICAS"};
  if (std::find(kNotNow.begin(), kNotNow.end(), code) != kNotNow.end()) return Verdict::kNotNow;
  if (error.starts_with("ERR max number of clients reached")) return Verdict::kNotNow;
  return Verdict::kFinal;
}

std::optional<Address> moved_to(std::string_view error, const Address& from) {
  const size_t last_space = error.rfind(' ');
  if (last_space == std::string_view::npos) return std::nullopt;
  std::string address(error.substr(last_space + 1));
  if (address.rfind(':') == 0) address.insert(0, from.host);
  if (auto parsed = parse_address(address)) return *parsed;
  return std::nullopt;
}

}  // namespace raftkv::client
