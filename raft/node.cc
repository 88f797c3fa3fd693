#include "raft/node.h"

#include <algorithm>
#include <optional>

#include "raft/check.h"
#include "raft/core.h"
#include "raft/election.h"
#include "raft/follower.h"
#include "raft/invariants.h"
#include "raft/leader.h"
#include "raft/remote_reads.h"

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

const char* change_error_text(ChangeError error) {
  switch (error) {
    case ChangeError::kNotLeader:
      return "this node is not the leader";
    case ChangeError::kInProgress:
      return "another change of the membership is not finished yet, try again later";
    case ChangeError::kTransferring:
      return "leadership is being handed over, ask the next leader";
    case ChangeError::kNotMember:
      return "there is no such member (only a learner can be promoted)";
    case ChangeError::kAlreadyMember:
      return "that node is a member already";
    case ChangeError::kLastVoter:
      return "the group would be left without a voter";
    case ChangeError::kTooMany:
      return "the group would have too many members";
  }
  return "unknown";
}

// Leads each input to the part that deals with it. Rules about terms that hold for all messages are
// here; everything else is in the parts.
class Node::Impl {
 public:
  Impl(Options options, const Restored& restored, const LogReader& reader, MonotonicUs now)
      : core(std::move(options), restored, reader, now), election(core), remote_reads(core) {}

  void tick(MonotonicUs now);
  void step(Message message);
  void receiving_from(NodeId peer);
  bool restore(const SnapshotMeta& meta);
  uint64_t read();
  uint64_t read_from_leader();
  Ready take_ready(bool with_apply);
  bool has_ready(bool with_apply) const;

  // Role changes happen in the parts; a leadership begins and ends here.
  void settle();

  Core core;
  Election election;
  std::optional<Leader> leadership;
  RemoteReads remote_reads;
  uint64_t last_read = 0;

 private:
  MonotonicUs sign_of_life_ = 0;  // when receiving_from() last told the leader

  bool is_nonsense(const Message& message) const;
  bool is_answer_of_a_stranger(const Message& message) const;
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
  void on(const Message& message, ReadRequest& request);
  void on(const Message& message, ReadReply& reply);
  // The host's own: it has no business here.
  void on(const Message& /*message*/, HostNote& /*note*/) { core.messages_ignored++; }
};

