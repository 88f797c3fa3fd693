// What commands that need no data may ask of the process they run in: an interface, so that they
// run in the simulator and in tests as well.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "raft/node.h"
#include "server/command/client_state.h"
#include "server/command/command.h"

namespace raftkv::server {

enum class MemberRole : uint8_t {
  kVoter,
  kLearner,
  kLeaving,  // votes until the joint phase ends, and is no member from then on
};

struct Member {
  uint64_t id = 0;
  std::string client_host{};
  uint16_t client_port = 0;
  std::string peer_host{};
  uint16_t peer_port = 0;
  MemberRole role = MemberRole::kVoter;
  bool promote = false;  // a learner that becomes a voter by itself once it has caught up

  friend bool operator==(const Member&, const Member&) = default;
};

// What this node is to the group.
enum class Belonging : uint8_t {
  kVoter,
  kLearner,
  kLeaving,
  kWaiting,  // it knows of no group yet and waits to be added to one (--join)
  kRemoved,
};

// The membership in force on this node: the newest in its log, committed or not.
struct MembershipFacts {
  raft::Index index = 0;  // of its entry, 0 for what the group began with
  bool joint = false;     // on the way from one set of voters to another
  bool committed = true;  // as far as this node knows
  Belonging self = Belonging::kVoter;
};

struct CommandStats {
  uint64_t calls = 0;
  uint64_t us = 0;        // spent in handlers
  uint64_t ns = 0;        // the same, before rounding
  uint64_t rejected = 0;  // before execution
  uint64_t failed = 0;    // the handler replied with an error
};

// Counters of the process since start or CONFIG RESETSTAT. Loop thread only.
struct Stats {
  uint64_t connections_received = 0;
  uint64_t connections_rejected = 0;
  uint64_t commands_processed = 0;
  uint64_t input_bytes = 0;
  uint64_t output_bytes = 0;
  uint64_t keyspace_hits = 0;
  uint64_t keyspace_misses = 0;
  uint64_t expired_keys = 0;
  uint64_t entries_applied = 0;
  uint64_t commands_applied = 0;  // writes in those entries
  uint64_t reads_granted = 0;
  uint64_t moved_replies = 0;
  uint64_t unknown_outcomes = 0;  // -UNKNOWN replies
  uint64_t once_duplicates = 0;   // commands of RAFT.ONCE that were answered and not executed again
  double ops_per_second = 0;      // sampled
  double input_kbps = 0;
  double output_kbps = 0;
  std::map<std::string, CommandStats, std::less<>> commands;  // by full name, "client|list"
  std::map<std::string, uint64_t, std::less<>> errors;        // by code, "ERR", "MOVED"

  // Counted up by reset(): who samples differences must begin anew when it changes.
  uint64_t resets = 0;
  // Sets all to zero. The commands stay where they are in the map: CONFIG RESETSTAT resets the
  // statistics while its own call is being counted.
  void reset() {
    Stats fresh;
    fresh.resets = resets + 1;
    fresh.commands = std::move(commands);
    for (auto& [name, command] : fresh.commands) command = CommandStats();
    *this = std::move(fresh);
  }
};

// What became of this node's snapshots since it started.
struct SnapshotStatus {
  uint64_t index = 0;           // of the newest one, 0: none
  uint64_t recorded_index = 0;  // of the newest one that the next start may begin with
  bool requested = false;       // one was asked for, and has not begun
  bool in_progress = false;
  uint64_t keys_done = 0;      // of the one in progress
  uint64_t keys_total = 0;     // when it began
  uint64_t began_wall_us = 0;  // of the one in progress, or of the last attempt
  uint64_t saved_wall_us = 0;  // when the newest was finished or installed, 0: before this process
  uint64_t took_us = 0;        // the last attempt
  uint64_t bytes = 0;          // of the last file written here
  uint64_t saves = 0;
  uint64_t failures = 0;
  uint64_t failed_index = 0;  // of the last attempt that failed
  uint64_t installs = 0;      // that came from the leader
  std::string error;          // of the last attempt, empty if it went well
};

// The file of a snapshot.
struct SnapshotFileFacts {
  uint64_t index = 0;  // 0: there is none
  uint64_t term = 0;
  uint64_t time_us = 0;  // by the log's clock: of its last entry
  uint64_t bytes = 0;
};

// What came of comparing this node's dataset with the other members', since it started.
struct DigestStatus {
  bool in_progress = false;  // the digest is being computed
  uint64_t checks = 0;       // digests of this node that were compared with a majority's
  uint64_t mismatches = 0;   // how many of these differed; the server: in all lives of its data
  uint64_t skipped = 0;      // checks that came before the digest of an earlier one was finished
  uint64_t undecided = 0;    // checks in which no majority agreed on a digest
  uint64_t last_index = 0;   // of the newest digest computed here, 0: none
  data::Keyspace::Digest last_value;
  uint64_t last_ok_index = 0;  // of the newest that agreed with a majority's
  uint64_t last_ok_wall_us = 0;
  std::string last_mismatch{};  // in words
};

// A snapshot that is being loaded at the start.
struct LoadFacts {
  uint64_t bytes = 0;
  uint64_t bytes_total = 0;
  uint64_t keys = 0;
  uint64_t keys_total = 0;
  uint64_t elapsed_us = 0;
};

struct DiskFacts {
  bool full = false;  // or nearly so: writes are refused
  uint64_t log_bytes = 0;
  uint64_t first_index = 0;
  uint64_t syncs = 0;
  uint64_t persists = 0;
  uint64_t synced_bytes = 0;
  uint64_t last_sync_us = 0;
  std::vector<uint64_t> sync_histogram;
};

// The sessions of RAFT.ONCE that this replica holds.
struct SessionFacts {
  size_t count = 0;
  size_t bytes = 0;
};

// A setting as CONFIG sees it: Redis's name where Redis has it ("maxclients"), else the flag's own.
struct Setting {
  std::string name;
  std::string value;
  bool writable = false;  // CONFIG SET may change it at run time
};

// What was said between this node and the other members since its start.
struct PeerTraffic {
  uint64_t messages_sent = 0;
  uint64_t messages_received = 0;
};

class Host {
 public:
  virtual ~Host() = default;

