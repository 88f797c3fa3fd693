#include "server/replica/replica.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "server/replica/check.h"
#include "server/replica/session.h"

namespace raftkv::server {

namespace {

// Whoever leads must serve: not before its state is loaded.
raft::Options core_options(raft::Options options, ReadMode mode, bool awaits_dataset) {
  options.electable = !awaits_dataset;
  options.lease_reads = mode == ReadMode::kLease;
  return options;
}

}  // namespace

Replica::Replica(ReplicaOptions options, raft::Restored restored, const raft::LogReader& reader,
                 storage::SnapshotStore& snapshots, Stats& stats, ReplicaPorts& ports)
    : options_(std::move(options)),
      stats_(stats),
      ports_(ports),
      node_(core_options(options_.raft, options_.read_mode, restored.snapshot.index != 0), restored,
            reader, ports.now_monotonic_us()),
      book_(options_.raft.id, node_, restored, options_.raft.bootstrap),
      state_(options_.hash_seed, stats, options_.precise_clock_ns),
      snapshots_(options_.snapshots, snapshots, restored.snapshot, restored.lost_snapshot,
                 [&ports] { return ports.now_monotonic_us(); }),
      digests_(options_.digest_slice_us, [&ports] { return ports.now_monotonic_us(); }),
      poll_(options_.digest_interval_us, ports.now_monotonic_us()),
      awaits_dataset_(restored.snapshot.index != 0),
      awaited_index_(restored.snapshot.index),
      load_until_(std::min(restored.hard_state.commit, restored.last_index)),
      gathering_(options_.gathering_us_max) {
  forming_.number = 1;
}

// Sessions that were closed with commands in flight end with the replica.
Replica::~Replica() {
  if (leading_term_ != 0) stop_leading();
  // A follower's reads may still wait for the leader. A session that is closed lives until its last
  // command has its answer.
  reads_.drop_before(std::numeric_limits<BatchNumber>::max(),
                     [this](ReadItem& item) { fail(item.origin, redirect(item.slot)); });
}

void Replica::touch() {
  if (in_turn_) return;
  in_turn_ = true;
  tick();
}

void Replica::tick() {
  monotonic_us_ = std::max(monotonic_us_, ports_.now_monotonic_us());
  node_.tick(monotonic_us_);
  clock_.advance(monotonic_us_, ports_.now_wall_us(), node_.last_time_us());
}

void Replica::step(raft::Message message) {
  touch();
  // Who has no room for its own vote can't take over: it would only depose the leader that it has,
  // and reads would end for all. The leader goes on as if this message had been lost.
  if (std::holds_alternative<raft::TimeoutNow>(message.body) && ports_.disk_full()) return;
  if (const auto* note = std::get_if<raft::HostNote>(&message.body)) {
    return hear(message.from, *note);
  }
  node_.step(std::move(message));
}

void Replica::receiving_from(raft::NodeId peer) {
  touch();
  node_.receiving_from(peer);
}

void Replica::persisted(raft::Persist persist) {
  touch();
  for (raft::Message& message : persist.sealed) ports_.send(std::move(message));
  node_.persisted(persist.token);
  if (persist.cut) snapshots_.recorded(node_, persist.cut->snapshot.index);
}

bool Replica::leads() {
  notice_leadership();
  return leading_term_ != 0;
}

bool Replica::accepts_commands() const {
  return closed_bytes_ + forming_.payload.size() + forming_.read_arguments.size() <
             options_.queue_bytes_max &&
         reads_.bytes() < options_.queue_bytes_max;
}

size_t Replica::queued_bytes() const {
  return closed_bytes_ + forming_.payload.size() + forming_.read_arguments.size() + reads_.bytes();
}

BatchNumber Replica::newest_batch() const {
  return forming_.items.empty() ? forming_.number - 1 : forming_.number;
}

void Replica::touch_watches(const CommandSpec& spec, Args args) {
  if (watches_.empty()) return;
  const Carried call = carried_by(spec, args);
  RAFTKV_CHECK(call.spec != nullptr, "a write carries a command that does not exist");
  if (call.spec->flags & kStateMachine) return;  // RAFT.SESSION touches no key
  if (call.spec->keys.first == 0) {
    watches_.touch_all();
  } else {
    for_each_key(*call.spec, call.args, [this](std::string_view key) { watches_.touch(key); });
  }
}

// Before the session's reads_after() tells of this batch.
void Replica::note_writer(Session& session) {
  if (session.reads_after() == forming_.number) return;
  ++forming_.writers;
  gathering_.client_writes(session.wrote(), monotonic_us_);
}

void Replica::add_write(Origin origin, const CommandSpec& spec, Args args) {
  touch_watches(spec, args);
  if (is_session_open(spec)) {
    const auto opening = opening_for_log(args, options_.once, origin.protocol);
    const std::vector<std::string_view> words(opening.begin(), opening.end());
    append_command(forming_.payload, words);
  } else {
    append_command(forming_.payload, args);
  }
  BatchItem& item = forming_.items.emplace_back();
  item.origin = origin;
  item.spec = &spec;
  note_writer(*origin.session);
  origin.session->set_reads_after(forming_.number);
  if (forming_.payload.size() >= options_.batch_bytes) close_forming();
}

void Replica::add_read(Origin origin, const CommandSpec& spec, Args args) {
  if (origin.session->reads_after() == forming_.number) {
    BatchItem& item = forming_.items.emplace_back();
    item.origin = origin;
    item.spec = &spec;
    item.read = true;
    item.read_offset = forming_.read_arguments.size();
    item.slot = command_slot(spec, args);
    append_command(forming_.read_arguments, args);
    return;
  }
  encoded_.clear();
  append_command(encoded_, args);
  ReadItem item;
  item.origin = origin;
  item.spec = &spec;
  item.after = origin.session->reads_after();
  item.slot = command_slot(spec, args);
  reads_.add(forming_.number, now_us(), monotonic_us_, std::move(item), encoded_);
}

void Replica::add_transaction(Origin origin, std::unique_ptr<TransactionPlan> plan,
                              std::string_view arguments, bool read_only, bool watched,
                              uint16_t slot) {
  if (read_only && !watched && origin.session->reads_after() != forming_.number) {
    ReadItem item;
    item.origin = origin;
    item.plan = std::move(plan);
    item.after = origin.session->reads_after();
    item.slot = slot;
    reads_.add(forming_.number, now_us(), monotonic_us_, std::move(item), arguments);
    return;
  }
  BatchItem& item = forming_.items.emplace_back();
  item.origin = origin;
  item.slot = slot;
  item.read = read_only;
  if (read_only) {
    item.read_offset = forming_.read_arguments.size();
    forming_.read_arguments.append(arguments);
  } else {
    PayloadReader reader(arguments);
    size_t commands = reader.next_item().commands;
    for (const TransactionPlan::Step& step : plan->steps) {
      if (step.spec == nullptr) continue;
      const Args args = reader.next_command();
      --commands;
      if (step.spec->is_write()) touch_watches(*step.spec, args);
    }
    RAFTKV_CHECK(commands == 0, "a transaction's plan does not fit its arguments");
    forming_.payload.append(arguments);
    note_writer(*origin.session);
  }
  // Also behind one of reads: a later read that overtook it would be answered first.
  origin.session->set_reads_after(forming_.number);
  item.plan = std::move(plan);
  if (watched || forming_.payload.size() >= options_.batch_bytes) close_forming();
}

size_t Replica::replicas_with(raft::Index index) const {
  size_t count = 0;
  for (const raft::PeerStatus& peer : node_.status().peers) {
    if (peer.match >= index) ++count;
  }
  return count;
}

void Replica::remove_waiting(Session* session) {
  std::erase(waiting_, session);
}

size_t Replica::blocked_count() const {
  return static_cast<size_t>(std::count_if(waiting_.begin(), waiting_.end(),
                                           [](const Session* s) { return s->blocked(); }));
}

raft::MonotonicUs Replica::next_deadline() const {
  raft::MonotonicUs next = std::min(
      {node_.next_deadline(), handover_.deadline(proposed_.empty()), follower_reads_deadline()});
  // Where nothing else makes a turn (a group of one, at rest), a snapshot that failed does.
  const SnapshotStatus& snapshot = snapshots_.status();
  if (!snapshot.error.empty() && !snapshot.in_progress) {
    next = std::min(next, monotonic_us_ + options_.snapshots.limits.retry_us);
  }
  next = std::min(next, gathers_until_us_);
  for (const Session* session : waiting_) next = std::min(next, session->wait_deadline_us());
  const data::TimeMs earliest = state_.keyspace().earliest_expiry();
  if (leading_term_ != 0 && earliest != data::kNoExpiry && !writes_pending()) {
    const data::TimeMs now = now_ms();
    const uint64_t due =
        monotonic_us_ + (earliest > now ? static_cast<uint64_t>(earliest - now) * 1000 : 0);
    next = std::min(next, std::max(due, last_expiry_us_ + options_.expire_interval_us));
  }
  return next;
}

}  // namespace raftkv::server
