#include "raft/node.h"

#include <algorithm>
#include <optional>

#include "raft/check.h"
#include "raft/core.h"
#include "raft/election.h"
#include "raft/follower.h"
#include "raft/invariants.h"
#include "raft/leader.h"

namespace raftkv::raft {

const char* role_name(Role role) {
  switch (role) {
    case Role::kFollower:
      return "follower";
    case Role::kPreCandidate:
      return "pre-candidate";
    case Role::kCandidate:
      return "candidate";
    case Role::kLeader:
      return "leader";
  }
  return "unknown";
}

// Leads each input to the part that deals with it. Rules about terms that hold for all messages are
// here; everything else is in the parts.
class Node::Impl {
 public:
  Impl(Options options, const Restored& restored, const LogReader& reader, MonotonicUs now)
      : core(std::move(options), restored, reader, now), election(core) {}

  void tick(MonotonicUs now);
  void step(Message message);
  void receiving_from(NodeId peer);
  Ready take_ready();
  bool has_ready() const;

  // Role changes happen in the parts; a leadership begins and ends here.
  void settle();

  Core core;
  Election election;
  std::optional<Leader> leadership;
  uint64_t last_read = 0;

 private:
  MonotonicUs sign_of_life_ = 0;  // when receiving_from() last told the leader

  bool is_nonsense(const Message& message) const;
  void answer_stale(const Message& message);
  void follow_sender(const Message& message);

