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
#include "server/replica/digest_codec.h"
#include "server/replica/digest_poll.h"
#include "server/replica/digest_taker.h"
#include "server/replica/handover.h"
#include "server/replica/log_clock.h"
#include "server/replica/member_book.h"
#include "server/replica/payload.h"
#include "server/replica/read_queue.h"
#include "server/replica/snapshot_keeper.h"
#include "server/replica/state_machine.h"
#include "server/replica/watch_table.h"
#include "server/replica/write_gathering.h"

namespace raftkv::server {

class Session;

enum class ReadMode : uint8_t {
  kReadIndex,  // a round of heartbeats confirms each batch of reads
  kLease,      // no round while the leader's lease lasts; trusts clocks to drift by less than 10 %
  kStale,      // any node answers from what it has
};

// What a node that does not lead does with the reads of a connection that said READONLY.
enum class FollowerReads : uint8_t {
  kOff,           // they go to the leader
  kLinearizable,  // the leader says how far this node must be, then it answers
  kStale,         // it answers from what it has
};

struct ReplicaOptions {
  raft::Options raft;
  ReadMode read_mode = ReadMode::kReadIndex;
  FollowerReads follower_reads = FollowerReads::kLinearizable;
  // A batch is closed at this size, and the next one begun.
  size_t batch_bytes = size_t{1} << 20;
  // One command, or one transaction, at most.
  size_t command_bytes_max = size_t{64} << 20;
  // Waiting to be proposed, and waiting reads; beyond it connections are not read from.
  size_t queue_bytes_max = size_t{8} << 20;
  // Bytes of replies to one session's outstanding reads, beyond which it waits.
  size_t session_reply_bytes_max = size_t{1} << 20;
  // What goes into the log with each session of RAFT.ONCE that is opened here.
  OnceLimits once;
  // Entries of ours on their way to being committed. While they are, the next batch gathers: under
  // load that makes batches large and syncs few.
  size_t entries_inflight_max = 4;
  // How long a batch waits for company at most (write_gathering.h). 0: not at all.
  uint64_t gathering_us_max = 1'000;
  uint64_t hash_seed = 0;
  SnapshotKeeperOptions snapshots;
  // Between two checks that the replicas agree; the leader's counts. 0: none.
  uint64_t digest_interval_us = 0;
  // What a turn may spend on the digest.
  uint64_t digest_slice_us = 500;
  // An entry that only expires keys is proposed at most this often.
  uint64_t expire_interval_us = 20'000;
  // A leader whose disk is full hands over when it has led for so long, and tries again after as
  // long: if the others' disks are full as well, leadership goes round no faster than this.
  uint64_t full_disk_handover_us = 3'000'000;
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
  // The disk is full or nearly so: no new work should be accepted. Asked at each write.
  virtual bool disk_full() const { return false; }
  virtual raft::MonotonicUs now_monotonic_us() = 0;
  virtual uint64_t now_wall_us() = 0;
  // For the log of events: became leader, lost leadership.
  virtual void leadership_changed(const raft::Status& status) = 0;
  // Told in the first turn, before anything is sent under another membership than before, and when
  // one is committed.
  virtual void membership_changed(const MembershipFacts& facts,
                                  const std::vector<Member>& members) = 0;
  // The file is to be sent to `to`; how that ended comes back through Replica::snapshot_sent().
  virtual void send_snapshot(raft::NodeId to, const raft::SnapshotMeta& meta) = 0;
  // This replica's dataset is not that of a majority. It answers and applies nothing from now on.
  // The host ends it as soon as Replica::may_be_discarded(), and in the next start discards the log
  // (LogStore::discard_log()) before anything is read from it: durably decided when this returns.
  virtual void dataset_differs(const DigestDifference& difference) = 0;
  // For the log of events: no majority has the same dataset. Nobody knows whose is right, and all
  // go on.
  virtual void digests_undecided(raft::Index index) = 0;
};

class Replica {
 public:
  // The references must outlive the replica. If `restored` names a snapshot, nothing is applied
  // before it is handed over by loaded(); until then the replica follows and votes.
  Replica(ReplicaOptions options, raft::Restored restored, const raft::LogReader& reader,
          storage::SnapshotStore& snapshots, Stats& stats, ReplicaPorts& ports);
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
  // Hands leadership to `target`, 0 for the most caught-up voter, in the turns to come. False if
  // that is not possible now.
  bool transfer(raft::NodeId target);
  bool transferring() const { return handover_.active(); }
  // Proposes one change; the index of its first entry.
  std::expected<raft::Index, raft::ChangeError> change_members(const raft::MemberChange& change);

  // --- snapshots (snapshots.cc) -------------------------------------------------------------

  // The snapshot that `restored` named, or nothing if install() has overtaken it.
  void loaded(storage::LoadedSnapshot snapshot);
  bool awaits_dataset() const { return awaits_dataset_; }
  // Whether one that a member offers would help this replica. A leader has all that is committed,
  // and clients wait for it to apply their entries one by one.
  bool wants_snapshot(const raft::SnapshotMeta& meta) const {
    return !taken_out_ && !node_.is_leader() && node_.wants_snapshot(meta);
  }
  // The state becomes that of this snapshot, whose file is in the store, whole and durable. False
  // if the replica has got that far by itself meanwhile; the file is removed in time, and not by
  // the caller: it may be one of the replica's own.
  bool install(storage::LoadedSnapshot snapshot);
  // How ReplicaPorts::send_snapshot() ended: the index that was installed, 0 if it failed.
  void snapshot_sent(raft::NodeId to, raft::Index index);
  // Takes a snapshot in the turns to come. False if there is nothing new since the last one.
  bool request_snapshot();
  // The process ends: what is being written is given up. May wait for the disk.
  void end_snapshots() { snapshots_.end(); }
  const SnapshotStatus& snapshot_status() const { return snapshots_.status(); }
  // Index 0: none. Its file is in the store, whole and durable.
  const raft::SnapshotMeta& newest_snapshot() const { return snapshots_.newest(); }

