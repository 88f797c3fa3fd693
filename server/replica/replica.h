// One replica: consensus, log and dataset joined, and the turn that drives them. Knows neither
// libuv nor RocksDB: its host gives it messages, completions and time, and carries out what it
// asks, so that the simulator runs the very same code as the server.
//
// A turn: any number of step(), persisted() and session commands, then one end_turn(). All writes
// of a turn, from all clients, become one log entry; reads wait in groups until their round is
// granted. Single-threaded: the loop's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "raft/node.h"
#include "server/command/host.h"
#include "server/replica/batch.h"
#include "server/replica/log_clock.h"
#include "server/replica/payload.h"
#include "server/replica/read_queue.h"
#include "server/replica/state_machine.h"
#include "server/replica/watch_table.h"

namespace raftkv::server {

class Session;

enum class ReadMode : uint8_t {
  kReadIndex,  // a round of heartbeats confirms each batch of reads
  kLease,      // no round while the leader's lease lasts; trusts clocks to drift by less than 10 %
  kStale,      // any node answers from what it has
};

struct ReplicaOptions {
  raft::Options raft;
  ReadMode read_mode = ReadMode::kReadIndex;
  // A batch is closed at this size, and the next one begun.
  size_t batch_bytes = size_t{1} << 20;
  // One command, or one transaction, at most.
  size_t command_bytes_max = size_t{64} << 20;
  // Waiting to be proposed, and waiting reads; beyond it connections are not read from.
  size_t queue_bytes_max = size_t{8} << 20;
  // Bytes of replies to one session's outstanding reads, beyond which it waits.
  size_t session_reply_bytes_max = size_t{1} << 20;
  // Entries of ours on their way to being committed. While they are, the next batch gathers: under
  // load that makes batches large and syncs few.
  size_t entries_inflight_max = 4;
  uint64_t hash_seed = 0;
  // An entry that only expires keys is proposed at most this often.
  uint64_t expire_interval_us = 20'000;
  // A turn ends when applying took this long; what is left is done in the next.
  uint64_t apply_slice_us = 10'000;
  uint64_t (*precise_clock_ns)() = nullptr;
};

// What a replica needs from the world.
class ReplicaPorts {
 public:
  virtual ~ReplicaPorts() = default;
  virtual void send(raft::Message message) = 0;
  // To the log writer; its completion comes back through Replica::persisted().
  virtual void persist(raft::Persist persist) = 0;
  virtual raft::MonotonicUs now_monotonic_us() = 0;
  virtual uint64_t now_wall_us() = 0;
  // For the log of events: became leader, lost leadership.
  virtual void leadership_changed(const raft::Status& status) = 0;
};

class Replica {
 public:
  // `members` sorted by id. The references must outlive the replica.
  Replica(ReplicaOptions options, raft::Restored restored, const raft::LogReader& reader,
          std::vector<Member> members, Stats& stats, ReplicaPorts& ports);
  ~Replica();

  // --- inputs -------------------------------------------------------------------------------

  // Begins a turn unless one is under way: reads the clocks. The other inputs call it.
  void touch();
  void step(raft::Message message);
  // A part of a message of `peer` came in (raft::Node::receiving_from).
  void receiving_from(raft::NodeId peer);
  void persisted(raft::Persist persist);
  // Proposes, sends, persists, applies, answers. True if there is more to do at once.
  bool end_turn();
  // When end_turn() has something to do even if no input comes, on the monotonic clock.
  raft::MonotonicUs next_deadline() const;
  bool transfer(raft::NodeId target) {
    touch();
    return node_.transfer(target);
  }

  // --- for sessions -------------------------------------------------------------------------

  // This node leads, as far as it knows, and may take commands.
  bool leads();
  // Room for more commands; if not, wait for can_resume().
  bool accepts_commands() const;
  size_t command_bytes_max() const { return options_.command_bytes_max; }
  ReadMode read_mode() const { return options_.read_mode; }
  // Not an error of the command: where it should go. "MOVED 16287 127.0.0.1:7002", "CLUSTERDOWN
  // ...".
  std::string redirect(uint16_t slot);

