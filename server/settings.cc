// CONFIG GET and SET of what this process can be asked and told.
#include <fmt/format.h>

#include <charconv>
#include <map>

#include "server/server.h"

namespace raftkv::server {

namespace {

// The settings that may change while the server runs, each with the limits of its flag.
struct Changeable {
  const char* name;
  uint64_t min;
  uint64_t max;
};

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kGiB = uint64_t{1} << 30;

constexpr Changeable kChangeable[] = {
    {"maxclients", 1, 1'000'000},
    {"timeout", 0, UINT32_MAX},
    {"client-output-soft-bytes", 16 * kKiB, 64 * kGiB},
    {"client-output-hard-bytes", 16 * kKiB, 64 * kGiB},
    {"client-query-buffer-limit", kGiB / 1024, 4 * kGiB},
};

uint64_t read_setting(const ClientOptions& clients, std::string_view name) {
  if (name == "maxclients") return clients.clients_max;
  if (name == "timeout") return clients.idle_timeout_s;
  if (name == "client-output-soft-bytes") return clients.output_bytes_soft;
  if (name == "client-output-hard-bytes") return clients.output_bytes_hard;
  return clients.query_buffer_bytes_max;
}

void write_setting(ClientOptions& clients, std::string_view name, uint64_t value) {
  if (name == "maxclients") {
    clients.clients_max = value;
  } else if (name == "timeout") {
    clients.idle_timeout_s = value;
  } else if (name == "client-output-soft-bytes") {
    clients.output_bytes_soft = value;
  } else if (name == "client-output-hard-bytes") {
    clients.output_bytes_hard = value;
  } else {
    clients.query_buffer_bytes_max = value;
  }
}

}  // namespace

std::vector<Setting> Server::settings() const {
  std::vector<Setting> settings;
  for (const Changeable& setting : kChangeable) {
    settings.push_back(
        {setting.name, std::to_string(read_setting(clients_->options(), setting.name)), true});
  }
  const raft::Options& raft = config_.replica.raft;
  const auto fixed = [&settings](const char* name, std::string value) {
    settings.push_back({name, std::move(value), false});
  };
  fixed("port", std::to_string(config_.listen_port));
  fixed("bind", config_.listen_host);
  fixed("dir", config_.data_dir);
  fixed("node_id", std::to_string(config_.node_id));
  fixed("read_mode", read_mode_name(config_.replica.read_mode));
  fixed("follower_reads", follower_reads_name(config_.replica.follower_reads));
  fixed("heartbeat_ms", std::to_string(raft.heartbeat_us / 1000));
  fixed("election_timeout_ms", std::to_string(raft.election_timeout_us / 1000));
  fixed("max_entry_bytes", std::to_string(config_.replica.command_bytes_max));
  fixed("batch_bytes", std::to_string(config_.replica.batch_bytes));
  fixed("entries_inflight", std::to_string(config_.replica.entries_inflight_max));
  fixed("write_gathering_us", std::to_string(config_.replica.gathering_us_max));
  const OnceLimits& once = config_.replica.once;
  fixed("session_ttl", std::to_string(once.ttl_s));
  fixed("session_replies", std::to_string(once.replies_max));
  fixed("session_reply_bytes", std::to_string(once.reply_bytes_max));
  fixed("sessions_max", std::to_string(once.sessions_max));
  const SnapshotLimits& snapshots = config_.replica.snapshots.limits;
  fixed("snapshot_log_bytes", std::to_string(snapshots.log_bytes));
  fixed("snapshot_entries", std::to_string(snapshots.log_entries));
  fixed("log_tail_entries", std::to_string(snapshots.tail_entries));
  fixed("log_tail_bytes", std::to_string(snapshots.tail_bytes));
  fixed("snapshot_rate_bytes", std::to_string(config_.snapshot_rate_bytes));
  fixed("snapshot_write_bytes",
        std::to_string(config_.replica.snapshots.cut.writer.bytes_per_second_max));
  fixed("digest_interval", std::to_string(config_.replica.digest_interval_us / 1'000'000));
  fixed("peer_port", std::to_string(config_.peer_port));
  return settings;
}

std::expected<void, std::string> Server::change_setting(std::string_view name,
                                                        std::string_view value) {
  for (const Changeable& setting : kChangeable) {
    if (name != setting.name) continue;
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size()) {
      return std::unexpected(std::string("argument couldn't be parsed into an integer"));
    }
    if (number < setting.min || number > setting.max) {
      return std::unexpected(
          fmt::format("argument must be between {} and {} inclusive", setting.min, setting.max));
    }
    write_setting(clients_->options(), name, number);
    return {};
  }
  return std::unexpected(std::string("can't set immutable config"));
}

}  // namespace raftkv::server
