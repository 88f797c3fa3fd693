// Who belongs to the group: what the process does and says when that changes.
#include <fmt/format.h>
#include <glog/logging.h>

#include <algorithm>

#include "server/command/member_context.h"
#include "server/server.h"

namespace raftkv::server {

namespace {

std::string names_of(const std::vector<Member>& members) {
  std::string text;
  for (const Member& member : members) {
    text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", member.id,
                        member_role_text(member.role), client_endpoint(member).to_string());
  }
  return text.empty() ? "nobody" : text;
}

bool same_addresses(const Member& a, const Member& b) {
  return client_endpoint(a) == client_endpoint(b) && peer_endpoint(a) == peer_endpoint(b);
}

std::string update_advice(const Member& wanted) {
  return fmt::format("raftkv-cli members update --id {} --client {} --peer {}", wanted.id,
                     client_endpoint(wanted).to_string(), peer_endpoint(wanted).to_string());
}

}  // namespace

void Server::membership_changed(const MembershipFacts& facts, const std::vector<Member>& members) {
  // At the end nobody is dialled any more.
  if (phase_ == Phase::kDraining) return;
  peers_->set_members(members, facts.index);
  if (!std::exchange(compared_with_flags_, true)) compare_with_flags();
  LOG(INFO) << "members by log entry " << facts.index << " (" << membership_phase_text(facts)
            << "): " << names_of(members);
  if (facts.committed && !facts.joint) forget_removed(members);
  if (facts.self != belonging_) tell_belonging(facts.self);
}

// Whoever comes under the id of a member whose removal is committed may be another node.
void Server::forget_removed(const std::vector<Member>& members) {
  std::erase_if(met_members_, [&](uint64_t id) {
    if (std::ranges::find(members, id, &Member::id) != members.end()) return false;
    peers_->forget(id);
    return true;
  });
  for (const Member& member : members) met_members_.insert(member.id);
}

void Server::tell_belonging(Belonging now) {
  belonging_ = now;
  switch (now) {
    case Belonging::kWaiting:
      LOG(INFO) << "this node waits to be added to cluster " << config_.cluster_id
                << ": raftkv-cli members add --id " << config_.node_id << " --client "
                << config_.listen_host << ":" << config_.listen_port << " --peer "
                << config_.peer_host << ":" << config_.peer_port << " --nodes <the cluster's>";
      break;
    case Belonging::kRemoved:
      LOG(WARNING) << "node " << config_.node_id << " is not a member of the cluster any more: it "
                   << "answers CLUSTERDOWN and takes part in nothing. Stop it, and delete its data "
                   << "directory " << config_.data_dir << " before its id is used again";
      break;
    case Belonging::kLearner:
      LOG(INFO) << "this node is a learner now: it gets the log, and does not vote yet";
      break;
    case Belonging::kLeaving:
      LOG(INFO) << "this node is being removed from the cluster";
      break;
    case Belonging::kVoter:
      LOG(INFO) << "this node is a voter now";
      break;
  }
}

// The flags say who the members were when the group began; what counts is the log.
void Server::compare_with_flags() const {
  const std::vector<Member>& log = members();
  if (log.empty()) return;
  const bool same = std::ranges::equal(log, config_.members, [](const Member& a, const Member& b) {
    return a.id == b.id && same_addresses(a, b) && a.role == MemberRole::kVoter;
  });
  if (!config_.members.empty() && !same) {
    LOG(WARNING) << "--cluster names " << names_of(config_.members)
                 << ", but the log says: " << names_of(log) << ". The log counts";
  }
  const Member* known = replica_->member(config_.node_id);
  if (known == nullptr) return;
  const auto flagged = std::ranges::find(config_.members, config_.node_id, &Member::id);
  if (flagged != config_.members.end() && !same_addresses(*flagged, *known)) {
    LOG(WARNING) << "the others know this node as " << client_endpoint(*known).to_string()
                 << " (peers " << peer_endpoint(*known).to_string()
                 << "), not as --cluster has it. If it has moved: " << update_advice(*flagged);
  } else if (known->client_port != config_.listen_port || known->peer_port != config_.peer_port) {
    LOG(WARNING) << "this node listens on ports " << config_.listen_port << " and "
                 << config_.peer_port << ", but the others know it as "
                 << client_endpoint(*known).to_string() << " (peers "
                 << peer_endpoint(*known).to_string()
                 << "). Unless something forwards one to the other: raftkv-cli members update --id "
                 << config_.node_id << " --client HOST:PORT --peer HOST:PORT";
  }
}

}  // namespace raftkv::server
