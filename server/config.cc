#include "server/config.h"

#include <fmt/format.h>
#include <gflags/gflags.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <random>
#include <set>

#include "server/cluster_identity.h"
#include "server/command/member_context.h"
#include "server/stagger.h"

DEFINE_uint64(node_id, 1, "This node's id in --cluster, at least 1.");
DEFINE_string(listen, "",
              "host:port for clients. Default: this node's client address in --cluster, or "
              "127.0.0.1:7001 without --cluster.");
DEFINE_string(
    peer_listen, "",
    "host:port for the other nodes. Default: this node's peer address in --cluster, or the "
    "client port + 10000.");
DEFINE_string(cluster, "",
              "All members, the same list on every node: id@client_host:port@peer_host:port,... "
              "Empty: a cluster of this node alone.");
DEFINE_bool(join, false,
            "Start empty and wait to be added to a running cluster (raftkv-cli members add); needs "
            "--listen and --cluster_id, and no --cluster.");
DEFINE_string(cluster_id, "",
              "40 hexadecimal characters that name the cluster; the same on every node. Default: "
              "derived from --cluster.");
DEFINE_string(data_dir, "raftkv-data",
              "Where log and metadata are kept; created if it is missing.");
DEFINE_string(import_rdb, "",
              "A Redis RDB file that a new cluster begins with: only with a fresh --data_dir, and "
              "for a cluster of this node alone, which others join later.");
DEFINE_string(read_mode, "read_index",
              "How reads are kept linearizable: read_index (a majority confirms the leader), lease "
              "(no round trip while the leader's lease lasts; clocks must not drift by more than "
              "10 %), stale (any node answers at once; reads may be old).");
DEFINE_string(
    follower_reads, "linearizable",
    "What a node that does not lead does with the reads of a connection that said "
    "READONLY: linearizable (asks the leader how far it must be first), stale (answers at "
    "once, perhaps from the past), off (sends them to the leader).");
DEFINE_uint64(heartbeat_ms, 50, "Milliseconds between a leader's heartbeats, 1 to 10000.");
DEFINE_uint64(
    election_timeout_ms, 400,
    "Milliseconds of a leader's silence after which a follower stands for election (drawn "
    "anew each time from once to twice this), at least 3 heartbeats, at most 60000.");
DEFINE_uint64(
    disk_stall_ms, 2000,
    "A leader whose disk write hangs for so many milliseconds steps down, 100 to 600000.");
DEFINE_uint64(max_entry_bytes, uint64_t{64} << 20,
              "Bytes of the largest command or transaction that is accepted, 1 KiB to 512 MiB.");
DEFINE_uint64(
    batch_bytes, uint64_t{1} << 20,
    "Bytes of commands at which a log entry is closed and the next begun, 1 KiB to 64 MiB.");
DEFINE_uint64(entries_inflight, 4,
              "Log entries of this leader's on their way to being committed; while they are, the "
              "next one gathers. 1 to 1024.");
DEFINE_uint64(
    write_gathering_us, 1000,
    "Microseconds that a write waits for others to share a sync with, at most, while many "
    "clients write one after the other and less than a third of them wait for an answer. 0: "
    "not at all; up to 100000.");
DEFINE_uint64(write_queue_bytes, uint64_t{8} << 20,
              "Bytes of commands that may wait for the log before connections are no longer read "
              "from, 64 KiB to 1 GiB.");
DEFINE_uint64(uncommitted_bytes, uint64_t{64} << 20,
              "Bytes of entries proposed but not committed, at most, 1 MiB to 4 GiB.");
DEFINE_uint64(append_bytes, uint64_t{1} << 20,
              "Bytes of entries in one message to a follower, 4 KiB to 64 MiB.");
DEFINE_uint64(follower_window_bytes, uint64_t{16} << 20,
              "Bytes of entries on their way to one follower, unacknowledged, 64 KiB to 1 GiB.");
DEFINE_uint64(follower_window_messages, 256,
              "Messages with entries on their way to one follower, 1 to 65536.");
DEFINE_uint64(log_cache_bytes, uint64_t{64} << 20,
              "Bytes of recent log entries kept in memory for followers, 1 MiB to 64 GiB.");
DEFINE_uint64(
    peer_queue_bytes, uint64_t{64} << 20,
    "Bytes queued for one peer's connection before messages are dropped, 1 MiB to 4 GiB.");
