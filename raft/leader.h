// One leadership, from the election to the step down: replicates the log, commits, changes the
// membership, proves that it still leads, and may hand over.
#pragma once

#include <expected>
#include <vector>

#include "raft/core.h"
#include "raft/progress.h"
#include "raft/reads.h"

namespace raftkv::raft {

class Leader {
 public:
  // Opens the term with a no-op.
  explicit Leader(Core& core);

  // False if this node must step down: a majority has been silent for an election timeout
  // (check-quorum, thesis 6.2), our own disk hangs, or it was removed and has handed over.
  [[nodiscard]] bool tick();
  MonotonicUs next_deadline() const;

  void on_append_reply(const Message& message, const AppendReply& reply);
  void on_heartbeat_reply(const Message& message, const HeartbeatReply& reply);
  // Some of our own log became durable.
  void advance_commit();

  std::expected<Index, ProposeError> propose(Payload payload, uint64_t time_us, EntryKind kind);
  void add_read(uint64_t number) { reads_.add(number, core_.log.last_index()); }
  void add_remote_read(NodeId from, uint64_t number);
  std::expected<Index, ChangeError> change_members(const std::vector<MemberChange>& changes);
  // To a voter that stays one.
  bool transfer(NodeId target);
  void snapshot_sent(NodeId to, Index index);
  // Whether this node is sent the log: a member, or one that was just removed.
  bool knows(NodeId id) const { return find(id) != nullptr; }

  // Sends what may be sent now: entries as far as the windows allow, and a round for new reads.
  void send_pending();
  // Grants our own reads, and answers the followers'.
  void take_grants(std::vector<ReadGrant>& grants);
  void take_snapshot_requests(std::vector<SnapshotRequest>& requests);
  bool has_ready() const;

  bool lease_valid() const;
  NodeId transfer_target() const { return transfer_target_; }
  std::vector<PeerStatus> peer_status() const;
  std::string broken_invariant() const;

 private:
  // A member that was removed still gets the log until it knows, or for so many election timeouts.
  static constexpr uint64_t kFarewellTimeouts = 10;
  struct Departure {
    NodeId id;
    Index index;                    // the membership without it
    uint64_t round = 0;             // the first one whose heartbeat says that this is committed
    MonotonicUs deadline = kNever;  // set when it is committed
  };

  const Progress* find(NodeId id) const;
  Progress* find(NodeId id);
  Progress& peer(NodeId id);  // must be there
  const Progress& peer(NodeId id) const;
  bool departing(NodeId id) const;
  void append(EntryKind kind, Payload payload, uint64_t time_us);
  Index append_membership(const Membership& membership);
  // Brings peers_ and departures_ in line with the membership in force.
  void follow_membership();
  // A membership is committed: ends a joint phase, or our own time.
  void advance_membership();
  // Forgets the removed who know it.
  void see_off();
  bool behind_log(const Progress& peer) const;
  bool wants_snapshot(const Progress& peer) const;
  void send_appends(Progress& peer);
  void send_append(Progress& peer, Index last);
  void send_heartbeats();
  void start_round();
  void update_rounds();
  void advance_transfer();
  MonotonicUs quorum_deadline() const;
  bool active(const Progress& peer) const;
  std::string broken_membership() const;

  Core& core_;
  std::vector<Progress> peers_;  // all members but this node, and those in departures_
  std::vector<Departure> departures_;
  std::vector<SnapshotRequest> snapshot_requests_;
  Index opening_;  // the no-op: nothing is known to be committed before it is
  Reads reads_;
  MonotonicUs next_heartbeat_;

  NodeId transfer_target_ = 0;
  MonotonicUs transfer_deadline_ = kNever;
  bool transfer_ordered_ = false;  // the target was told to campaign
  bool removed_ = false;           // not in the committed membership: leads only to hand over
  // Once a follower was told to campaign at once, the others' promise to wait is void.
  bool lease_revoked_ = false;
};

}  // namespace raftkv::raft