  virtual raft::Status raft_status() const = 0;
  virtual uint64_t self_id() const = 0;
  virtual const std::vector<Member>& members() const = 0;  // sorted by id
  virtual MembershipFacts membership() const = 0;
  virtual const std::string& cluster_id() const = 0;  // 40 hexadecimal characters
  virtual const std::string& run_id() const = 0;      // drawn at start, 40 hexadecimal characters

  virtual const data::Keyspace& keyspace() const = 0;
  virtual uint64_t applied_index() const = 0;   // by the dataset
  virtual uint64_t log_time_us() const = 0;     // of the last applied entry
  virtual uint64_t snapshot_index() const = 0;  // 0: none yet
  virtual bool loading() const = 0;

  virtual SessionFacts sessions() const { return {}; }
  virtual Stats& stats() = 0;
  virtual DiskFacts disk() const = 0;
  // Nothing where messages are not counted.
  virtual std::optional<PeerTraffic> peer_traffic() const { return std::nullopt; }

  virtual uint64_t wall_us() const = 0;       // of this turn
  virtual uint64_t monotonic_us() const = 0;  // of this turn
  virtual uint64_t started_monotonic_us() const = 0;

  // Clients, in order of their ids.
  virtual void for_each_client(const std::function<void(const ClientState&)>& visit) const = 0;
  virtual size_t client_count() const = 0;
  virtual size_t blocked_client_count() const = 0;
  // Closes it, after what it was sent before is flushed. False if there is no such client.
  virtual bool kill_client(uint64_t id) = 0;

  virtual std::vector<Setting> settings() const = 0;
  // The error is Redis's text without "-".
  virtual std::expected<void, std::string> change_setting(std::string_view name,
                                                          std::string_view value) = 0;

  virtual SnapshotStatus snapshot_status() const { return {}; }
  virtual DigestStatus digest_status() const { return {}; }
  // Nothing unless a snapshot is being loaded.
  virtual std::optional<LoadFacts> load_facts() const { return std::nullopt; }
  // False if there is nothing new to save.
  virtual bool request_snapshot() { return false; }
  // The newest one. An error (a text without a code) if its file can't be looked at.
  virtual std::expected<SnapshotFileFacts, std::string> snapshot_file() { return {}; }
  // A part of a snapshot's file, fewer bytes than asked for only at its end. The error has a code.
  virtual std::expected<std::string, std::string> read_snapshot(uint64_t index, uint64_t term,
                                                                uint64_t offset, uint64_t count) {
    (void)index, (void)term, (void)offset, (void)count;
    return std::unexpected(std::string("ERR this node keeps no snapshots"));
  }

  virtual bool transfer_leadership(uint64_t target) = 0;  // 0: whoever is most caught up
  virtual void request_shutdown() = 0;
};

// What a local command runs with. A handler that writes nothing to `reply` sends no reply at all:
// only CLIENT REPLY OFF and SKIP, and SHUTDOWN, do that.
struct LocalContext {
  Host& host;
  ClientState& client;
  Args args;
  resp::ReplyWriter& reply;
};

// The 40-character node id that the cluster view shows for a member: a function of cluster id and
// member id, the same on every node and for ever.
std::string cluster_node_name(const std::string& cluster_id, uint64_t member_id);

}  // namespace raftkv::server
