// How a node follows, votes and campaigns: every change of role but the one to leader is here.
// Pre-vote (thesis 9.6), leader stickiness (thesis 4.2.3), campaigns on a leader's word (3.10).
//
// A vote is given to whoever asks and deserves it, member or not: the candidate's membership may be
// newer than ours, and need our vote (thesis 4.1). What keeps removed servers from disturbing is
// pre-vote and stickiness. A node campaigns if it votes itself, now or in the newest membership
// that is known to be committed: one that was just removed may hold the longest log, and nobody
// else could then be elected (thesis 4.2.2). A node that lost what it may have acknowledged does
// neither.
#pragma once

#include <map>

#include "raft/core.h"
#include "raft/quorum.h"
#include "raft/random.h"

namespace raftkv::raft {

class Election {
 public:
  // Starting counts as having heard from a leader: before the restart this node may have promised
  // its silence to one. A group of one has nobody to promise to and campaigns at once.
  explicit Election(Core& core);

  // Becomes a follower in `term` (at least our own) of `leader` (0: not known).
  void follow(Term term, NodeId leader);
  // The leader of our term has spoken: be silent for a while.
  void heard_from_leader();

  // Campaigns when nobody was heard for long enough.
  void tick();
  MonotonicUs deadline() const { return deadline_; }
  // The host lets this node lead from now on. Who is alone in its group need not wait to do so.
  void may_lead_now();

  void on_vote_request(const Message& message, const VoteRequest& request);
  void on_vote_reply(const Message& message, const VoteReply& reply);
  void on_timeout_now(const Message& message);

  // Whether a majority wants this candidate. Its own vote counts once it is durable.
  bool won() const;
  // Whether to keep faith with a leader: votes for others, and their terms, are turned down.
  bool loyal() const;

 private:
  bool may_campaign() const;
  void pre_campaign();
  void campaign(bool transfer);
  void count(NodeId voter, Vote vote);
  Tally tally_now() const;
  void ask_for_votes(bool pre, bool transfer, Term term);
  bool log_is_recent_enough(const VoteRequest& request) const;
  void refuse(const Message& message, const VoteRequest& request);
  void set_timer();

  Core& core_;
  Random random_;
  std::map<NodeId, Vote> votes_;  // of voters only
  MonotonicUs last_contact_;
  MonotonicUs deadline_ = 0;
};

}  // namespace raftkv::raft
