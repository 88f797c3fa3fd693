// The members of the cluster as its leader sees them (RAFT.MEMBERS LIST).
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "client/address.h"
#include "client/connection.h"
#include "client/reply.h"

namespace raftkv::client {

struct MemberView {
  uint64_t id = 0;
  std::string role;    // voter, learner, leaving
  std::string client;  // host:port
  std::string peer;
  bool leader = false;
  bool promote = false;           // a learner that becomes a voter by itself
  std::optional<bool> active;     // known to the leader only, as what follows
  std::optional<uint64_t> match;  // last entry that is surely in its log
  std::optional<uint64_t> lag;    // entries of the leader's that it lacks

  bool voter() const { return role == "voter"; }
};

struct MembersView {
  std::string cluster_id;
  uint64_t answered_by = 0;  // the node that says so
  uint64_t leader = 0;       // 0: none known
  uint64_t term = 0;
  uint64_t index = 0;  // of the entry that made it so
  std::string phase;   // stable, changing, joint
  std::vector<MemberView> members;

  const MemberView* find(uint64_t id) const;
  bool stable() const { return phase == "stable"; }
  bool from_leader() const { return leader != 0 && answered_by == leader; }
};

// The error says what is wrong with the reply.
std::expected<MembersView, std::string> parse_members(const Reply& reply);

// Asks `nodes`, and whom they name as leader, until the leader itself answers or the deadline
// passes. The error tells of each node why it did not help.
std::expected<MembersView, std::string> query_members(const std::vector<Address>& nodes,
                                                      Deadline deadline);

}  // namespace raftkv::client
