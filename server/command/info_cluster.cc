// INFO's sections about the cluster: Replication, Cluster, Raft.

#include <algorithm>

#include "server/command/cluster_view.h"
#include "server/command/info.h"
#include "server/command/member_context.h"

namespace raftkv::server {
namespace {

const char* role_text(raft::Role role) {
  switch (role) {
    case raft::Role::kFollower:
      return "follower";
    case raft::Role::kPreCandidate:
      return "precandidate";
    case raft::Role::kCandidate:
      return "candidate";
    case raft::Role::kLeader:
      return "leader";
  }
  return "unknown";
}

const ViewedNode* find_node(const ClusterView& view, uint64_t id) {
  const auto found = std::ranges::find(view.nodes, id, &ViewedNode::id);
  return found == view.nodes.end() ? nullptr : &*found;
}

// Redis lists the replicas that are connected; "# Raft" tells of the others, too.
void write_replicas(const ClusterView& view, const raft::Status& status, InfoText& text) {
  const auto active = [](const raft::PeerStatus& peer) { return peer.active; };
  text.field("connected_slaves", std::ranges::count_if(status.peers, active));
  int number = 0;
  for (const raft::PeerStatus& peer : status.peers) {
    const ViewedNode* node = find_node(view, peer.id);
    if (!peer.active || !node) continue;
    text.field(fmt::format("slave{}", number++),
               fmt::format("ip={},port={},state=online,offset={},lag={}", node->host, node->port,
                           peer.match, peer.silent_us / 1'000'000));
  }
}

void write_master(const ClusterView& view, const Host& host, InfoText& text) {
  if (const ViewedNode* leader = view.leader()) {
    text.field("master_host", leader->host);
    text.field("master_port", leader->port);
    text.field("master_link_status", "up");
    text.field("master_last_io_seconds_ago", 0);  // or it would be no leader any more
  } else {
    text.field("master_link_status", "down");
    text.field("master_last_io_seconds_ago", -1);
  }
  text.field("master_sync_in_progress", 0);
  text.field("slave_read_repl_offset", host.applied_index());
  text.field("slave_repl_offset", host.applied_index());
  text.field("slave_priority", 100);
  text.field("slave_read_only", 1);
  text.field("replica_announced", 1);
  text.field("connected_slaves", 0);
}

// Bucket i counts syncs shorter than 100 us * 2^i; the last one also those that were longer.
std::string histogram_text(const std::vector<uint64_t>& counts) {
  std::string text;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (i > 0) text += ',';
    if (i + 1 == counts.size()) {
      text += fmt::format("more={}", counts[i]);
    } else {
      text += fmt::format("{}us={}", uint64_t{100} << i, counts[i]);
    }
  }
  return text;
}

const char* belonging_text(Belonging self) {
  switch (self) {
    case Belonging::kVoter:
      return "voter";
    case Belonging::kLearner:
      return "learner";
    case Belonging::kLeaving:
      return "leaving";
    case Belonging::kWaiting:
      return "waiting";
    case Belonging::kRemoved:
      return "removed";
  }
  return "unknown";
}

void write_raft_members(const Host& host, InfoText& text) {
  const MembershipFacts facts = host.membership();
  const std::vector<Member>& members = host.members();
  text.field("raft_members", members.size());
  text.field("raft_voters", std::ranges::count(members, MemberRole::kVoter, &Member::role));
  text.field("raft_membership", belonging_text(facts.self));
  text.field("raft_membership_index", facts.index);
  text.field("raft_membership_phase", membership_phase_text(facts));
  int number = 0;
  for (const Member& member : members) {
    text.field(
        fmt::format("raft_member{}", number++),
        fmt::format("id={},role={},addr={},peer_addr={}", member.id, member_role_text(member.role),
                    client_endpoint(member).to_string(), peer_endpoint(member).to_string()));
  }
}

// An error's text may hold anything; a field of INFO ends with its line.
std::string one_line(std::string text) {
  std::ranges::replace_if(
      text, [](char c) { return c == '\r' || c == '\n'; }, ' ');
  return text;
}

void write_raft_snapshots(const Host& host, InfoText& text) {
  const SnapshotStatus snapshots = host.snapshot_status();
  text.field("raft_snapshots_taken", snapshots.saves);
  text.field("raft_snapshots_failed", snapshots.failures);
  text.field("raft_snapshots_installed", snapshots.installs);
  text.field("raft_snapshot_bytes", snapshots.bytes);
  text.field("raft_snapshot_in_progress", snapshots.in_progress || snapshots.requested ? 1 : 0);
  text.field("raft_snapshot_last_error", one_line(snapshots.error));
  const raft::Status status = host.raft_status();
  text.field("raft_repairing", status.repairing ? 1 : 0);
}

void write_raft_digests(const Host& host, InfoText& text) {
  const DigestStatus digests = host.digest_status();
  text.field("raft_digest_in_progress", digests.in_progress ? 1 : 0);
  text.field("raft_digest_checks", digests.checks);
  text.field("raft_digest_last_index", digests.last_index);
  text.field("raft_digest_last_value",
             digests.last_index == 0 ? "" : digest_text(digests.last_value));
  text.field("raft_digest_last_ok_index", digests.last_ok_index);
  text.field("raft_digest_last_ok_time", digests.last_ok_wall_us / 1'000'000);
  text.field("raft_digest_mismatches", digests.mismatches);
  text.field("raft_digest_last_mismatch", one_line(digests.last_mismatch));
  text.field("raft_digest_skipped", digests.skipped);
  text.field("raft_digest_undecided", digests.undecided);
}

void write_raft_peers(const ClusterView& view, const raft::Status& status, InfoText& text) {
  int number = 0;
  for (const raft::PeerStatus& peer : status.peers) {
    const ViewedNode* node = find_node(view, peer.id);
    text.field(
        fmt::format("raft_peer{}", number++),
        fmt::format(
            "id={},addr={},role={},match={},next={},lag={},active={},silent_ms={},inflight={}",
            peer.id, node ? client_address(*node) : "", peer.learner ? "learner" : "voter",
            peer.match, peer.next, status.last - std::min(status.last, peer.match),
            peer.active ? 1 : 0, peer.silent_us / 1000, peer.inflight_messages));
  }
}

}  // namespace

