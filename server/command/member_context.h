// A member as the log carries it: the context string of raft::Membership, and the addresses in it.
//
//   context = client_host:port "@" peer_host:port [";promote"]
//
// "promote": a learner that the leader makes a voter by itself once it has caught up.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "raft/types.h"
#include "server/command/host.h"

namespace raftkv::server {

struct Endpoint {
  std::string host;  // a name or an IP address, an IPv6 one without brackets
  uint16_t port = 0;

  // "127.0.0.1:7001", "[::1]:7001"
  std::string to_string() const;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

// "host:port", with an IPv6 address in brackets. The error says what is wrong with it.
std::expected<Endpoint, std::string> parse_endpoint(std::string_view text);

Endpoint client_endpoint(const Member& member);
Endpoint peer_endpoint(const Member& member);

std::string encode_member_context(const Member& member);
// The error says what is wrong; such a context was written by another version.
std::expected<Member, std::string> decode_member_context(uint64_t id, std::string_view context);

// Everybody that `membership` names, sorted by id. A member whose context can't be read has no
// addresses.
std::vector<Member> members_of(const raft::Membership& membership);
// A group of exactly these, all of them voters.
raft::Membership bootstrap_membership(const std::vector<Member>& members);

// Why `member` must not join `others`: its addresses are taken, or nobody could reach them. Empty
// if nothing speaks against it.
std::string address_conflict(const std::vector<Member>& others, const Member& member);

// "stable", "joint" (from one set of voters to another), "changing" (not committed yet)
const char* membership_phase_text(const MembershipFacts& facts);
// "voter", "learner", "leaving"
const char* member_role_text(MemberRole role);

}  // namespace raftkv::server