DEFINE_uint64(
    snapshot_log_bytes, uint64_t{1} << 30,
    "A snapshot is taken, and the log cut, when so many bytes of entries were applied since "
    "the last one, 64 KiB to 1 TiB; 0: not by bytes. A new node's first one comes earlier, each "
    "node's at another time, so that they don't write theirs at once.");
DEFINE_uint64(
    snapshot_entries, 0,
    "A snapshot is taken when so many entries were applied since the last one, at most 10^12; "
    "0: not by entries.");
DEFINE_uint64(
    log_tail_entries, 100'000,
    "Entries kept in the log before a snapshot, for followers a little behind, at most 10^9.");
DEFINE_uint64(log_tail_bytes, uint64_t{64} << 20,
              "Bytes of entries kept in the log before a snapshot, at most 64 GiB.");
DEFINE_uint64(
    snapshot_rate_bytes, uint64_t{64} << 20,
    "Bytes a second at which snapshots are sent to other nodes, at least 64 KiB; 0: no limit.");
DEFINE_uint64(
    digest_interval, 600,
    "Seconds between two checks that all members hold the same data; the leader's counts. At most "
    "31536000; 0: none.");
DEFINE_uint64(
    snapshot_write_bytes, uint64_t{64} << 20,
    "Bytes a second, before they are compressed, at which a snapshot is written at most, so that "
    "neither clients nor the log's syncs wait for it, at least 64 KiB; a small dataset's more "
    "slowly, within a minute. 0: as fast as the disk takes them.");
