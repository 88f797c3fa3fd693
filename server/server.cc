#include "server/server.h"

#include <fmt/format.h>
#include <glog/logging.h>
#include <time.h>
#include <unistd.h>

#include <random>
#include <utility>

#include "server/cluster_identity.h"
#include "server/command/info.h"
#include "server/import_rdb.h"
#include "server/replica/session.h"
#include "server/restart_process.h"
#include "server/stagger.h"

namespace raftkv::server {

namespace {

uint64_t clock_us(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000 +
         static_cast<uint64_t>(time.tv_nsec) / 1000;
}

uint64_t precise_clock_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

// How often the operations per second of INFO are sampled.
constexpr uint64_t kRatesIntervalMs = 500;
// Turns in a row for commands that became ready in a turn, before the sockets are looked at again.
constexpr int kTurnsInARow = 4;
// Clients that have sent nothing for so long have learned that this node does not lead any more.
constexpr uint64_t kQuietUs = 50'000;

}  // namespace

Server::Server(Config config) : config_(std::move(config)), run_id_(random_hex40()) {
  config_.replica.precise_clock_ns = precise_clock_ns;
  started_us_ = now_monotonic_us();
  CHECK_EQ(uv_loop_init(&loop_), 0);
}

Server::~Server() {
  // The writer's thread may still wake the loop: it ends first.
  writer_.reset();
  clients_.reset();
  peers_.reset();
  replica_.reset();
  store_.reset();
  uv_loop_close(&loop_);
}

// Counts the time a machine was suspended: leases and election timeouts must not outlive it.
raft::MonotonicUs Server::now_monotonic_us() {
  return clock_us(CLOCK_BOOTTIME);
}
uint64_t Server::now_wall_us() {
  return clock_us(CLOCK_REALTIME);
}
uint64_t Server::wall_us() const {
  return clock_us(CLOCK_REALTIME);
}

std::expected<void, std::string> Server::import_dump(const storage::Identity& identity) {
  const auto report = import_rdb({.file = config_.import_rdb,
                                  .data_dir = config_.data_dir,
                                  .identity = identity,
                                  .membership = config_.replica.raft.bootstrap,
                                  .hash_seed = config_.replica.hash_seed,
                                  .wall_us = now_wall_us()});
  if (!report) return std::unexpected(report.error());
  LOG(INFO) << "this cluster begins with the " << report->keys << " keys of " << config_.import_rdb
            << " (" << report->expired << " more had expired). Leave --import_rdb out from now on";
  return {};
}

std::expected<void, std::string> Server::open_log(raft::Restored& restored) {
  std::random_device random;
  const uint64_t incarnation = (uint64_t{random()} << 32) | random();
  const storage::Identity identity{config_.cluster_id, config_.node_id, incarnation};
  if (!config_.import_rdb.empty()) {
    if (auto imported = import_dump(identity); !imported) return imported;
  }
  auto directory = storage::open_data_directory(config_.data_dir, identity);
  if (!directory) return std::unexpected(directory.error());
  directory_ = std::move(*directory);
  if (auto there = storage::check_log_is_not_lost(config_.data_dir); !there) return there;
  storage::RocksLogOptions log;
  log.first_flush_bytes = staggered(config_.node_id, log.memtable_bytes);
  auto store = storage::RocksLogStore::open(config_.data_dir + "/log", log);
  if (!store) return std::unexpected(store.error());
  store_ = std::move(*store);
  auto recovered = store_->recover();
  if (!recovered) return std::unexpected(recovered.error());
  restored = std::move(*recovered);
  if (!store_->damage().empty()) {
    LOG(ERROR) << store_->damage() << "; this node does not vote until the others have repaired it";
  }
  auto differences = discard_what_differs(config_.data_dir, *store_, restored);
  if (!differences) return std::unexpected(differences.error());
  differences_ = std::move(*differences);
  if (auto opened = snapshots_->open(config_.data_dir, *store_, restored); !opened) return opened;
  LOG(INFO) << "data directory " << config_.data_dir << ": term " << restored.hard_state.term
            << ", last index " << restored.last_index << ", committed at least "
            << restored.hard_state.commit;
  return {};
}

// The ports first: a node that can't have them must not leave a data directory behind. Nothing is
// accepted before the loop runs.
std::expected<void, std::string> Server::start() {
  watch_loop();
  clients_ = std::make_unique<ClientListener>(
      &loop_, config_.clients, stats_, *this, [this](SessionOwner& owner, ClientState state) {
        return Session::open(*replica_, *this, owner, std::move(state));
      });
  if (auto bound = clients_->start(); !bound) return bound;
  snapshots_ = std::make_unique<SnapshotService>(&loop_, config_.replica.hash_seed);
  config_.replica.snapshots.cluster_id = config_.cluster_id;
  config_.replica.snapshots.cut.writer.on_progress = [this] { snapshots_->wake(); };
  if (auto bound = start_peers(); !bound) return bound;
  raft::Restored restored;
  if (auto opened = open_log(restored); !opened) return opened;
  peers_->set_incarnation(directory_.identity.incarnation);
  auto known_peers = KnownPeers::open(config_.data_dir);
  if (!known_peers) return std::unexpected(known_peers.error());
  known_peers_.emplace(std::move(*known_peers));
  peers_->remember_incarnations(known_peers_->incarnations());
  writer_ = std::make_unique<storage::LogWriter>(
      *store_, [this] { uv_async_send(&durable_async_); },
      [](const std::string& error) {
        LOG(ERROR) << "the log could not be written: " << error
                   << "; this node ends here, because what was written before may be lost as well. "
                      "Check the disk, then start it again";
        google::FlushLogFiles(google::INFO);
        _exit(1);
      });
  replica_ = std::make_unique<Replica>(config_.replica, std::move(restored), *store_,
                                       snapshots_->store(), stats_, *this);
  snapshot_reads_ = std::make_unique<SnapshotReads>(snapshots_->store());
  snapshots_->start(*replica_, *peers_, [this](const std::string& why) { start_over(why); });
  return {};
}

std::expected<void, std::string> Server::start_peers() {
  PeerOptions options;
  options.cluster_id = config_.cluster_id;
  options.self_id = config_.node_id;
  options.listen_host = config_.peer_host;
  options.listen_port = config_.peer_port;
  options.members = config_.members;
  options.joining = config_.join;
  options.self = {config_.node_id, config_.listen_host, config_.listen_port, config_.peer_host,
                  config_.peer_port};
  // Without the file a wiped member would only be noticed until this process ends.
  const auto warn = [](const std::expected<void, std::string>& written) {
    if (!written) LOG(ERROR) << written.error();
  };
  options.on_peer_incarnation = [this, warn](uint64_t id, uint64_t incarnation) {
    warn(known_peers_->learn(id, incarnation));
  };
  options.on_peer_forgotten = [this, warn](uint64_t id) { warn(known_peers_->forget(id)); };
  options.queue_bytes_max = config_.peer_queue_bytes_max;
  options.snapshots.rate_bytes_per_s = config_.snapshot_rate_bytes;
  options.snapshots.offered = [this](uint64_t from, const SnapshotOffer& offer) {
    return snapshots_->offered(from, offer);
  };
  options.snapshots.received = [this](uint64_t from, const SnapshotOffer& offer,
                                      std::unique_ptr<SnapshotSink> sink,
                                      std::function<void(SnapshotResult)> respond) {
    snapshots_->received(from, offer, std::move(sink), std::move(respond));
  };
  options.on_part_of_message = [this](uint64_t id) { replica_->receiving_from(id); };
  peers_ =
      std::make_unique<PeerTransport>(&loop_, std::move(options), [this](raft::Message message) {
        ++messages_received_;
        replica_->step(std::move(message));
      });
  return peers_->start();
}

void Server::watch_loop() {
  const auto turn_cb = [](auto* handle) { static_cast<Server*>(handle->data)->turn(); };
  turn_check_.data = more_work_.data = deadline_timer_.data = rates_timer_.data = this;
  durable_async_.data = sigterm_.data = sigint_.data = this;
  uv_check_init(&loop_, &turn_check_);
  uv_check_start(&turn_check_, turn_cb);
  uv_idle_init(&loop_, &more_work_);
  uv_timer_init(&loop_, &deadline_timer_);
  uv_timer_init(&loop_, &rates_timer_);
  uv_timer_start(
      &rates_timer_, [](uv_timer_t* t) { static_cast<Server*>(t->data)->sample_rates(); },
      kRatesIntervalMs, kRatesIntervalMs);
  uv_async_init(&loop_, &durable_async_, [](uv_async_t* async) {
    auto* self = static_cast<Server*>(async->data);
    for (raft::Persist& persist : self->writer_->take_durable()) {
      self->replica_->persisted(std::move(persist));
    }
  });
  const auto on_signal = [](uv_signal_t* signal, int number) {
    LOG(INFO) << "signal " << number << ": shutting down";
    static_cast<Server*>(signal->data)->request_shutdown();
  };
  uv_signal_init(&loop_, &sigterm_);
  uv_signal_start(&sigterm_, on_signal, SIGTERM);
  uv_signal_init(&loop_, &sigint_);
  uv_signal_start(&sigint_, on_signal, SIGINT);
}

void Server::run() {
  LOG(INFO) << "node " << config_.node_id << " of " << members().size() << " serves clients on "
            << config_.listen_host << ":" << config_.listen_port << ", peers on "
            << config_.peer_host << ":" << config_.peer_port;
  turn();
  uv_run(&loop_, UV_RUN_DEFAULT);
  LOG(INFO) << "node " << config_.node_id << " ends";
}

// Everything that came in is in the replica by now. What leaves first is what others wait for.
void Server::turn() {
  bool more = false;
  for (int i = 0; i < kTurnsInARow; ++i) {
    clients_->resume();
    more = replica_->end_turn();
    peers_->flush();
    clients_->flush();
    // Commands that had waited may have run while replies were flushed.
    if (!replica_->in_turn()) break;
    more = true;
  }
  if (replica_->may_be_discarded() && !shutdown_requested_)
    start_over("the data of this node are discarded");
  if (shutdown_requested_) continue_shutdown();
  if (more || clients_->has_pending_work()) {
    uv_idle_start(&more_work_, [](uv_idle_t*) {});
  } else {
    uv_idle_stop(&more_work_);
  }
  arm_timer();
}

void Server::arm_timer() {
  uint64_t deadline = replica_->next_deadline();
  if (phase_ == Phase::kRedirecting) deadline = std::min(deadline, quiet_since_us_ + kQuietUs);
  if (deadline == armed_deadline_us_ &&
      uv_is_active(reinterpret_cast<uv_handle_t*>(&deadline_timer_))) {
    return;
  }
  armed_deadline_us_ = deadline;
  const uint64_t now = now_monotonic_us();
  const uint64_t delay_ms = deadline > now ? (deadline - now + 999) / 1000 : 0;
  uv_update_time(&loop_);
  uv_timer_start(
      &deadline_timer_, [](uv_timer_t* timer) { static_cast<Server*>(timer->data)->turn(); },
      delay_ms, 0);
}

void Server::send(raft::Message message) {
  ++messages_sent_;
  peers_->send(message);
}

void Server::leadership_changed(const raft::Status& status) {
  LOG(INFO) << "term " << status.term << ": " << raft::role_name(status.role)
            << (status.leader == 0 ? std::string(", no leader known")
                                   : fmt::format(", leader {}", status.leader))
            << ", last index " << status.last << ", commit " << status.commit;
}

void Server::dataset_differs(const DigestDifference& difference) {
  differences_.discard = true;
  ++differences_.count;
  differences_.last =
      fmt::format("at index {} the digest of this node's dataset was {}, that of the majority {}",
                  difference.index, digest_text(difference.own), digest_text(difference.majority));
  LOG(ERROR)
      << "THE DATA OF THIS NODE DIFFER FROM THE OTHERS': " << differences_.last
      << ". What was read here since may have been wrong. This node serves nothing any more"
      << (replica_->node().is_leader() ? ", hands over leadership" : "")
      << ", discards its dataset, its log and its snapshots, starts again, and gets all of it "
         "from the leader; until then it does not vote. Look for the cause: memory, disk, or "
         "a defect of this program";
  if (auto written = write_differences(config_.data_dir, differences_); !written) {
    LOG(ERROR)
        << written.error()
        << ". This node ends here: without that file its next start would serve the same "
           "data. Remove it from the cluster (raftkv-cli members replace) and add it with an "
           "empty directory";
    google::FlushLogFiles(google::INFO);
    _exit(1);
  }
}

void Server::digests_undecided(raft::Index index) {
  const DigestStatus& own = replica_->digest_status();
  LOG(ERROR) << "THE DATA OF THE NODES DIFFER: at index " << index
             << " no majority has the same. This node's digest is "
             << (own.last_index == index ? digest_text(own.last_value) : "not known")
             << ". Nobody can tell whose data are right, so all nodes go on: compare "
                "raft_digest_last_value in the INFO of all nodes, and replace those whose data you "
                "do not trust";
}

DigestStatus Server::digest_status() const {
  DigestStatus status = replica_->digest_status();
  status.mismatches = differences_.count;
  status.last_mismatch = differences_.last;
  return status;
}

void Server::tell_disk_full() {
  const bool full = disk_full();
  if (full == told_disk_full_) return;
  told_disk_full_ = full;
  if (full) {
    LOG(ERROR) << "the disk of " << config_.data_dir
               << " is full or nearly so: writes are refused until there is room again";
  } else {
    LOG(INFO) << "there is room on the disk of " << config_.data_dir << " again";
  }
}

void Server::sample_rates() {
  tell_disk_full();
  const uint64_t now = now_monotonic_us();
  snapshot_reads_->close_idle(now);
  if (sampled_us_ != 0 && sampled_resets_ == stats_.resets && now > sampled_us_) {
    const double seconds = static_cast<double>(now - sampled_us_) / 1e6;
    const auto rate = [seconds](uint64_t value, uint64_t before) {
      return static_cast<double>(value - before) / seconds;
    };
    stats_.ops_per_second = rate(stats_.commands_processed, sampled_commands_);
    stats_.input_kbps = rate(stats_.input_bytes, sampled_input_) / 1024;
    stats_.output_kbps = rate(stats_.output_bytes, sampled_output_) / 1024;
  }
  sampled_us_ = now;
  sampled_resets_ = stats_.resets;
  sampled_commands_ = stats_.commands_processed;
  sampled_input_ = stats_.input_bytes;
  sampled_output_ = stats_.output_bytes;
}

// What this node started from turned out to be damaged. The next start does without it; a process
// that begins anew is the same as one that was restarted, and needs no path of its own.
void Server::start_over(const std::string& why) {
  LOG(ERROR) << why << "; starting again without it";
  google::FlushLogFiles(google::INFO);
  restart_process();
  LOG(FATAL) << "this process can't start itself again: start it by hand";
}

// --- the end
// --------------------------------------------------------------------------------------

void Server::request_shutdown() {
  if (shutdown_requested_) return;
  shutdown_requested_ = true;
  uv_idle_start(&more_work_, [](uv_idle_t*) {});
}

// First leadership goes to another node, so that the cluster need not wait for an election; what
// clients sent meanwhile is answered MOVED, until they have taken their business elsewhere (a
// command that nobody read would leave its client in doubt); then the clients get the replies they
// wait for; then the peers' connections close.
void Server::continue_shutdown() {
  if (phase_ == Phase::kServing) {
    phase_ = Phase::kHandingOver;
    handover_deadline_us_ = now_monotonic_us() + 2 * config_.replica.raft.election_timeout_us;
    handing_over_ = replica_->transfer(0);
  }
  if (phase_ == Phase::kRedirecting) return wait_for_quiet();
  if (phase_ != Phase::kHandingOver) return;
  const bool leads = replica_->raft_status().role == raft::Role::kLeader;
  if (handing_over_ && leads && replica_->transferring() &&
      now_monotonic_us() < handover_deadline_us_) {
    return;
  }
  phase_ = Phase::kRedirecting;
  quiet_since_us_ = now_monotonic_us();
  quiet_commands_ = stats_.commands_processed;
  redirect_deadline_us_ = quiet_since_us_ + config_.shutdown_grace_ms * 1000;
  return wait_for_quiet();
}

void Server::wait_for_quiet() {
  const uint64_t now = now_monotonic_us();
  if (std::exchange(quiet_commands_, stats_.commands_processed) != stats_.commands_processed) {
    quiet_since_us_ = now;
  }
  if (handing_over_ && now < std::min(quiet_since_us_ + kQuietUs, redirect_deadline_us_)) return;
  phase_ = Phase::kDraining;
  clients_->stop(config_.shutdown_grace_ms, [this] { peers_->stop([this] { close_handles(); }); });
}

void Server::close_handles() {
  for (auto* handle :
       {reinterpret_cast<uv_handle_t*>(&turn_check_), reinterpret_cast<uv_handle_t*>(&more_work_),
        reinterpret_cast<uv_handle_t*>(&deadline_timer_),
        reinterpret_cast<uv_handle_t*>(&rates_timer_), reinterpret_cast<uv_handle_t*>(&sigterm_),
        reinterpret_cast<uv_handle_t*>(&sigint_)}) {
    uv_close(handle, nullptr);
  }
  // A snapshot that is being written is worth nothing unfinished; its thread wakes the loop, too.
  replica_->end_snapshots();
  snapshots_->stop();
  // The writer's thread wakes the loop through this one: what is queued is synced first.
  writer_.reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&durable_async_), nullptr);
}

}  // namespace raftkv::server
