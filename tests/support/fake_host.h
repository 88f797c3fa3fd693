// A host of local commands made of plain fields, which a test sets as it needs them: member 1 of
// three on ports 7001 to 7003, leader of term 5, with an empty keyspace.
#pragma once

#include <algorithm>
#include <expected>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "server/command/host.h"

namespace raftkv::test {

class FakeHost : public server::Host {
 public:
  FakeHost() {
    for (uint64_t id = 1; id <= 3; ++id) {
      const auto port = static_cast<uint16_t>(7000 + id);
      members_field.push_back({.id = id,
                               .client_host = "127.0.0.1",
                               .client_port = port,
                               .peer_host = "127.0.0.1",
                               .peer_port = static_cast<uint16_t>(port + 10'000)});
    }
    status_field.id = 1;
    lead(1);
    status_field.term = 5;
  }

  // Makes `id` the leader that this node knows of, 0 for none, with what a leader knows of the
  // others.
  void lead(uint64_t id) {
    status_field.leader = id;
    status_field.role = id == status_field.id ? raft::Role::kLeader : raft::Role::kFollower;
    status_field.peers.clear();
    if (status_field.role != raft::Role::kLeader) return;
    for (const server::Member& member : members_field) {
      if (member.id == status_field.id) continue;
      raft::PeerStatus peer;
      peer.id = member.id;
      peer.active = true;
      status_field.peers.push_back(peer);
    }
  }

  raft::Status raft_status() const override { return status_field; }
  uint64_t self_id() const override { return status_field.id; }
  const std::vector<server::Member>& members() const override { return members_field; }
  server::MembershipFacts membership() const override { return membership_field; }
  const std::string& cluster_id() const override { return cluster_id_field; }
  const std::string& run_id() const override { return run_id_field; }

  const data::Keyspace& keyspace() const override { return keyspace_field; }
  uint64_t applied_index() const override { return applied_field; }
  uint64_t log_time_us() const override { return log_time_us_field; }
  uint64_t snapshot_index() const override { return snapshot_field; }
  bool loading() const override { return loading_field; }

  server::Stats& stats() override { return stats_field; }
  server::DiskFacts disk() const override { return disk_field; }
  std::optional<server::PeerTraffic> peer_traffic() const override { return traffic_field; }

  uint64_t wall_us() const override { return wall_us_field; }
  uint64_t monotonic_us() const override { return monotonic_us_field; }
  uint64_t started_monotonic_us() const override { return started_us_field; }

  void for_each_client(
      const std::function<void(const server::ClientState&)>& visit) const override {
    for (const auto& [id, client] : clients_field) visit(client);
  }
  size_t client_count() const override { return clients_field.size(); }
  size_t blocked_client_count() const override { return blocked_field; }
  bool kill_client(uint64_t id) override {
    if (clients_field.erase(id) == 0) return false;
    killed_field.push_back(id);
    return true;
  }

  std::vector<server::Setting> settings() const override { return settings_field; }
  std::expected<void, std::string> change_setting(std::string_view name,
                                                  std::string_view value) override {
    if (value == "bad") {
      return std::unexpected("ERR CONFIG SET failed (possibly related to argument '" +
                             std::string(name) +
                             "') - argument couldn't be parsed into an integer");
    }
    for (server::Setting& setting : settings_field) {
      if (setting.name == name) setting.value = value;
    }
    return {};
  }

  server::SnapshotStatus snapshot_status() const override { return snapshots_field; }
  server::DigestStatus digest_status() const override { return digests_field; }
  std::optional<server::LoadFacts> load_facts() const override { return load_field; }
  bool request_snapshot() override {
    ++snapshot_requests_field;
    return something_to_save_field;
  }

  std::expected<server::SnapshotFileFacts, std::string> snapshot_file() override {
    return snapshot_file_field;
  }
  std::expected<std::string, std::string> read_snapshot(uint64_t index, uint64_t term,
                                                        uint64_t offset, uint64_t count) override {
    snapshot_reads_field.push_back({index, term, offset, count});
    return snapshot_bytes_field;
  }

  bool transfer_leadership(uint64_t target) override {
    transfers_field.push_back(target);
    return true;
  }
  void request_shutdown() override { ++shutdowns_field; }

  raft::Status status_field;
  std::vector<server::Member> members_field;
  server::MembershipFacts membership_field;
  std::string cluster_id_field = std::string(40, 'c');
  std::string run_id_field = std::string(40, 'd');
  data::Keyspace keyspace_field{1};
  uint64_t applied_field = 0;
  uint64_t log_time_us_field = 0;
  uint64_t snapshot_field = 0;
  bool loading_field = false;
  server::SnapshotStatus snapshots_field;
  server::DigestStatus digests_field;
  std::optional<server::LoadFacts> load_field;
  int snapshot_requests_field = 0;
  bool something_to_save_field = true;
  std::expected<server::SnapshotFileFacts, std::string> snapshot_file_field;
  std::expected<std::string, std::string> snapshot_bytes_field;
  std::vector<std::vector<uint64_t>> snapshot_reads_field;
  server::Stats stats_field;
  server::DiskFacts disk_field;
  std::optional<server::PeerTraffic> traffic_field;
  uint64_t wall_us_field = 1'700'000'000'123'456;
  uint64_t monotonic_us_field = 500'000'000;
  uint64_t started_us_field = 100'000'000;
  std::map<uint64_t, server::ClientState> clients_field;
  size_t blocked_field = 0;
  std::vector<uint64_t> killed_field;
  std::vector<server::Setting> settings_field;
  std::vector<uint64_t> transfers_field;
  int shutdowns_field = 0;
};

}  // namespace raftkv::test