std::string digest_text(const data::Keyspace::Digest& digest) {
  return fmt::format("{:016x}{:016x}", digest.high, digest.low);
}

void write_info_replication(const InfoSource& source, InfoText& text) {
  const Host& host = source.host;
  const raft::Status status = host.raft_status();
  const ClusterView view = view_cluster(host, source.client);
  if (status.role == raft::Role::kLeader) {
    text.field("role", "master");
    write_replicas(view, status, text);
  } else {
    text.field("role", "slave");
    write_master(view, host, text);
  }
  const DiskFacts disk = host.disk();
  text.field("master_failover_state",
             status.transfer_target != 0 ? "failover-in-progress" : "no-failover");
  text.field("master_replid", host.cluster_id());
  text.field("master_replid2", std::string(40, '0'));
  text.field("master_repl_offset", status.commit);
  text.field("second_repl_offset", -1);
  text.field("repl_backlog_active", 1);
  text.field("repl_backlog_size", disk.log_bytes);
  text.field("repl_backlog_first_byte_offset", disk.first_index);
  text.field(
      "repl_backlog_histlen",
      disk.first_index == 0 ? 0 : status.last + 1 - std::min(status.last + 1, disk.first_index));
}

void write_info_cluster(const InfoSource&, InfoText& text) {
  text.field("cluster_enabled", 1);
}

void write_info_raft(const InfoSource& source, InfoText& text) {
  Host& host = source.host;
  const raft::Status status = host.raft_status();
  const ClusterView view = view_cluster(host, source.client);
  const DiskFacts disk = host.disk();
  const Stats& stats = host.stats();
  text.field("raft_node_id", host.self_id());
  text.field("raft_cluster_id", host.cluster_id());
  write_raft_members(host, text);
  text.field("raft_role", role_text(status.role));
  text.field("raft_term", status.term);
  text.field("raft_leader_id", status.leader);
  text.field("raft_leader_addr", view.has_leader ? client_address(*view.leader()) : "");
  text.field("raft_commit_index", status.commit);
  text.field("raft_applied_index", host.applied_index());
  text.field("raft_last_index", status.last);
  text.field("raft_durable_index", status.durable);
  text.field("raft_snapshot_index", host.snapshot_index());
  text.field("raft_first_index", disk.first_index);
  write_raft_snapshots(host, text);
  write_raft_digests(host, text);
  text.field("raft_log_bytes", disk.log_bytes);
  text.field("raft_disk_full", disk.full ? 1 : 0);
  text.field("raft_log_time_ms", host.log_time_us() / 1000);
  text.field("raft_syncs", disk.syncs);
  text.field("raft_sync_us_last", disk.last_sync_us);
  text.field("raft_sync_histogram", histogram_text(disk.sync_histogram));
  text.field("raft_entries_applied", stats.entries_applied);
  text.field("raft_commands_applied", stats.commands_applied);
  const SessionFacts sessions = host.sessions();
  text.field("raft_sessions", sessions.count);
  text.field("raft_session_bytes", sessions.bytes);
  text.field("raft_once_duplicates", stats.once_duplicates);
  text.field("raft_elections_started", status.elections_started);
  text.field("raft_leader_changes", status.leader_changes);
  if (status.role == raft::Role::kLeader) write_raft_peers(view, status, text);
}

}  // namespace raftkv::server
