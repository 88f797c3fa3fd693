#include "raft/election.h"

#include "raft/check.h"

namespace raftkv::raft {

Election::Election(Core& core)
    : core_(core),
      random_(core.options.random_seed ^ (core.self() * 0xd1342543de82ef95)),
      last_contact_(core.now) {
  set_timer();
  if (core_.config().is_sole_voter(core_.self()) && may_campaign()) campaign(false);
}

void Election::may_lead_now() {
  if (core_.role == Role::kFollower && core_.config().is_sole_voter(core_.self()) &&
      may_campaign() && !core_.disk_stalled()) {
    campaign(false);
  }
}

bool Election::may_campaign() const {
  return core_.electable && !core_.repairing() &&
         core_.members.votes_since(core_.commit(), core_.self());
}

void Election::set_timer() {
  const uint64_t timeout = core_.options.election_timeout_us;
  deadline_ = core_.now + timeout + random_.below(timeout);
}

void Election::follow(Term term, NodeId leader) {
  RAFT_CHECK(term >= core_.hard.term, "term " + std::to_string(core_.hard.term) +
                                          " can't fall back to " + std::to_string(term));
  if (term > core_.hard.term) {
    core_.hard.term = term;
    core_.hard.vote = 0;
  }
  // A follower's timer runs on: somebody who merely has a higher term must not delay an election.
  if (core_.role != Role::kFollower) set_timer();
  core_.role = Role::kFollower;
  if (leader != 0 && leader != core_.leader) core_.leader_changes++;
  core_.leader = leader;
  votes_.clear();
}

void Election::heard_from_leader() {
  last_contact_ = core_.now;
  set_timer();
}

void Election::tick() {
  if (core_.role == Role::kLeader || core_.now < deadline_) return;
  if (core_.disk_stalled() || !may_campaign()) {
    // Those who can't campaign wait on. (With a disk that hangs we could not make a vote durable,
    // let alone lead.) The leader is gone all the same.
    follow(core_.term(), 0);
    set_timer();
    return;
  }
  if (core_.config().is_sole_voter(core_.self())) {
    campaign(false);
  } else {
    pre_campaign();
  }
}

bool Election::loyal() const {
  return core_.role == Role::kLeader ||
         core_.now < last_contact_ + core_.options.election_timeout_us;
}

// --- campaigning -------------------------------------------------------------------------------

void Election::pre_campaign() {
  core_.role = Role::kPreCandidate;
  core_.leader = 0;
  votes_.clear();
  count(core_.self(), Vote::kGranted);
  set_timer();
  ask_for_votes(/*pre=*/true, /*transfer=*/false, core_.term() + 1);
}

void Election::campaign(bool transfer) {
  core_.role = Role::kCandidate;
  core_.leader = 0;
  core_.hard.term++;
  core_.hard.vote = core_.self();
  core_.elections_started++;
  votes_.clear();
  set_timer();
  ask_for_votes(/*pre=*/false, transfer, core_.term());
}

void Election::ask_for_votes(bool pre, bool transfer, Term term) {
  const VoteRequest request{.pre = pre,
                            .transfer = transfer,
                            .last_index = core_.log.last_index(),
                            .last_term = core_.log.last_term()};
  for (NodeId voter : core_.config().all_voters()) {
    if (voter == core_.self()) continue;
    if (pre) {
      core_.send(voter, term, request);
    } else {
      // Sealed, although nobody is promised anything. But if we crashed before the new term and the
      // log are durable, we could campaign again in the same term with a shorter log, and be
      // elected by late votes that were given for the longer one.
      core_.seal(voter, term, request);
    }
  }
}

void Election::count(NodeId voter, Vote vote) {
  if (core_.config().is_voter(voter)) votes_[voter] = vote;
}

Tally Election::tally_now() const {
  const HardState& durable = core_.disk.durable_state();
  const bool own_vote_is_durable = durable.term == core_.term() && durable.vote == core_.self();
  return tally(core_.config(), [&](NodeId voter) {
    if (voter == core_.self() && core_.role == Role::kCandidate) {
      return own_vote_is_durable ? Vote::kGranted : Vote::kUnknown;
    }
    const auto vote = votes_.find(voter);
    return vote == votes_.end() ? Vote::kUnknown : vote->second;
  });
}

bool Election::won() const {
  return core_.role == Role::kCandidate && tally_now() == Tally::kWon;
}

void Election::on_vote_reply(const Message& message, const VoteReply& reply) {
  if (reply.pre) {
    const Term asked = core_.term() + 1;
    if (core_.role != Role::kPreCandidate) return;
    if (reply.granted && message.term != asked) return;
  } else if (core_.role != Role::kCandidate || message.term != core_.term()) {
    return;
  }
  count(message.from, reply.granted ? Vote::kGranted : Vote::kRefused);

  const Tally result = tally_now();
  if (result == Tally::kWon && core_.role == Role::kPreCandidate) {
    if (core_.disk_stalled()) return;
    campaign(false);
  } else if (result == Tally::kLost) {
    follow(core_.term(), 0);
    // Those who refused may still wait for a leader that died a moment before we noticed, or may
    // have split their votes. Ask again soon: a pre-vote costs nobody anything.
    const uint64_t quarter = core_.options.election_timeout_us / 4 + 1;
    deadline_ = core_.now + quarter + random_.below(quarter);
  }
}

void Election::on_timeout_now(const Message& message) {
  const bool from_our_leader =
      core_.role == Role::kFollower && message.term == core_.term() && message.from == core_.leader;
  if (from_our_leader && !core_.disk_stalled() && may_campaign()) campaign(/*transfer=*/true);
}

// --- voting ------------------------------------------------------------------------------------

bool Election::log_is_recent_enough(const VoteRequest& request) const {
  const Term own_term = core_.log.last_term();
  return request.last_term > own_term ||
         (request.last_term == own_term && request.last_index >= core_.log.last_index());
}

void Election::refuse(const Message& message, const VoteRequest& request) {
  core_.reply(message.from, VoteReply{.pre = request.pre, .granted = false});
}

void Election::on_vote_request(const Message& message, const VoteRequest& request) {
  // A node that hears its leader neither votes nor takes over the term of one that does not: else a
  // node with a bad link, or one that was removed, would unseat a leader that serves the others.
  const bool turned_down = loyal() && !request.transfer;
  if (message.term < core_.term() || turned_down) {
    refuse(message, request);
    return;
  }
  if (message.term > core_.term() && !request.pre) follow(message.term, 0);

  // In our own term we can vote if this repeats a vote already cast, or if there was none and no
  // leader has been elected by others.
  const bool vote_is_free = message.term > core_.term() || core_.hard.vote == message.from ||
                            (core_.hard.vote == 0 && core_.leader == 0);
  if (!vote_is_free || !log_is_recent_enough(request) || core_.repairing()) {
    refuse(message, request);
    return;
  }
  if (request.pre) {
    // A pre-vote promises nothing, so it needs no disk; it answers for the term that was asked.
    core_.send(message.from, message.term, VoteReply{.pre = true, .granted = true});
    return;
  }
  core_.hard.vote = message.from;
  set_timer();
  core_.seal(message.from, core_.term(), VoteReply{.pre = false, .granted = true});
}

}  // namespace raftkv::raft
