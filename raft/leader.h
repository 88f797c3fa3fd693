// One leadership, from the election to the step down: replicates the log, commits, proves that it
// still leads, and may hand over.
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
  // (check-quorum, thesis 6.2), or our own disk hangs.
  [[nodiscard]] bool tick();
  MonotonicUs next_deadline() const;

  void on_append_reply(const Message& message, const AppendReply& reply);
  void on_heartbeat_reply(const Message& message, const HeartbeatReply& reply);
  // Some of our own log became durable.
  void advance_commit();

  std::expected<Index, ProposeError> propose(Payload payload, uint64_t time_us);
  void add_read(uint64_t number) { reads_.add(number, core_.log.last_index()); }
  bool transfer(NodeId target);

  // Sends what may be sent now: entries as far as the windows allow, and a round for new reads.
  void send_pending();
  void take_grants(std::vector<ReadGrant>& grants);
  bool has_ready() const;

  bool lease_valid() const;
  NodeId transfer_target() const { return transfer_target_; }
  std::vector<PeerStatus> peer_status() const;
  std::string broken_invariant() const;

 private:
  size_t place(NodeId id) const;  // in peers_
  void append(EntryKind kind, Payload payload, uint64_t time_us);
  void send_appends(Progress& peer);
  void send_append(Progress& peer, Index last);
  void send_heartbeats();
  void start_round();
  void update_rounds();
  void advance_transfer();
  MonotonicUs quorum_deadline() const;
  bool active(const Progress& peer) const;

  Core& core_;
  std::vector<Progress> peers_;
  Index opening_;  // the no-op: nothing is known to be committed before it is
  Reads reads_;
  MonotonicUs next_heartbeat_;

  NodeId transfer_target_ = 0;
  MonotonicUs transfer_deadline_ = kNever;
  bool transfer_ordered_ = false;  // the target was told to campaign
  // Once a follower was told to campaign at once, the others' promise to wait is void.
  bool lease_revoked_ = false;
};

}  // namespace raftkv::raft