  void add_write(Origin origin, const CommandSpec& spec, Args args);
  void add_read(Origin origin, const CommandSpec& spec, Args args);
  // `arguments` is one payload item. `read_only` transactions don't enter the log. `watched`:
  // whether its keys were unchanged is decided by this moment, so its time is fixed now.
  void add_transaction(Origin origin, std::unique_ptr<TransactionPlan> plan,
                       std::string_view arguments, bool read_only, bool watched, uint16_t slot);

  // The newest batch that holds a command, proposed or not.
  BatchNumber newest_batch() const;
  BatchNumber applied_batch() const { return applied_batch_; }
  raft::Term leading_term() const { return leading_term_; }
  WatchTable& watches() { return watches_; }
  StateMachine& state() { return state_; }
  const StateMachine& state() const { return state_; }
  Stats& stats() { return stats_; }
  // The leader's clock: that of the entries it proposes.
  uint64_t now_us() const { return clock_.now_us(); }
  data::TimeMs now_ms() const { return static_cast<data::TimeMs>(now_us() / 1000); }
  uint64_t monotonic_us() const { return monotonic_us_; }
  // Followers that have the log up to `index` behind their sync.
  size_t replicas_with(raft::Index index) const;
  // Whether the session's WAIT is over is looked at in each turn.
  void add_waiting(Session* session) { waiting_.push_back(session); }
  void remove_waiting(Session* session);
  // Sessions in WAIT.
  size_t blocked_count() const;
  // Commands were added, or others inputs came, since the last end_turn().
  bool in_turn() const { return in_turn_; }

  // --- questions ----------------------------------------------------------------------------

  // Entries that were committed before this process started are still being applied.
  bool loading() const { return state_.applied_index() < load_until_; }
  raft::Index load_until() const { return load_until_; }
  raft::Status raft_status() const { return node_.status(); }
  const raft::Node& node() const { return node_; }
  const std::vector<Member>& members() const { return members_; }
  const Member* member(uint64_t id) const;
  const ReplicaOptions& options() const { return options_; }

 private:
  void tick();

  // turn.cc: the turn
  void notice_leadership();
  void lead();
  void stop_leading();
  void close_forming();
  void propose_batches();
  void expire_keys();
  bool writes_pending() const {
    return !proposed_.empty() || !closed_.empty() || forming_.wanted();
  }
  void carry_out(raft::Ready ready);
  void apply_slice();
  void resume_waiting();

  // apply.cc: entries and reads
  void apply(const raft::Entry& entry);
  void apply_own(const raft::Entry& entry, Batch& batch);
  void apply_foreign(const raft::Entry& entry);
  void run_granted_reads();
  ReadResult run_read(const ReadGroup& group, ReadItem& item, bool early);
  void run_attached_read(const Batch& batch, const BatchItem& item);
  bool run_read_steps(const CommandSpec* spec, const TransactionPlan* plan, std::string_view bytes,
                      data::Clock clock, resp::ReplyWriter& reply);
  void fail(const Origin& origin, std::string_view error);
  void touch_watches(const CommandSpec& spec, Args args);

  ReplicaOptions options_;
  std::vector<Member> members_;
  Stats& stats_;
  ReplicaPorts& ports_;
  raft::Node node_;
  StateMachine state_;
  LogClock clock_;
  WatchTable watches_;

  bool in_turn_ = false;
  raft::MonotonicUs monotonic_us_ = 0;
  raft::Index load_until_ = 0;

  // Leadership as the sessions see it; 0 while this node does not lead.
  raft::Term leading_term_ = 0;

  Batch forming_;               // gathers the turn's writes
  std::deque<Batch> closed_;    // wait for a place in the log
  std::deque<Batch> proposed_;  // in the log, not yet applied
  size_t closed_bytes_ = 0;
  BatchNumber applied_batch_ = 0;
  ReadQueue reads_;
  raft::MonotonicUs last_expiry_us_ = 0;
  raft::MonotonicUs turn_started_us_ = 0;
  std::vector<raft::Entry> unapplied_;  // handed out by the core, left over from the last turn
  size_t unapplied_next_ = 0;

  std::vector<Session*> waiting_;
  std::string scratch_;            // replies nobody reads
  std::string encoded_;            // a read's arguments on their way to the queue
  PayloadReader read_reader_{""};  // keeps its argument vector between reads
};

}  // namespace raftkv::server
