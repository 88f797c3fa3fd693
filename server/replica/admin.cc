#include "server/replica/admin.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "server/command/local_text.h"
#include "server/command/member_context.h"
#include "server/replica/replica.h"
#include "server/replica/session.h"

namespace raftkv::server {
namespace {

using Begun = std::expected<std::unique_ptr<AdminWait>, std::string>;

constexpr std::string_view kInProgress =
    "TRYAGAIN another change of members is under way, or this leader has just begun; RAFT.MEMBERS "
    "LIST says when the phase is stable";
constexpr std::string_view kTransferring =
    "TRYAGAIN leadership is being handed over; try again when CLUSTER LEADER names the new leader";
constexpr std::string_view kUnknownChange =
    "UNKNOWN leadership was lost while members were being changed; RAFT.MEMBERS LIST on the leader "
    "tells what came of it";
constexpr std::string_view kUnknownTransfer =
    "UNKNOWN this node has handed over leadership, but knows no leader yet";

std::unexpected<std::string> wrong(std::string text) {
  return std::unexpected(std::move(text));
}

std::expected<uint64_t, std::string> parse_id(std::string_view text) {
  uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size() || id == 0) {
    return wrong(fmt::format("ERR '{}' is no node id: give a number, at least 1", text));
  }
  return id;
}

std::string describe(const Member& member) {
  return fmt::format("node {} ({}, clients {}, peers {})", member.id, member_role_text(member.role),
                     client_endpoint(member).to_string(), peer_endpoint(member).to_string());
}

std::string not_a_member(uint64_t id) {
  return fmt::format("ERR node {} is no member; RAFT.MEMBERS LIST names them", id);
}

std::string change_error(Replica& replica, const raft::MemberChange& change,
                         raft::ChangeError error) {
  switch (error) {
    case raft::ChangeError::kNotLeader:
      return replica.redirect(0);
    case raft::ChangeError::kInProgress:
      return std::string(kInProgress);
    case raft::ChangeError::kTransferring:
      return std::string(kTransferring);
    case raft::ChangeError::kNotMember:
      return not_a_member(change.id);
    case raft::ChangeError::kAlreadyMember: {
      const Member* member = replica.member(change.id);
      return fmt::format("ERR {} is that already",
                         member ? describe(*member) : fmt::format("node {}", change.id));
    }
    case raft::ChangeError::kLastVoter:
      return fmt::format(
          "ERR node {} is the last voter: nobody would be left to keep the data; add another node "
          "first",
          change.id);
    case raft::ChangeError::kTooMany:
      break;
  }
  return fmt::format("ERR {}", raft::change_error_text(error));
}

// Why a majority of the voters-to-be would not answer, so that nothing could be written any more.
// Empty if it does.
std::string unreachable_majority(const Replica& replica, const std::vector<raft::NodeId>& voters) {
  const raft::Status status = replica.raft_status();
  std::vector<raft::NodeId> silent;
  for (const raft::NodeId id : voters) {
    const auto peer = std::ranges::find(status.peers, id, &raft::PeerStatus::id);
    const bool active = id == status.id || (peer != status.peers.end() && peer->active);
    if (!active) silent.push_back(id);
  }
  if (voters.size() - silent.size() > voters.size() / 2) return "";
  return fmt::format(
      "the voters would be {}, of whom {} must answer, but nothing is heard from {}: start them "
      "first, or add FORCE if that is what you want",
      fmt::join(voters, ", "), voters.size() / 2 + 1, fmt::join(silent, ", "));
}

Begun change_members(Replica& replica, raft::MemberChange change) {
  const auto index = replica.change_members(change);
  if (!index) return wrong(change_error(replica, change, index.error()));
  return std::make_unique<AdminWait>(replica, std::move(change), *index);
}

std::expected<Member, std::string> parse_member(Args args) {
  const auto id = parse_id(args[2]);
  if (!id) return wrong(id.error());
  const auto client = parse_endpoint(args[3]);
  if (!client) return wrong("ERR client address: " + client.error());
  const auto peer = parse_endpoint(args[4]);
  if (!peer) return wrong("ERR peer address: " + peer.error());
  return Member{*id, client->host, client->port, peer->host, peer->port};
}

// ADD id client_host:port peer_host:port [NOPROMOTE]
Begun add(Replica& replica, Args args) {
  auto member = parse_member(args);
  if (!member) return wrong(member.error());
  if (args.size() > 6 || (args.size() == 6 && !same_word(args[5], "nopromote"))) {
    return wrong(kSyntaxError);
  }
  member->role = MemberRole::kLearner;
  member->promote = args.size() == 5;
  if (const Member* known = replica.member(member->id)) {
    return wrong(fmt::format("ERR {} is a member already; a new node needs an id of its own",
                             describe(*known)));
  }
  if (const std::string conflict = address_conflict(replica.members(), *member);
      !conflict.empty()) {
    return wrong("ERR " + conflict);
  }
  return change_members(replica, {.kind = raft::MemberChange::Kind::kAddLearner,
                                  .id = member->id,
                                  .context = encode_member_context(*member)});
}

// UPDATE id client_host:port peer_host:port
Begun update(Replica& replica, Args args) {
  auto member = parse_member(args);
  if (!member) return wrong(member.error());
  const Member* known = replica.member(member->id);
  if (known == nullptr) return wrong(not_a_member(member->id));
  if (const std::string conflict = address_conflict(replica.members(), *member);
      !conflict.empty()) {
    return wrong("ERR " + conflict);
  }
  member->role = known->role;
  member->promote = known->promote;
  if (*member == *known) return nullptr;
  return change_members(replica, {.kind = raft::MemberChange::Kind::kUpdateContext,
                                  .id = member->id,
                                  .context = encode_member_context(*member)});
}

// REMOVE id [FORCE], PROMOTE id [FORCE]
Begun change_voters(Replica& replica, raft::MemberChange::Kind kind, Args args) {
  const auto id = parse_id(args[2]);
  if (!id) return wrong(id.error());
  const bool force = args.size() == 4 && same_word(args[3], "force");
  if (args.size() > (force ? 4U : 3U)) return wrong(kSyntaxError);
  const Member* member = replica.member(*id);
  if (member == nullptr) return wrong(not_a_member(*id));
  const bool promote = kind == raft::MemberChange::Kind::kPromote;
  if (promote && member->role != MemberRole::kLearner) {
    return wrong(fmt::format("ERR {} is a voter already", describe(*member)));
  }
  std::vector<raft::NodeId> voters = replica.node().membership().membership.voters;
  if (promote) {
    voters.push_back(*id);
    std::ranges::sort(voters);
  } else {
    std::erase(voters, *id);
  }
  if (!force && !voters.empty()) {
    if (const std::string why = unreachable_majority(replica, voters); !why.empty()) {
      return wrong(
          fmt::format("ERR with node {} {} {}", *id, promote ? "promoted" : "removed", why));
    }
  }
  // So that no command that is on its way is lost track of: the next leader removes this one.
  const bool own = *id == replica.options().raft.id;
  if (own && !promote && replica.transfer(0)) {
    return std::make_unique<AdminWait>(replica, raft::NodeId{0}, true);
  }
  return change_members(replica, {.kind = kind, .id = *id});
}

// TRANSFER [id]
Begun transfer(Replica& replica, Args args) {
  uint64_t target = 0;
  if (args.size() == 2) {
    const auto id = parse_id(args[1]);
    if (!id) return wrong(id.error());
    target = *id;
    if (target == replica.options().raft.id) return nullptr;
    const Member* member = replica.member(target);
    if (member == nullptr) return wrong(not_a_member(target));
    if (member->role != MemberRole::kVoter) {
      return wrong(fmt::format("ERR {} can't lead: it does not vote", describe(*member)));
    }
  }
  if (replica.transferring() && !replica.transfer(target)) return wrong(std::string(kTransferring));
  if (!replica.transfer(target)) {
    return wrong(target == 0
                     ? "ERR there is no other voter that answers"
                     : fmt::format("ERR nothing is heard from node {}; start it first", target));
  }
  return std::make_unique<AdminWait>(replica, target);
}

}  // namespace

