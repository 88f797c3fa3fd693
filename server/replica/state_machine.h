// The dataset and the sessions of RAFT.ONCE with their place in the log: runs commands at the log's
// time, and nothing else changes them. The same code runs on the leader and on followers.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "raft/types.h"
#include "resp/reply_writer.h"
#include "server/command/command.h"
#include "server/command/host.h"
#include "server/replica/once_table.h"
#include "storage/data/keyspace.h"
#include "storage/snapshot/snapshot_loader.h"

namespace raftkv::server {

class StateMachine {
 public:
  // `precise_clock_ns` times handlers for the command statistics; null leaves the times at zero
  // (the simulator has no clock but its own).
  StateMachine(uint64_t hash_seed, Stats& stats, uint64_t (*precise_clock_ns)());

  // Entries in order, each bracketed by begin and end; run_write() only in between.
  void begin_entry(const raft::Entry& entry);
  void run_write(const CommandSpec& spec, Args args, resp::ReplyWriter& reply);
  // `on_expired` sees each key that the entry's time ended.
  void end_entry(const raft::Entry& entry, const std::function<void(std::string_view)>& on_expired);

  // False if a key that the read met is due but not settled (data::Clock): what was written to
  // `reply` is worthless then.
  [[nodiscard]] bool run_read(const CommandSpec& spec, Args args, data::Clock clock,
                              resp::ReplyWriter& reply);

  raft::Index applied_index() const { return applied_index_; }
  // Time of the last applied entry.
  uint64_t log_time_us() const { return log_time_us_; }
  data::TimeMs log_time_ms() const { return static_cast<data::TimeMs>(log_time_us_ / 1000); }
  data::Keyspace& keyspace() { return keyspace_; }
  const data::Keyspace& keyspace() const { return keyspace_; }
  OnceTable& once() { return once_; }
  const OnceTable& once() const { return once_; }
  // Replicated state that is no key, for a snapshot; each part under the name of its owner.
  std::map<std::string, std::string, std::less<>> encode_parts() const;
  // Whether restore() could take over these parts; the error says what is wrong with them.
  static std::expected<void, std::string> check_parts(const storage::SnapshotFacts& facts);
  // Becomes the state that the snapshot holds, which check_parts() has accepted. What was held
  // before is freed later, in slices (data::Keyspace::work_slice).
  void restore(storage::LoadedSnapshot snapshot);
  // Of all that the log decides: equal on two replicas at the same applied index.
  data::Keyspace::Digest digest() const;

  // The statistics of the command that `args` calls.
  CommandStats& stats_of(const CommandSpec& spec, Args args);
  // Counts an error reply ("-ERR ...") that did not come from a data command.
  void count_local_error(std::string_view reply);

 private:
  void run(const CommandSpec& spec, DataContext& context);
  // once_apply.cc: commands of the state machine itself. True if the reply, should it be an error,
  // has been counted already.
  bool run_own(const CommandSpec& spec, DataContext& context);
  bool run_once(DataContext& context);

  // How many due keys one entry deletes: bounds the pause when a million keys expire at once. What
  // is left is logically gone already and deleted by the entries that follow.
  static constexpr size_t kExpirePerEntry = 2000;
  static constexpr size_t kSessionsExpirePerEntry = 100;

  data::Keyspace keyspace_;
  OnceTable once_;
  std::string once_reply_;  // of the command that RAFT.ONCE carries, while it runs
  Stats& stats_;
  uint64_t (*precise_clock_ns_)();
  raft::Index applied_index_ = 0;
  uint64_t log_time_us_ = 0;
  // Where a command's statistics stand in Stats::commands, so that the hot path looks up a pointer
  // and not a name.
  std::vector<std::pair<const CommandSpec*, CommandStats*>> stats_cache_;
  uint64_t stats_resets_ = 0;
};

}  // namespace raftkv::server
