// INFO's sections about what clients do: Clients, Persistence, Stats, Commandstats, Errorstats,
// Latencystats, Keyspace.

#include <algorithm>

#include "server/command/config_command.h"
#include "server/command/info.h"

namespace raftkv::server {

void write_info_clients(const InfoSource& source, InfoText& text) {
  const Host& host = source.host;
  size_t input_max = 0;
  size_t output_max = 0;
  host.for_each_client([&](const ClientState& client) {
    input_max = std::max(input_max, client.input_bytes);
    output_max = std::max(output_max, client.output_bytes);
  });
  text.field("connected_clients", host.client_count());
  text.field("maxclients", setting_value(host, "maxclients"));
  text.field("client_recent_max_input_buffer", input_max);
  text.field("client_recent_max_output_buffer", output_max);
  text.field("blocked_clients", host.blocked_client_count());
  text.field("tracking_clients", 0);
  text.field("clients_in_timeout_table", 0);
}

namespace {

void write_loading(const Host& host, InfoText& text) {
  text.field("loading", host.loading() ? 1 : 0);
  text.field("async_loading", 0);
  const std::optional<LoadFacts> load = host.load_facts();
  if (!load) return;
  const uint64_t left = load->bytes_total - std::min(load->bytes_total, load->bytes);
  // As Redis, which guesses by the speed so far.
  const double seconds = static_cast<double>(load->elapsed_us) / 1e6;
  const double eta =
      load->bytes == 0 ? 1 : seconds * static_cast<double>(left) / static_cast<double>(load->bytes);
  const double percent = load->bytes_total == 0 ? 0
                                                : static_cast<double>(load->bytes) * 100 /
                                                      static_cast<double>(load->bytes_total);
  text.field("loading_start_time",
             (host.wall_us() - std::min(host.wall_us(), load->elapsed_us)) / 1'000'000);
  text.field("loading_total_bytes", load->bytes_total);
  text.field("loading_loaded_bytes", load->bytes);
  text.ratio("loading_loaded_perc", percent);
  text.field("loading_eta_seconds", static_cast<uint64_t>(eta));
}

// Snapshots stand for Redis's RDB files.
void write_saves(const Host& host, InfoText& text) {
  const SnapshotStatus status = host.snapshot_status();
  const bool attempted = status.saves + status.failures > 0;
  text.field("rdb_changes_since_last_save",
             host.applied_index() - std::min(host.applied_index(), host.snapshot_index()));
  text.field("rdb_bgsave_in_progress", status.in_progress || status.requested ? 1 : 0);
  text.field("rdb_last_save_time", last_save_s(host));
  text.field("rdb_last_bgsave_status", status.error.empty() ? "ok" : "err");
  text.field("rdb_last_bgsave_time_sec",
             attempted ? static_cast<int64_t>(status.took_us / 1'000'000) : -1);
  text.field(
      "rdb_current_bgsave_time_sec",
      status.in_progress
          ? static_cast<int64_t>((host.wall_us() - std::min(host.wall_us(), status.began_wall_us)) /
                                 1'000'000)
          : -1);
  text.field("rdb_saves", status.saves);
  text.field("current_save_keys_processed", status.in_progress ? status.keys_done : 0);
  text.field("current_save_keys_total", status.in_progress ? status.keys_total : 0);
}

}  // namespace

uint64_t last_save_s(const Host& host) {
  const uint64_t saved_us = host.snapshot_status().saved_wall_us;
  if (saved_us != 0) return saved_us / 1'000'000;
  const uint64_t uptime_us = host.monotonic_us() - host.started_monotonic_us();
  return (host.wall_us() - std::min(host.wall_us(), uptime_us)) / 1'000'000;
}

void write_info_persistence(const InfoSource& source, InfoText& text) {
  Host& host = source.host;
  write_loading(host, text);
  write_saves(host, text);
  // The replicated log stands for Redis's append only file, synced at each write.
  const DiskFacts disk = host.disk();
  text.field("aof_enabled", 1);
  text.field("aof_rewrite_in_progress", 0);
  text.field("aof_rewrite_scheduled", 0);
  text.field("aof_last_rewrite_time_sec", -1);
  text.field("aof_current_rewrite_time_sec", -1);
  text.field("aof_last_bgrewrite_status", "ok");
  // A write that fails ends the process, but for those that wait for room on the disk.
  text.field("aof_last_write_status", disk.full ? "err" : "ok");
  text.field("aof_current_size", disk.log_bytes);
  text.field("aof_base_size", 0);
  text.field("aof_pending_rewrite", 0);
  text.field("aof_delayed_fsync", 0);
}

void write_info_stats(const InfoSource& source, InfoText& text) {
  const Stats& stats = source.host.stats();
  uint64_t error_replies = 0;
  for (const auto& [code, count] : stats.errors) error_replies += count;

  text.field("total_connections_received", stats.connections_received);
  text.field("total_commands_processed", stats.commands_processed);
  text.field("instantaneous_ops_per_sec", static_cast<uint64_t>(stats.ops_per_second));
  text.field("total_net_input_bytes", stats.input_bytes);
  text.field("total_net_output_bytes", stats.output_bytes);
  text.ratio("instantaneous_input_kbps", stats.input_kbps);
  text.ratio("instantaneous_output_kbps", stats.output_kbps);
  text.field("rejected_connections", stats.connections_rejected);
  text.field("sync_full", 0);
  text.field("sync_partial_ok", 0);
  text.field("sync_partial_err", 0);
  text.field("expired_keys", stats.expired_keys);
  text.ratio("expired_stale_perc", 0);
  text.field("expired_time_cap_reached_count", 0);
  text.field("evicted_keys", 0);
  text.field("evicted_clients", 0);
  text.field("keyspace_hits", stats.keyspace_hits);
  text.field("keyspace_misses", stats.keyspace_misses);
  text.field("pubsub_channels", 0);
  text.field("pubsub_patterns", 0);
  text.field("latest_fork_usec", 0);
  text.field("total_forks", 0);
  text.field("migrate_cached_sockets", 0);
  text.field("total_error_replies", error_replies);
  text.field("total_reads_granted", stats.reads_granted);
  text.field("total_moved_replies", stats.moved_replies);
  text.field("total_unknown_outcomes", stats.unknown_outcomes);
}

void write_info_commandstats(const InfoSource& source, InfoText& text) {
  for (const auto& [name, one] : source.host.stats().commands) {
    if (one.calls == 0 && one.rejected == 0 && one.failed == 0) continue;
    const double us_per_call =
        one.calls == 0 ? 0 : static_cast<double>(one.us) / static_cast<double>(one.calls);
    text.field(
        fmt::format("cmdstat_{}", name),
        fmt::format("calls={},usec={},usec_per_call={:.2f},rejected_calls={},failed_calls={}",
                    one.calls, one.us, us_per_call, one.rejected, one.failed));
  }
}

// Latencies are not kept by command: the section is there for those who look for its title.
void write_info_latencystats(const InfoSource&, InfoText&) {}

void write_info_errorstats(const InfoSource& source, InfoText& text) {
  for (const auto& [code, count] : source.host.stats().errors) {
    text.field(fmt::format("errorstat_{}", code), fmt::format("count={}", count));
  }
}

void write_info_keyspace(const InfoSource& source, InfoText& text) {
  const Host& host = source.host;
  const data::Keyspace& keyspace = host.keyspace();
  if (keyspace.size() == 0) return;
  const auto now_ms = static_cast<data::TimeMs>(host.wall_us() / 1000);
  text.field("db0", fmt::format("keys={},expires={},avg_ttl={}", keyspace.size(),
                                keyspace.size_with_expiry(), keyspace.average_ttl(now_ms)));
}

}  // namespace raftkv::server