DEFINE_uint64(maxclients, 10'000, "Client connections at a time, 1 to 1000000.");
DEFINE_uint64(timeout, 0, "Seconds after which an idle client is disconnected; 0: never.");
DEFINE_uint64(client_output_soft_bytes, uint64_t{1} << 20,
              "A client with so many unread reply bytes is not read from, at least 16 KiB.");
DEFINE_uint64(client_output_hard_bytes, uint64_t{256} << 20,
              "A client with so many unread reply bytes is disconnected, at least the soft limit.");
DEFINE_uint64(client_query_bytes, uint64_t{1} << 30,
              "Bytes of one client's requests that may be buffered, 1 MiB to 4 GiB.");
DEFINE_uint64(client_outstanding, 16'384,
              "Commands of one client that may be on their way, 1 to 1048576.");
DEFINE_uint64(session_ttl, 3600,
              "Seconds without use after which a session of RAFT.ONCE is gone, unless RAFT.SESSION "
              "OPEN says otherwise; by the log's clock. 1 to 315360000.");
DEFINE_uint64(
    session_replies, 1024,
    "Replies kept of one session of RAFT.ONCE, for retries, 1 to 65536. Each session keeps "
    "to the limit of the leader that opened it.");
DEFINE_uint64(session_reply_bytes, uint64_t{64} << 10,
              "Bytes of these replies together, 1 KiB to 64 MiB.");
DEFINE_uint64(sessions_max, 10'000,
              "Sessions of RAFT.ONCE that may be open at a time, 1 to 1000000.");
DEFINE_uint64(
    shutdown_grace_ms, 1000,
    "Milliseconds that clients are given to take their replies at SIGTERM, at most 60000.");

namespace raftkv::server {

namespace {

std::unexpected<std::string> wrong(std::string text) {
  return std::unexpected(std::move(text));
}

struct Range {
  const char* flag;
  uint64_t value;
  uint64_t min;
  uint64_t max;
  bool or_zero = false;  // which has a meaning of its own
};

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kGiB = 1024 * kMiB;

std::optional<std::string> range_error() {
  const Range ranges[] = {
      {"node_id", FLAGS_node_id, 1, UINT64_MAX},
      {"heartbeat_ms", FLAGS_heartbeat_ms, 1, 10'000},
      {"election_timeout_ms", FLAGS_election_timeout_ms, 3 * FLAGS_heartbeat_ms, 60'000},
      {"disk_stall_ms", FLAGS_disk_stall_ms, 100, 600'000},
      {"max_entry_bytes", FLAGS_max_entry_bytes, kKiB, 512 * kMiB},
      {"batch_bytes", FLAGS_batch_bytes, kKiB, 64 * kMiB},
      {"entries_inflight", FLAGS_entries_inflight, 1, 1024},
      {"write_gathering_us", FLAGS_write_gathering_us, 0, 100'000},
      {"write_queue_bytes", FLAGS_write_queue_bytes, 64 * kKiB, kGiB},
      {"uncommitted_bytes", FLAGS_uncommitted_bytes, kMiB, 4 * kGiB},
      {"append_bytes", FLAGS_append_bytes, 4 * kKiB, 64 * kMiB},
      {"follower_window_bytes", FLAGS_follower_window_bytes, 64 * kKiB, kGiB},
      {"follower_window_messages", FLAGS_follower_window_messages, 1, 65'536},
      {"log_cache_bytes", FLAGS_log_cache_bytes, kMiB, 64 * kGiB},
      {"peer_queue_bytes", FLAGS_peer_queue_bytes, kMiB, 4 * kGiB},
      {"snapshot_log_bytes", FLAGS_snapshot_log_bytes, 64 * kKiB, 1024 * kGiB, true},
      {"snapshot_entries", FLAGS_snapshot_entries, 0, 1'000'000'000'000},
      {"log_tail_entries", FLAGS_log_tail_entries, 0, 1'000'000'000},
      {"log_tail_bytes", FLAGS_log_tail_bytes, 0, 64 * kGiB},
      {"snapshot_rate_bytes", FLAGS_snapshot_rate_bytes, 64 * kKiB, 1024 * kGiB, true},
      {"snapshot_write_bytes", FLAGS_snapshot_write_bytes, 64 * kKiB, 1024 * kGiB, true},
      {"digest_interval", FLAGS_digest_interval, 0, 31'536'000},
      {"maxclients", FLAGS_maxclients, 1, 1'000'000},
      {"timeout", FLAGS_timeout, 0, UINT32_MAX},
      {"client_output_soft_bytes", FLAGS_client_output_soft_bytes, 16 * kKiB, 4 * kGiB},
      {"client_output_hard_bytes", FLAGS_client_output_hard_bytes, FLAGS_client_output_soft_bytes,
       64 * kGiB},
      {"client_query_bytes", FLAGS_client_query_bytes, kMiB, 4 * kGiB},
      {"client_outstanding", FLAGS_client_outstanding, 1, 1 << 20},
      {"session_ttl", FLAGS_session_ttl, 1, kSessionTtlMaxS},
      {"session_replies", FLAGS_session_replies, 1, 65'536},
      {"session_reply_bytes", FLAGS_session_reply_bytes, kKiB, 64 * kMiB},
      {"sessions_max", FLAGS_sessions_max, 1, 1'000'000},
      {"shutdown_grace_ms", FLAGS_shutdown_grace_ms, 0, 60'000},
  };
  for (const Range& range : ranges) {
    if (range.or_zero && range.value == 0) continue;
    if (range.value < range.min || range.value > range.max) {
      return fmt::format("--{}={} is out of range; give a value from {} to {}{}", range.flag,
                         range.value, range.min, range.max, range.or_zero ? ", or 0" : "");
    }
  }
  return std::nullopt;
}

std::expected<ReadMode, std::string> parse_read_mode(std::string_view name) {
  for (ReadMode mode : {ReadMode::kReadIndex, ReadMode::kLease, ReadMode::kStale}) {
    if (name == read_mode_name(mode)) return mode;
  }
  return wrong(fmt::format("--read_mode={} is not known; give read_index, lease or stale", name));
}

std::expected<FollowerReads, std::string> parse_follower_reads(std::string_view name) {
  for (FollowerReads mode :
       {FollowerReads::kOff, FollowerReads::kLinearizable, FollowerReads::kStale}) {
    if (name == follower_reads_name(mode)) return mode;
  }
  return wrong(
      fmt::format("--follower_reads={} is not known; give off, linearizable or stale", name));
}

template <typename Number>
bool parse_number(std::string_view text, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

// Where a node listens that is in no list: by --listen and --peer_listen alone.
std::expected<Member, std::string> addresses_from_listen() {
  const auto own = parse_endpoint(FLAGS_listen.empty() ? "127.0.0.1:7001" : FLAGS_listen);
  if (!own) return wrong("--listen: " + own.error());
  if (FLAGS_peer_listen.empty() && own->port > UINT16_MAX - kPeerPortOffset) {
    return wrong(fmt::format("--listen={}: port + {} is no port; give --peer_listen too",
                             FLAGS_listen, kPeerPortOffset));
  }
  Endpoint peer{own->host, static_cast<uint16_t>(own->port + kPeerPortOffset)};
  if (!FLAGS_peer_listen.empty()) {
    const auto given = parse_endpoint(FLAGS_peer_listen);
    if (!given) return wrong("--peer_listen: " + given.error());
    peer = *given;
  }
  return Member{FLAGS_node_id, own->host, own->port, peer.host, peer.port};
}

std::expected<Member, std::string> addresses_from_cluster(Config& config) {
  auto members = parse_cluster(FLAGS_cluster);
  if (!members) return wrong("--cluster: " + members.error());
  config.members = std::move(*members);
  const auto self = std::ranges::find(config.members, config.node_id, &Member::id);
  if (self == config.members.end()) {
    return wrong(
        fmt::format("--node_id={} is not in --cluster; give the id of one of its members, or "
                    "--join instead of --cluster if it is to be added to a running cluster",
                    config.node_id));
  }
  Member own = *self;
  if (!FLAGS_listen.empty()) {
    const auto listen = parse_endpoint(FLAGS_listen);
    if (!listen) return wrong("--listen: " + listen.error());
    own.client_host = listen->host;
    own.client_port = listen->port;
  }
  if (!FLAGS_peer_listen.empty()) {
    const auto listen = parse_endpoint(FLAGS_peer_listen);
    if (!listen) return wrong("--peer_listen: " + listen.error());
    own.peer_host = listen->host;
    own.peer_port = listen->port;
  }
  return own;
}

std::optional<std::string> join_error() {
  if (!FLAGS_join) return std::nullopt;
  if (!FLAGS_cluster.empty()) {
    return "--join and --cluster exclude each other: a node that joins is told who the members are";
  }
  if (FLAGS_listen.empty()) {
    return "--join needs --listen: the address at which clients will reach this node";
  }
  if (FLAGS_cluster_id.empty()) {
    return "--join needs --cluster_id: raftkv-cli members list shows that of a running cluster";
  }
  return std::nullopt;
}

// See server/import_rdb.h.
std::optional<std::string> import_error(const Config& config) {
  if (FLAGS_import_rdb.empty()) return std::nullopt;
  if (FLAGS_join) {
    return "--import_rdb and --join exclude each other: a node that joins gets the data of the "
           "cluster";
  }
  if (config.members.size() > 1) {
    return fmt::format(
        "--import_rdb begins a cluster of one node, but --cluster names {}: leave --cluster out "
        "here, and have the others --join this node (raftkv-cli members add), which gives them the "
        "data",
        config.members.size());
  }
  return std::nullopt;
}

std::expected<void, std::string> set_addresses(Config& config) {
  if (auto error = join_error()) return wrong(*error);
  config.join = FLAGS_join;
  const auto own = FLAGS_cluster.empty() ? addresses_from_listen() : addresses_from_cluster(config);
  if (!own) return wrong(own.error());
  if (FLAGS_cluster.empty() && !FLAGS_join) config.members = {*own};
  config.listen_host = own->client_host;
  config.listen_port = own->client_port;
  config.peer_host = own->peer_host;
  config.peer_port = own->peer_port;
  return {};
}

void set_limits(Config& config) {
  raft::Options& raft = config.replica.raft;
  raft.id = config.node_id;
  raft.bootstrap = bootstrap_membership(config.members);
  raft.heartbeat_us = FLAGS_heartbeat_ms * 1000;
  raft.election_timeout_us = FLAGS_election_timeout_ms * 1000;
  raft.disk_stall_us = FLAGS_disk_stall_ms * 1000;
  raft.inflight_messages_max = FLAGS_follower_window_messages;
  raft.inflight_bytes_max = FLAGS_follower_window_bytes;
  raft.append_bytes_max = FLAGS_append_bytes;
  raft.uncommitted_bytes_max = FLAGS_uncommitted_bytes;
  raft.cache_bytes_max = FLAGS_log_cache_bytes;
  std::random_device random;
  raft.random_seed = (uint64_t{random()} << 32) | random();

  ReplicaOptions& replica = config.replica;
  replica.batch_bytes = FLAGS_batch_bytes;
  replica.command_bytes_max = FLAGS_max_entry_bytes;
  replica.queue_bytes_max = FLAGS_write_queue_bytes;
  replica.session_reply_bytes_max = FLAGS_client_output_soft_bytes;
  replica.once = {.ttl_s = FLAGS_session_ttl,
                  .replies_max = FLAGS_session_replies,
                  .reply_bytes_max = FLAGS_session_reply_bytes,
                  .sessions_max = FLAGS_sessions_max};
  replica.entries_inflight_max = FLAGS_entries_inflight;
  replica.gathering_us_max = FLAGS_write_gathering_us;
  replica.hash_seed = (uint64_t{random()} << 32) | random();

  SnapshotLimits& snapshots = replica.snapshots.limits;
  snapshots.log_bytes = FLAGS_snapshot_log_bytes;
  snapshots.first_log_bytes = staggered(config.node_id, snapshots.log_bytes);
  snapshots.log_entries = FLAGS_snapshot_entries;
  replica.snapshots.cut.writer.bytes_per_second_max = FLAGS_snapshot_write_bytes;
  snapshots.tail_entries = FLAGS_log_tail_entries;
  snapshots.tail_bytes = FLAGS_log_tail_bytes;
  config.snapshot_rate_bytes = FLAGS_snapshot_rate_bytes;
  replica.digest_interval_us = FLAGS_digest_interval * 1'000'000;

  ClientOptions& clients = config.clients;
  clients.listen_host = config.listen_host;
  clients.listen_port = config.listen_port;
  clients.clients_max = FLAGS_maxclients;
  clients.idle_timeout_s = FLAGS_timeout;
  clients.output_bytes_soft = FLAGS_client_output_soft_bytes;
  clients.output_bytes_hard = FLAGS_client_output_hard_bytes;
  clients.query_buffer_bytes_max = FLAGS_client_query_bytes;
  clients.outstanding_commands_max = FLAGS_client_outstanding;
  config.peer_queue_bytes_max = FLAGS_peer_queue_bytes;
  config.shutdown_grace_ms = FLAGS_shutdown_grace_ms;
}

}  // namespace

const char* read_mode_name(ReadMode mode) {
  switch (mode) {
    case ReadMode::kReadIndex:
      return "read_index";
    case ReadMode::kLease:
      return "lease";
    case ReadMode::kStale:
      return "stale";
  }
  return "?";
}

const char* follower_reads_name(FollowerReads mode) {
  switch (mode) {
    case FollowerReads::kOff:
      return "off";
    case FollowerReads::kLinearizable:
      return "linearizable";
    case FollowerReads::kStale:
      return "stale";
  }
  return "?";
}

std::expected<std::vector<Member>, std::string> parse_cluster(std::string_view text) {
  std::vector<Member> members;
  std::set<uint64_t> ids;
  std::set<std::string> addresses;
  for (std::string_view part : split(text, ',')) {
    const std::vector<std::string_view> fields = split(part, '@');
    uint64_t id = 0;
    if (fields.size() != 3 || !parse_number(fields[0], id) || id == 0) {
      return wrong(fmt::format("'{}' is not id@client_host:port@peer_host:port", part));
    }
    const auto client = parse_endpoint(fields[1]);
    if (!client) return wrong(fmt::format("member {}: {}", id, client.error()));
    const auto peer = parse_endpoint(fields[2]);
    if (!peer) return wrong(fmt::format("member {}: {}", id, peer.error()));
    if (!ids.insert(id).second) return wrong(fmt::format("member {} is named twice", id));
    for (const auto& address : {*client, *peer}) {
      if (!addresses.insert(fmt::format("{}:{}", address.host, address.port)).second) {
        return wrong(fmt::format("{}:{} is given twice; each port serves one purpose of one member",
                                 address.host, address.port));
      }
    }
    members.push_back({id, client->host, client->port, peer->host, peer->port});
  }
  std::sort(members.begin(), members.end(),
            [](const Member& a, const Member& b) { return a.id < b.id; });
  return members;
}

std::expected<Config, std::string> config_from_flags() {
  if (auto error = range_error()) return wrong(*error);
  Config config;
  config.node_id = FLAGS_node_id;
  config.data_dir = FLAGS_data_dir;
  if (config.data_dir.empty()) return wrong("--data_dir is empty; give a directory");
  const auto read_mode = parse_read_mode(FLAGS_read_mode);
  if (!read_mode) return wrong(read_mode.error());
  config.replica.read_mode = *read_mode;
  const auto follower_reads = parse_follower_reads(FLAGS_follower_reads);
  if (!follower_reads) return wrong(follower_reads.error());
  config.replica.follower_reads = *follower_reads;
  if (auto set = set_addresses(config); !set) return wrong(set.error());
  if (auto error = import_error(config)) return wrong(*error);
  config.import_rdb = FLAGS_import_rdb;
  if (FLAGS_cluster_id.empty()) {
    config.cluster_id = derive_cluster_id(config.members);
  } else if (FLAGS_cluster_id.size() != 40 ||
             FLAGS_cluster_id.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return wrong("--cluster_id must be 40 characters 0-9, a-f; leave it out to derive it");
  } else {
    config.cluster_id = FLAGS_cluster_id;
  }
  set_limits(config);
  return config;
}

}  // namespace raftkv::server