Begun begin_admin(Replica& replica, const CommandSpec& spec, Args args) {
  using Kind = raft::MemberChange::Kind;
  if (replica.loading()) return wrong(std::string(kLoadingError));
  if (!replica.leads()) return wrong(replica.redirect(0));
  const std::string_view name = spec.name;
  if (name == "raft.transfer") return transfer(replica, args);
  if (name == "add") return add(replica, args);
  if (name == "update") return update(replica, args);
  return change_voters(replica, name == "promote" ? Kind::kPromote : Kind::kRemove, args);
}

AdminWait::AdminWait(const Replica& replica, raft::MemberChange change, raft::Index index)
    : change_(std::move(change)), index_(index), term_(replica.leading_term()) {}

AdminWait::AdminWait(const Replica& replica, raft::NodeId target, bool then_there)
    : target_(target), then_there_(then_there), term_(replica.leading_term()) {}

bool AdminWait::over(Replica& replica) {
  if (over_) return true;
  auto judged = change_ ? judge_change(replica) : judge_transfer(replica);
  if (!judged) return false;
  over_ = true;
  outcome_ = std::move(*judged);
  return true;
}

bool AdminWait::waited_long_enough(const Replica& replica) {
  const uint64_t now = replica.monotonic_us();
  if (lost_until_us_ == 0) lost_until_us_ = now + 2 * replica.options().raft.election_timeout_us;
  return now >= lost_until_us_;
}

