#include "server/command/member_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace raftkv::server {
namespace {

constexpr std::string_view kPromote = ";promote";
constexpr size_t kHostBytesMax = 255;

// Letters, digits and what stands in names and addresses: whatever separates fields somewhere (in
// contexts, in --cluster, in INFO and in MOVED) can't be part of a host.
bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_' || c == ':' || c == '%';
}

bool is_any_address(std::string_view host) {
  return host == "0.0.0.0" || host == "::";
}

bool contains(const std::vector<raft::NodeId>& ids, raft::NodeId id) {
  return std::binary_search(ids.begin(), ids.end(), id);
}

}  // namespace

std::string Endpoint::to_string() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

std::expected<Endpoint, std::string> parse_endpoint(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) {
    return std::unexpected(fmt::format("'{}' is not host:port", text));
  }
  std::string_view host = text.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  const std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (host.empty() || error != std::errc() || end != digits.data() + digits.size() || port == 0) {
    return std::unexpected(fmt::format("'{}' is not host:port with a port from 1 to 65535", text));
  }
  if (host.size() > kHostBytesMax || !std::all_of(host.begin(), host.end(), is_host_character)) {
    return std::unexpected(fmt::format(
        "'{}' is not host:port with a name or an address (letters, digits, . - _) as host", text));
  }
  return Endpoint{std::string(host), port};
}

Endpoint client_endpoint(const Member& member) {
  return {member.client_host, member.client_port};
}

Endpoint peer_endpoint(const Member& member) {
  return {member.peer_host, member.peer_port};
}

std::string encode_member_context(const Member& member) {
  return fmt::format("{}@{}{}", client_endpoint(member).to_string(),
                     peer_endpoint(member).to_string(), member.promote ? kPromote : "");
}

std::expected<Member, std::string> decode_member_context(uint64_t id, std::string_view context) {
  Member member;
  member.id = id;
  if (context.ends_with(kPromote)) {
    member.promote = true;
    context.remove_suffix(kPromote.size());
  }
  const size_t at = context.find('@');
  if (at == std::string_view::npos) {
    return std::unexpected(fmt::format("'{}' is not client_host:port@peer_host:port", context));
  }
  const auto client = parse_endpoint(context.substr(0, at));
  if (!client) return std::unexpected(client.error());
  const auto peer = parse_endpoint(context.substr(at + 1));
  if (!peer) return std::unexpected(peer.error());
  member.client_host = client->host;
  member.client_port = client->port;
  member.peer_host = peer->host;
  member.peer_port = peer->port;
  return member;
}

std::vector<Member> members_of(const raft::Membership& membership) {
  std::vector<Member> members;
  const auto add = [&](raft::NodeId id, MemberRole role) {
    const auto context = membership.contexts.find(id);
    Member member;
    member.id = id;
    if (context != membership.contexts.end()) {
      if (auto decoded = decode_member_context(id, context->second)) member = std::move(*decoded);
    }
    member.role = role;
    members.push_back(std::move(member));
  };
  for (const raft::NodeId id : membership.voters) add(id, MemberRole::kVoter);
  for (const raft::NodeId id : membership.outgoing_voters) {
    if (!contains(membership.voters, id)) add(id, MemberRole::kLeaving);
  }
  for (const raft::NodeId id : membership.learners) add(id, MemberRole::kLearner);
  std::ranges::sort(members, {}, &Member::id);
  return members;
}

raft::Membership bootstrap_membership(const std::vector<Member>& members) {
  raft::Membership membership;
  for (const Member& member : members) {
    membership.voters.push_back(member.id);
    membership.contexts[member.id] = encode_member_context(member);
  }
  std::ranges::sort(membership.voters);
  return membership;
}

std::string address_conflict(const std::vector<Member>& others, const Member& member) {
  const Endpoint wanted[] = {client_endpoint(member), peer_endpoint(member)};
  if (wanted[0] == wanted[1]) {
    return fmt::format("{} can't serve both clients and peers", wanted[0].to_string());
  }
  for (const Endpoint& endpoint : wanted) {
    if (is_any_address(endpoint.host)) {
      return fmt::format("{} is no address at which others reach a node", endpoint.to_string());
    }
    for (const Member& other : others) {
      if (other.id == member.id) continue;
      if (endpoint == client_endpoint(other) || endpoint == peer_endpoint(other)) {
        return fmt::format("{} is an address of node {}", endpoint.to_string(), other.id);
      }
    }
  }
  return "";
}

const char* membership_phase_text(const MembershipFacts& facts) {
  if (facts.joint) return "joint";
  return facts.committed ? "stable" : "changing";
}

const char* member_role_text(MemberRole role) {
  switch (role) {
    case MemberRole::kVoter:
      return "voter";
    case MemberRole::kLearner:
      return "learner";
    case MemberRole::kLeaving:
      return "leaving";
  }
  return "?";
}

}  // namespace raftkv::server
