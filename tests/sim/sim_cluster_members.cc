// Who belongs to the simulated cluster, how snapshots travel in it, and which disks may be damaged.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/command/member_context.h"
#include "tests/sim/sim_cluster.h"

namespace raftkv::sim {

namespace {

// A sender notices so late that a transfer was lost on the way.
constexpr uint64_t kTransferTimeoutUs = 500'000;
// So many voters stay.
constexpr size_t kVotersMin = 3;

}  // namespace

// --- snapshots on their way --------------------------------------------------------------------

void SimCluster::carry(SnapshotTransfer transfer) {
  auto shared = std::make_shared<SnapshotTransfer>(std::move(transfer));
  const SimNode& receiver = *nodes_[shared->to - 1];
  carry_part(std::move(shared), world_.random().between(1, 5), receiver.life());
}

// A connection, of which any part may be the last: it ends with one of the two processes, and needs
// both directions.
void SimCluster::carry_part(std::shared_ptr<SnapshotTransfer> transfer, uint64_t parts,
                            uint64_t life) {
  Random& random = world_.random();
  uint64_t delay = random.between(20, 2 * profile_.delay_us_max);
  if (faults_on_) delay += link_delay_us_[{transfer->from, transfer->to}];
  const bool lost = faults_on_ && random.chance(profile_.lost_files);
  if (faults_on_ && parts == 1 && random.chance(profile_.flipped_files)) {
    ++totals_.flipped_files;
    std::string& bytes = transfer->bytes;
    bytes[random.below(bytes.size())] ^= static_cast<char>(1 << random.below(8));
  }
  world_.after(delay, [this, transfer, parts, life, lost] {
    SimNode& receiver = *nodes_[transfer->to - 1];
    const bool cut = cut_.contains({transfer->from, transfer->to}) ||
                     cut_.contains({transfer->to, transfer->from});
    if (lost) ++totals_.lost_files;
    if (lost || cut || !receiver.up() || receiver.life() != life) {
      world_.after(kTransferTimeoutUs, [transfer] { transfer->done(0); });
      return;
    }
    if (parts > 1) return carry_part(transfer, parts - 1, life);
    auto ended = std::make_shared<bool>(false);
    const auto end = [transfer, ended](raft::Index index) {
      if (!std::exchange(*ended, true)) transfer->done(index);
    };
    // Whoever dies meanwhile never answers.
    world_.after(20 * kTransferTimeoutUs, [end] { end(0); });
    receiver.receive_snapshot(*transfer, [this, end](auto index) {
      world_.after(world_.random().between(20, profile_.delay_us_max),
                   [end, index] { end(index); });
    });
  });
}

// --- members -----------------------------------------------------------------------------------

// Commits are final, and their indexes order them.
void SimCluster::follow_membership() {
  for (auto& node : nodes_) {
    if (!node->up()) continue;
    const raft::Node& core = node->replica().node();
    const raft::MembershipAt& at = core.membership();
    if (at.index <= members_.index || at.index > core.commit_index()) continue;
    ++totals_.changes;
    members_ = at;
    for (const auto& [id, context] : at.membership.contexts) were_added_.insert(id);
  }
  if (members_.membership.joint()) return;
  for (uint64_t id : were_added_) {
    if (members_.membership.contexts.contains(id) || !retired_.insert(id).second) continue;
    world_.after(world_.random().below(3'000'000), [this, id] {
      if (nodes_[id - 1]->up()) nodes_[id - 1]->crash();
    });
  }
}

// Asks whoever leads for a change. An id is never used again.
void SimCluster::change_members() {
  SimNode* const asked = leader();
  if (asked == nullptr) return;
  const raft::Membership& membership = asked->replica().node().membership().membership;
  raft::MemberChange change;
  if (!choose_change(membership, asked->id(), change)) return;
  constexpr const char* kWords[] = {"add", "promote", "remove"};
  trace_.say("node {} is asked to {} node {}", asked->id(),
             kWords[static_cast<size_t>(change.kind)], change.id);
  asked->enqueue([asked, change] { (void)asked->replica().change_members(change); });
}

bool SimCluster::choose_change(const raft::Membership& membership, raft::NodeId leader,
                               raft::MemberChange& change) {
  using Kind = raft::MemberChange::Kind;
  Random& random = world_.random();
  const auto pick = [&random](const std::vector<raft::NodeId>& ids) {
    return ids[random.below(ids.size())];
  };
  change.kind = static_cast<Kind>(random.below(3));
  // What is gone is replaced first: a new node comes, and promotes itself, then the old one goes.
  const auto gone = std::ranges::find_if(
      lost_, [&](raft::NodeId id) { return membership.contexts.contains(id); });
  if (gone != lost_.end() && membership.voters.size() > kVotersMin) {
    change = {.kind = Kind::kRemove, .id = *gone};
    return true;
  }
  switch (change.kind) {
    case Kind::kAddLearner: {
      const auto spare = std::ranges::find_if(nodes_, [&](const auto& node) {
        return !were_added_.contains(node->id()) && !membership.contexts.contains(node->id());
      });
      if (spare == nodes_.end()) return false;
      change.id = (*spare)->id();
      server::Member member;
      member.id = change.id;
      member.client_host = member.peer_host = "node";
      member.client_port = static_cast<uint16_t>(7000 + change.id);
      member.peer_port = static_cast<uint16_t>(17000 + change.id);
      member.promote = random.chance(0.6);
      change.context = server::encode_member_context(member);
      if ((*spare)->life() == 0) (*spare)->start();
      return true;
    }
    case Kind::kPromote:
      if (membership.learners.empty()) return false;
      change.id = pick(membership.learners);
      return true;
    default:
      change.kind = Kind::kRemove;
      if (!membership.learners.empty() && random.chance(0.4)) {
        change.id = pick(membership.learners);
        return true;
      }
      // What a damaged disk lost stands on the others.
      if (membership.voters.size() <= kVotersMin || !all_sound()) return false;
      change.id = random.chance(0.3) ? leader : pick(membership.voters);
      return true;
  }
}

bool SimCluster::all_sound() const {
  return std::ranges::all_of(nodes_, [this](const auto& node) {
    const bool gone = is_lost(*node) && members_.membership.contexts.contains(node->id());
    return node->sound() && !gone;
  });
}

// A minority of the smallest set of voters there may be.
bool SimCluster::may_damage() const {
  const size_t voters =
      profile_.changes > 0 ? std::min(kVotersMin, profile_.nodes) : profile_.nodes;
  // Who is gone and was removed is missed by nobody; but a leader may not know of the removal yet.
  const auto unsound = std::ranges::count_if(nodes_, [this](const auto& node) {
    return !node->sound() || (is_lost(*node) && !retired_.contains(node->id()));
  });
  return static_cast<size_t>(unsound) < (voters - 1) / 2;
}

std::string SimCluster::states() const {
  std::string text;
  for (const auto& node : nodes_) {
    if (!node->up()) {
      text += fmt::format(" {}:down", node->id());
      continue;
    }
    const raft::Status status = node->raft_status();
    text += fmt::format(" {}:{}/term {}/log {}-{}/commit {}/applied {}/snapshot {}{}{}", node->id(),
                        raft::role_name(status.role), status.term, status.first, status.last,
                        status.commit, node->applied_index(), status.snapshot_index,
                        status.repairing ? "/repairing" : "", node->loading() ? "/loading" : "");
  }
  text += "; voters";
  for (raft::NodeId id : members_.membership.voters) text += fmt::format(" {}", id);
  return text;
}

}  // namespace raftkv::sim