// What counts is what is committed: then it is so, whoever leads by now. (A leader that removes
// itself, for one, does not lead any more when its removal is committed.)
std::optional<std::string> AdminWait::judge_change(Replica& replica) {
  using Kind = raft::MemberChange::Kind;
  const raft::Node& node = replica.node();
  const raft::MembershipAt& at = node.membership();
  const raft::Membership& now = at.membership;
  if (at.index >= index_ && at.index <= node.commit_index() && !now.joint()) {
    const auto context = now.contexts.find(change_->id);
    const bool member = context != now.contexts.end();
    switch (change_->kind) {
      case Kind::kAddLearner:
        if (member) return "";
        break;
      case Kind::kRemove:
        if (!member) return "";
        break;
      case Kind::kPromote:
        if (std::ranges::binary_search(now.voters, change_->id)) return "";
        break;
      case Kind::kUpdateContext:
        if (member && context->second == change_->context) return "";
        break;
    }
  }
  if (node.is_leader() && node.term() == term_) return std::nullopt;
  // A later leader replaced our entry: nobody will ever carry it out.
  if (at.index < index_) return replica.redirect(0);
  if (!waited_long_enough(replica)) return std::nullopt;
  return std::string(kUnknownChange);
}

std::optional<std::string> AdminWait::judge_transfer(Replica& replica) {
  const raft::Node& node = replica.node();
  if (node.is_leader() && node.term() == term_) {
    if (replica.transferring()) return std::nullopt;
    return fmt::format(
        "ERR leadership was not taken over within {} ms, and stays here; is the node caught up?",
        replica.options().raft.election_timeout_us / 1000);
  }
  const raft::NodeId leader = node.leader();
  if (leader == 0) {
    if (!waited_long_enough(replica)) return std::nullopt;
    return std::string(kUnknownTransfer);
  }
  if (then_there_) return replica.redirect(0);
  if (target_ == 0 || leader == target_) return "";
  return fmt::format("ERR node {} leads now, not node {}", leader, target_);
}

}  // namespace raftkv::server