void Node::Impl::settle() {
  if (core.role != Role::kLeader) leadership.reset();
  if (election.won()) {
    core.role = Role::kLeader;
    core.leader = core.self();
    core.leader_changes++;
    leadership.emplace(core);
  }
  remote_reads.settle();
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

bool is_answer(const Message& message) {
  return std::holds_alternative<VoteReply>(message.body) ||
         std::holds_alternative<AppendReply>(message.body) ||
         std::holds_alternative<HeartbeatReply>(message.body) ||
         std::holds_alternative<ReadReply>(message.body);
}

// A leader or a candidate may be of a membership that we have not heard of yet, so it is judged by
// its term and its log alone (thesis 4.1). But an answer, or an order, counts only from those whom
// we would ask or obey: else a removed server could unseat its leader with a higher term.
bool Node::Impl::is_answer_of_a_stranger(const Message& message) const {
  const bool is_request = std::holds_alternative<VoteRequest>(message.body) ||
                          std::holds_alternative<Append>(message.body) ||
                          std::holds_alternative<Heartbeat>(message.body);
  if (is_request || core.config().is_member(message.from)) return false;
  if (message.term != core.term()) return true;
  const bool leaves = leadership && leadership->knows(message.from);
  return !leaves && message.from != core.leader;
}

bool Node::Impl::is_nonsense(const Message& message) const {
  if (message.to != core.self() || message.from == core.self() || message.from == 0) return true;
  if (is_answer_of_a_stranger(message)) return true;
  // Nobody leads or campaigns before the first term.
  if (message.term == 0 && !is_answer(message)) return true;
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

void Node::Impl::on(const Message& message, ReadRequest& request) {
  if (message.term > core.term()) return election.follow(message.term, 0);
  if (message.term == core.term() && leadership) {
    leadership->add_remote_read(message.from, request.number);
  } else {
    core.reply(message.from, ReadReply{.number = request.number, .refused = true});
  }
}

void Node::Impl::on(const Message& message, ReadReply& reply) {
  if (message.term > core.term()) return election.follow(message.term, 0);
  remote_reads.on_reply(message, reply);
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

uint64_t Node::Impl::read() {
  if (!leadership) return 0;
  leadership->add_read(++last_read);
  return last_read;
}

uint64_t Node::Impl::read_from_leader() {
  if (core.role != Role::kFollower) return read();
  if (core.leader == 0) return 0;
  remote_reads.add(++last_read);
  return last_read;
}

bool Node::Impl::restore(const SnapshotMeta& meta) {
  if (!core.wants_snapshot(meta)) return false;
  if (meta.term > core.term()) election.follow(meta.term, 0);
  // A log that contradicts what is committed can't be the leader's. And a candidate's votes were
  // asked of members that may now be others.
  const bool leads_on = leadership && core.log.matches(meta.index, meta.term);
  if (core.role != Role::kFollower && !leads_on) election.follow(core.term(), 0);
  core.restore(meta);
  if (core.role == Role::kFollower && core.leader != 0) {
    core.seal(core.leader, core.term(), AppendReply{.accepted = true, .match = meta.index});
  }
  if (leads_on) leadership->advance_commit();
  settle();
  return true;
}

Ready Node::Impl::take_ready(bool with_apply) {
  Ready ready;
  if (leadership) {
    leadership->send_pending();
    leadership->take_grants(ready.reads);
    leadership->take_snapshot_requests(ready.snapshots);
  }
  if (remote_reads.wants_request()) remote_reads.send_request();
  remote_reads.take_grants(ready.reads);
  if (core.needs_persist()) ready.persist = core.take_persist();
  ready.send_now = std::exchange(core.outgoing, {});
  if (with_apply && core.has_apply()) ready.apply = core.take_apply();
  core.trim_log();
  return ready;
}

bool Node::Impl::has_ready(bool with_apply) const {
  return !core.outgoing.empty() || core.needs_persist() || (with_apply && core.has_apply()) ||
         remote_reads.wants_request() || remote_reads.has_grants() ||
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

std::expected<Index, ProposeError> Node::propose(Payload payload, uint64_t time_us,
                                                 EntryKind kind) {
  RAFT_CHECK(kind == EntryKind::kCommands || kind == EntryKind::kHost,
             "only commands and the host's entries are proposed");
  if (!impl_->leadership) return std::unexpected(ProposeError::kNotLeader);
  return impl_->leadership->propose(std::move(payload), time_us, kind);
}

uint64_t Node::read() {
  return impl_->read();
}

uint64_t Node::read_from_leader() {
  return impl_->read_from_leader();
}

std::expected<Index, ChangeError> Node::change_members(const std::vector<MemberChange>& changes) {
  if (!impl_->leadership) return std::unexpected(ChangeError::kNotLeader);
  return impl_->leadership->change_members(changes);
}

void Node::compact(Index index, Index first_index) {
  impl_->core.compact(index, first_index);
}
SnapshotMeta Node::snapshot_meta(Index index) const {
  return impl_->core.snapshot_meta(index);
}
bool Node::wants_snapshot(const SnapshotMeta& meta) const {
  return impl_->core.wants_snapshot(meta);
}
bool Node::restore(const SnapshotMeta& meta) {
  return impl_->restore(meta);
}
void Node::snapshot_sent(NodeId to, Index index) {
  if (impl_->leadership) impl_->leadership->snapshot_sent(to, index);
}

void Node::persisted(const PersistToken& token) {
  impl_->core.persisted(token);
  if (impl_->leadership) impl_->leadership->advance_commit();
  impl_->settle();
}

bool Node::transfer(NodeId target) {
  return impl_->leadership && impl_->leadership->transfer(target);
}

void Node::set_electable(bool electable) {
  impl_->core.electable = electable;
  if (electable) impl_->election.may_lead_now();
  impl_->settle();
}

Ready Node::take_ready(bool with_apply) {
  return impl_->take_ready(with_apply);
}
bool Node::has_ready(bool with_apply) const {
  return impl_->has_ready(with_apply);
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
Index Node::first_index() const {
  return impl_->core.log.first_index();
}
Index Node::snapshot_index() const {
  return impl_->core.snapshot().index;
}
const MembershipAt& Node::membership() const {
  return impl_->core.members.current();
}
bool Node::membership_settled() const {
  const MembershipAt& newest = impl_->core.members.current();
  return impl_->core.config().known() && !newest.membership.joint() &&
         newest.index <= impl_->core.commit();
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
                .first = core.log.first_index(),
                .snapshot_index = core.snapshot().index,
                .repairing = core.repairing(),
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
