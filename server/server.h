// The process: event loop, listeners, log writer and replica, wired together. Everything here runs
// on the loop's thread, except that the log writer's thread wakes it.
#pragma once

#include <uv.h>

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "server/command/host.h"
#include "server/config.h"
#include "server/difference_record.h"
#include "server/net/listener.h"
#include "server/peer/known_peers.h"
#include "server/peer/transport.h"
#include "server/replica/replica.h"
#include "server/snapshot_reads.h"
#include "server/snapshot_service.h"
#include "storage/log/identity.h"
#include "storage/log/log_writer.h"
#include "storage/log/rocks_log_store.h"

namespace raftkv::server {

class Server final : public Host, public ReplicaPorts {
 public:
  explicit Server(Config config);
  ~Server() override;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Opens the data directory, recovers the log, binds both ports. The error is one line for the
  // operator: what is wrong and what to do.
  std::expected<void, std::string> start();
  // Serves until SIGTERM, SIGINT or SHUTDOWN; returns after a clean end.
  void run();

  // --- Host (host_facts.cc, settings.cc) ----------------------------------------------------
  raft::Status raft_status() const override { return replica_->raft_status(); }
  uint64_t self_id() const override { return config_.node_id; }
  const std::vector<Member>& members() const override { return replica_->members(); }
  MembershipFacts membership() const override { return replica_->membership(); }
  const std::string& cluster_id() const override { return config_.cluster_id; }
  const std::string& run_id() const override { return run_id_; }
  const data::Keyspace& keyspace() const override { return replica_->state().keyspace(); }
  uint64_t applied_index() const override { return replica_->state().applied_index(); }
  uint64_t log_time_us() const override { return replica_->state().log_time_us(); }
  uint64_t snapshot_index() const override { return replica_->snapshot_status().index; }
  SnapshotStatus snapshot_status() const override { return replica_->snapshot_status(); }
  std::optional<LoadFacts> load_facts() const override { return snapshots_->load_facts(); }
  DigestStatus digest_status() const override;
  bool request_snapshot() override { return replica_->request_snapshot(); }
  std::expected<SnapshotFileFacts, std::string> snapshot_file() override;
  std::expected<std::string, std::string> read_snapshot(uint64_t index, uint64_t term,
                                                        uint64_t offset, uint64_t count) override {
    return snapshot_reads_->read({.term = term, .index = index}, offset, count, now_monotonic_us());
  }
  bool loading() const override { return replica_->loading(); }
  Stats& stats() override { return stats_; }
  DiskFacts disk() const override;
  SessionFacts sessions() const override;
  uint64_t wall_us() const override;
  uint64_t monotonic_us() const override { return replica_->monotonic_us(); }
  uint64_t started_monotonic_us() const override { return started_us_; }
  void for_each_client(const std::function<void(const ClientState&)>& visit) const override;
  size_t client_count() const override { return clients_->size(); }
  size_t blocked_client_count() const override { return replica_->blocked_count(); }
  bool kill_client(uint64_t id) override { return clients_->kill(id); }
  std::vector<Setting> settings() const override;
  std::expected<void, std::string> change_setting(std::string_view name,
                                                  std::string_view value) override;
  bool transfer_leadership(uint64_t target) override { return replica_->transfer(target); }
  void request_shutdown() override;
  std::optional<PeerTraffic> peer_traffic() const override;

 private:
  enum class Phase : uint8_t { kServing, kHandingOver, kRedirecting, kDraining };

  // ReplicaPorts
  void send(raft::Message message) override;
  void persist(raft::Persist persist) override { writer_->submit(std::move(persist)); }
  // Until the end nothing is written without the writer.
  bool disk_full() const override { return writer_ != nullptr && writer_->disk_full(); }
  raft::MonotonicUs now_monotonic_us() override;
  uint64_t now_wall_us() override;
  void leadership_changed(const raft::Status& status) override;
  void membership_changed(const MembershipFacts& facts,
                          const std::vector<Member>& members) override;

  void send_snapshot(raft::NodeId to, const raft::SnapshotMeta& meta) override {
    snapshots_->send(to, meta);
  }
  void dataset_differs(const DigestDifference& difference) override;
  void digests_undecided(raft::Index index) override;

  std::expected<void, std::string> import_dump(const storage::Identity& identity);
  std::expected<void, std::string> open_log(raft::Restored& restored);
  void start_over(const std::string& why);
  std::expected<void, std::string> start_peers();
  void watch_loop();
  void turn();
  void arm_timer();
  void compare_with_flags() const;
  void tell_belonging(Belonging now);
  void forget_removed(const std::vector<Member>& members);
  void sample_rates();
  void tell_disk_full();
  void continue_shutdown();
  void wait_for_quiet();
  void close_handles();

  Config config_;
  std::string run_id_;
  uint64_t started_us_ = 0;
  Stats stats_;

  uv_loop_t loop_{};
  uv_check_t turn_check_{};  // after each poll: the turn
  uv_idle_t more_work_{};    // active while the loop must not sleep
  uv_timer_t deadline_timer_{};
  uv_timer_t rates_timer_{};
  uv_async_t durable_async_{};  // from the log writer's thread
  uv_signal_t sigterm_{};
  uv_signal_t sigint_{};
  uint64_t armed_deadline_us_ = 0;

  storage::OpenedDirectory directory_;
  std::optional<KnownPeers> known_peers_;  // from start() on
  DifferenceRecord differences_;
  std::unique_ptr<storage::RocksLogStore> store_;
  std::unique_ptr<SnapshotService> snapshots_;
  std::unique_ptr<SnapshotReads> snapshot_reads_;  // from start() on
  std::unique_ptr<storage::LogWriter> writer_;
  std::unique_ptr<Replica> replica_;
  std::unique_ptr<PeerTransport> peers_;
  std::unique_ptr<ClientListener> clients_;

  Phase phase_ = Phase::kServing;
  bool shutdown_requested_ = false;
  Belonging belonging_ = Belonging::kVoter;  // as last told in the log
  bool compared_with_flags_ = false;
  bool told_disk_full_ = false;
  std::set<uint64_t> met_members_;  // and not forgotten again
  bool handing_over_ = false;
  uint64_t handover_deadline_us_ = 0;
  uint64_t quiet_since_us_ = 0;
  uint64_t quiet_commands_ = 0;
  uint64_t redirect_deadline_us_ = 0;
  uint64_t messages_sent_ = 0;
  uint64_t messages_received_ = 0;
  // What the rates were computed from last.
  uint64_t sampled_us_ = 0;
  uint64_t sampled_commands_ = 0;
  uint64_t sampled_input_ = 0;
  uint64_t sampled_output_ = 0;
  uint64_t sampled_resets_ = 0;
};

}  // namespace raftkv::server