  // One for each kind of message. The term is ours but for votes, which have rules of their own.
  void on(const Message& message, VoteRequest& request);
  void on(const Message& message, VoteReply& reply);
  void on(const Message& message, Append& append);
  void on(const Message& message, AppendReply& reply);
  void on(const Message& message, Heartbeat& heartbeat);
  void on(const Message& message, HeartbeatReply& reply);
  void on(const Message& message, TimeoutNow& order);
};

void Node::Impl::settle() {
  if (core.role != Role::kLeader) leadership.reset();
  if (!election.won()) return;
  core.role = Role::kLeader;
  core.leader = core.self();
  core.leader_changes++;
  leadership.emplace(core);
}

void Node::Impl::tick(MonotonicUs now) {
  RAFT_CHECK(now >= core.now,
             "time went back from " + std::to_string(core.now) + " to " + std::to_string(now));
  core.now = now;
  if (leadership && !leadership->tick()) election.follow(core.term(), 0);
  election.tick();
  settle();
}

// --- messages ----------------------------------------------------------------------------------

bool Node::Impl::is_nonsense(const Message& message) const {
  if (message.to != core.self() || message.from == core.self()) return true;
  if (!core.config.is_member(message.from)) return true;
  // Nobody leads or campaigns before the first term.
  const bool is_answer = std::holds_alternative<VoteReply>(message.body) ||
                         std::holds_alternative<AppendReply>(message.body) ||
                         std::holds_alternative<HeartbeatReply>(message.body);
  if (message.term == 0 && !is_answer) return true;
  const auto* append = std::get_if<Append>(&message.body);
  return append != nullptr && !is_well_formed(*append, message.term);
}

void Node::Impl::step(Message message) {
  if (is_nonsense(message)) {
    core.messages_ignored++;
    return;
  }
  std::visit([&](auto& body) { on(message, body); }, message.body);
  settle();
}

void Node::Impl::on(const Message& message, VoteRequest& request) {
  election.on_vote_request(message, request);
}

void Node::Impl::on(const Message& message, VoteReply& reply) {
  // A granted pre-vote names the term that was asked for, which is nobody's term yet.
  const bool names_own_term = !(reply.pre && reply.granted);
  if (names_own_term && message.term > core.term()) election.follow(message.term, 0);
  election.on_vote_reply(message, reply);
}

void Node::Impl::follow_sender(const Message& message) {
  if (message.term == core.term()) {
    const bool another_leads = core.leader != 0 && core.leader != message.from;
    RAFT_CHECK(!another_leads, "term " + std::to_string(core.term()) + " has two leaders, " +
                                   std::to_string(core.leader) + " and " +
                                   std::to_string(message.from));
  }
  if (core.leader != message.from || message.term > core.term()) {
    election.follow(message.term, message.from);
  }
  election.heard_from_leader();
}

// The sender has missed an election, and perhaps nobody else tells it.
void Node::Impl::answer_stale(const Message& message) {
  if (const auto* append = std::get_if<Append>(&message.body)) {
    core.reply(message.from, AppendReply{.rejected_prev = append->prev_index});
  } else if (const auto* heartbeat = std::get_if<Heartbeat>(&message.body)) {
    core.reply(message.from,
               HeartbeatReply{.round = heartbeat->round, .last_index = core.log.last_index()});
  }
}

void Node::Impl::on(const Message& message, Append& append) {
  if (message.term < core.term()) return answer_stale(message);
  follow_sender(message);
  on_append(core, message, append);
}

void Node::Impl::on(const Message& message, Heartbeat& heartbeat) {
  if (message.term < core.term()) return answer_stale(message);
  follow_sender(message);
  on_heartbeat(core, message, heartbeat);
}

void Node::Impl::on(const Message& message, AppendReply& reply) {
  if (message.term > core.term()) return election.follow(message.term, 0);
  if (message.term == core.term() && leadership) leadership->on_append_reply(message, reply);
}

void Node::Impl::on(const Message& message, HeartbeatReply& reply) {
  if (message.term > core.term()) return election.follow(message.term, 0);
  if (message.term == core.term() && leadership) leadership->on_heartbeat_reply(message, reply);
}

void Node::Impl::on(const Message& message, TimeoutNow& /*order*/) {
  if (message.term > core.term()) return election.follow(message.term, 0);
  election.on_timeout_now(message);
}

// Answers no round, so it confirms no read and prolongs no lease; it only tells that we are there.
void Node::Impl::receiving_from(NodeId peer) {
  if (core.role != Role::kFollower || peer == 0 || core.leader != peer) return;
  election.heard_from_leader();
  if (core.now < sign_of_life_ + core.options.heartbeat_us) return;
  sign_of_life_ = core.now;
  core.reply(peer, HeartbeatReply{.round = 0, .last_index = core.log.last_index()});
}

// --- outputs -----------------------------------------------------------------------------------

Ready Node::Impl::take_ready() {
  Ready ready;
  if (leadership) leadership->send_pending();
  if (core.needs_persist()) ready.persist = core.take_persist();
  ready.send_now = std::exchange(core.outgoing, {});
  if (core.has_apply()) ready.apply = core.take_apply();
  if (leadership) leadership->take_grants(ready.reads);
  core.trim_log();
  return ready;
}

bool Node::Impl::has_ready() const {
  return !core.outgoing.empty() || core.needs_persist() || core.has_apply() ||
         (leadership && leadership->has_ready());
}

// --- the face ----------------------------------------------------------------------------------

Node::Node(Options options, const Restored& restored, const LogReader& reader, MonotonicUs now)
    : impl_(std::make_unique<Impl>(std::move(options), restored, reader, now)) {}
Node::~Node() = default;

void Node::tick(MonotonicUs now) {
  impl_->tick(now);
}

MonotonicUs Node::next_deadline() const {
  return impl_->leadership ? impl_->leadership->next_deadline() : impl_->election.deadline();
}

void Node::step(Message message) {
  impl_->step(std::move(message));
}

void Node::receiving_from(NodeId peer) {
  impl_->receiving_from(peer);
}

std::expected<Index, ProposeError> Node::propose(Payload payload, uint64_t time_us) {
  if (!impl_->leadership) return std::unexpected(ProposeError::kNotLeader);
  return impl_->leadership->propose(std::move(payload), time_us);
}

uint64_t Node::read() {
  if (!impl_->leadership) return 0;
  impl_->leadership->add_read(++impl_->last_read);
  return impl_->last_read;
}

void Node::persisted(const PersistToken& token) {
  impl_->core.persisted(token);
  if (impl_->leadership) impl_->leadership->advance_commit();
  impl_->settle();
}

bool Node::transfer(NodeId target) {
  return impl_->leadership && impl_->leadership->transfer(target);
}

Ready Node::take_ready() {
  return impl_->take_ready();
}
bool Node::has_ready() const {
  return impl_->has_ready();
}

Role Node::role() const {
  return impl_->core.role;
}
Term Node::term() const {
  return impl_->core.term();
}
NodeId Node::leader() const {
  return impl_->core.leader;
}
Index Node::commit_index() const {
  return impl_->core.commit();
}
Index Node::last_index() const {
  return impl_->core.log.last_index();
}
uint64_t Node::last_time_us() const {
  return impl_->core.log.last_time_us();
}
bool Node::lease_valid() const {
  return impl_->leadership && impl_->leadership->lease_valid();
}

Status Node::status() const {
  const Core& core = impl_->core;
  Status status{.id = core.self(),
                .role = core.role,
                .term = core.term(),
                .leader = core.leader,
                .vote = core.hard.vote,
                .commit = core.commit(),
                .applied = core.applied,
                .durable = core.disk.durable_index(),
                .last = core.log.last_index(),
                .elections_started = core.elections_started,
                .leader_changes = core.leader_changes,
                .messages_ignored = core.messages_ignored};
  if (impl_->leadership) {
    status.transfer_target = impl_->leadership->transfer_target();
    status.peers = impl_->leadership->peer_status();
  }
  return status;
}

std::string Node::broken_invariant() const {
  return find_broken_invariant(impl_->core, impl_->leadership ? &*impl_->leadership : nullptr);
}

}  // namespace raftkv::raft