  // --- digests (digests.cc) -----------------------------------------------------------------

  const DigestStatus& digest_status() const { return digests_.status(); }
  // See ReplicaPorts::dataset_differs().
  bool taken_out() const { return taken_out_; }
  // It was taken out, and does not lead any more, or could not hand over.
  bool may_be_discarded() const;

  // --- for sessions -------------------------------------------------------------------------

  // This node leads, as far as it knows, and may take commands.
  bool leads();
  // Room for more commands; if not, wait for can_resume().
  bool accepts_commands() const;
  // Bytes of commands that wait: to be proposed, or, as reads, to be granted.
  size_t queued_bytes() const;
  // No write may enter the log: this node's disk has no room for it.
  bool disk_full() const { return ports_.disk_full(); }
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

  // Entries that were committed before this process started are still being applied; or it is about
  // to be started anew, without what it holds.
  bool loading() const {
    return awaits_dataset_ || taken_out_ || state_.applied_index() < load_until_;
  }
  raft::Index load_until() const { return load_until_; }
  raft::Status raft_status() const { return node_.status(); }
  const raft::Node& node() const { return node_; }
  const std::vector<Member>& members() const { return book_.all(); }
  const Member* member(uint64_t id) const { return book_.find(id); }
  MembershipFacts membership() const;
  // Whether this node is one of the members.
  bool belongs() const { return book_.belongs(); }
  const ReplicaOptions& options() const { return options_; }

 private:
  void tick();

  // turn.cc: the turn
  void notice_leadership();
  void lead();
  void stop_leading();
  void close_forming();
  void propose_batches();
  bool gathers_more();
  void note_writer(Session& session);
  void expire_keys();
  bool writes_pending() const {
    return !proposed_.empty() || !closed_.empty() || forming_.wanted();
  }
  void carry_out(raft::Ready ready);
  void apply_slice();
  void resume_waiting();

  // members.cc: who belongs to the group, and who leads it next
  void notice_membership();
  void lead_members();
  void flee_full_disk();

  // follower_reads.cc
  void ask_leader_for_reads();
  void retry_postponed_reads();
  raft::MonotonicUs follower_reads_deadline() const;

  // snapshots.cc
  void send_snapshots(const std::vector<raft::SnapshotRequest>& requests);
  bool may_apply() const { return !awaits_dataset_ && !taken_out_ && !snapshots_.stalled(); }

  // digests.cc
  void apply_host_entry(const raft::Entry& entry);
  bool tend_digests();
  void lead_digests();
  void propose_host_entry(const HostEntry& entry);
  void report_digest();
  void hear(raft::NodeId from, const raft::HostNote& note);
  void leave_if_different();

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
  Stats& stats_;
  ReplicaPorts& ports_;
  raft::Node node_;
  MemberBook book_;
  bool membership_told_ = false;
  bool told_committed_ = false;
  Handover handover_;
  StateMachine state_;
  SnapshotKeeper snapshots_;
  DigestTaker digests_;
  DigestPoll poll_;
  bool taken_out_ = false;
  // The last check or verdict that this node proposed.
  raft::Term digest_entry_term_ = 0;
  raft::Index digest_entry_index_ = 0;
  // The last report of a digest, and when it is repeated.
  struct SentReport {
    raft::NodeId leader = 0;
    raft::Term term = 0;
    raft::Index index = 0;
    uint64_t wait_us = 0;
    raft::MonotonicUs again_us = 0;
  };
  SentReport report_;
  bool awaits_dataset_ = false;
  raft::Index awaited_index_ = 0;  // of the snapshot that is awaited
  LogClock clock_;
  WatchTable watches_;

  bool in_turn_ = false;
  raft::MonotonicUs monotonic_us_ = 0;
  raft::Index load_until_ = 0;

  // Leadership as the sessions see it; 0 while this node does not lead.
  raft::Term leading_term_ = 0;

  Batch forming_;                                    // gathers the turn's writes
  WriteGathering gathering_;                         // and those of some more turns
  raft::MonotonicUs gathers_until_us_ = UINT64_MAX;  // UINT64_MAX: it does not wait
  std::deque<Batch> closed_;                         // wait for a place in the log
  std::deque<Batch> proposed_;                       // in the log, not yet applied
  size_t closed_bytes_ = 0;
  BatchNumber applied_batch_ = 0;
  ReadQueue reads_;  // a follower's as well: its leader grants them
  raft::MonotonicUs asked_leader_us_ = 0;
  raft::Term asked_leader_in_ = 0;
  uint64_t retried_at_log_us_ = 0;  // when postponed reads were last tried, on the log's clock
  raft::MonotonicUs last_expiry_us_ = 0;
  raft::MonotonicUs may_flee_us_ = 0;  // a full disk, by handing over leadership
  raft::MonotonicUs turn_started_us_ = 0;
  std::vector<raft::Entry> unapplied_;  // handed out by the core, left over from the last turn
  size_t unapplied_next_ = 0;

  std::vector<Session*> waiting_;
  std::string scratch_;            // replies nobody reads
  std::string encoded_;            // a read's arguments on their way to the queue
  PayloadReader read_reader_{""};  // keeps its argument vector between reads
};

}  // namespace raftkv::server
