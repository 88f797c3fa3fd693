// The turn: what a replica does once about everything that came in.
#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "server/replica/check.h"
#include "server/replica/replica.h"
#include "server/replica/session.h"

namespace raftkv::server {

namespace {

// Of what FLUSHALL and installed snapshots left, freed in a turn: some hundred keys.
constexpr size_t kFreeingSteps = 32;

// Looked up only when it is asked for: nearly no write is ever redirected once it was taken.
uint16_t slot_of_write(const BatchItem& item, PayloadReader& writes) {
  const PayloadReader::Item shape = writes.next_item();
  if (!shape.transaction) return command_slot(*item.spec, writes.next_command());
  for (size_t i = 0; i < shape.commands; ++i) writes.next_command();
  return item.slot;
}

constexpr std::string_view kUnknownOutcome =
    "UNKNOWN leadership was lost while this command was being replicated; it may or may not take "
    "effect";

}  // namespace

bool Replica::end_turn() {
  touch();
  // The process may have been stopped since the turn began, and what came meanwhile was read in it:
  // a lease is judged by a look at the clock that is later than all of that.
  tick();
  turn_started_us_ = monotonic_us_;
  notice_leadership();
  notice_membership();
  if (leading_term_ != 0) {
    lead_members();
    expire_keys();
    // Reads first: a batch that is proposed after them confirms them when it commits.
    reads_.register_groups([this] { return node_.read(); });
    propose_batches();
  } else {
    ask_leader_for_reads();
  }
  apply_slice();
  // What was left over from the last turn may have asked for an entry that settles deadlines.
  if (leading_term_ != 0) propose_batches();
  bool more =
      !awaits_dataset_ && !taken_out_ && snapshots_.advance(node_, state_, ports_.now_wall_us());
  more |= tend_digests();
  // What can't be applied now does not hold up what others wait for.
  const auto takes_entries = [this] { return unapplied_.empty() && may_apply(); };
  while (node_.has_ready(takes_entries())) {
    carry_out(node_.take_ready(takes_entries()));
    if (leading_term_ == 0) continue;
    // What was committed may have made room for batches that waited, or was what a hand-over waits
    // for.
    handover_.advance(node_, proposed_.empty(), monotonic_us_);
    propose_batches();
  }
  resume_waiting();
  in_turn_ = false;
  more |= state_.keyspace().work_slice(kFreeingSteps);
  return more || (!unapplied_.empty() && may_apply());
}

void Replica::notice_leadership() {
  const raft::Term term = node_.is_leader() ? node_.term() : 0;
  if (term == leading_term_) return;
  if (leading_term_ != 0) stop_leading();
  if (term != 0) {
    leading_term_ = term;
    lead();
  }
  ports_.leadership_changed(node_.status());
}

void Replica::lead() {
  RAFTKV_CHECK(!writes_pending(), "a new leader has commands of an earlier term waiting");
  // Whatever earlier terms left stands in the log before this term's first entry, and reads wait
  // for that one.
  applied_batch_ = forming_.number - 1;
  may_flee_us_ = monotonic_us_ + options_.full_disk_handover_us;
  clock_.advance(monotonic_us_, ports_.now_wall_us(), node_.last_time_us());
  // Reads that wait for another leader's word: the commit of this entry is as good as that.
  if (!reads_.empty()) forming_.forced = true;
}

// Each command that waits gets the truth: what stands in the log may still take effect, what has
// not entered it, and every read, surely has not. In the order of each connection's commands.
void Replica::stop_leading() {
  leading_term_ = 0;
  gathers_until_us_ = UINT64_MAX;
  handover_.end(monotonic_us_);
  book_.forget_rounds();
  const auto refuse_read = [this](ReadItem& item) { fail(item.origin, redirect(item.slot)); };
  const auto refuse_batch = [&](Batch& batch, bool in_log) {
    reads_.drop_before(batch.number, refuse_read);
    PayloadReader writes(batch.sealed ? std::string_view(*batch.sealed) : batch.payload);
    for (BatchItem& item : batch.items) {
      if (!in_log && !item.read) item.slot = slot_of_write(item, writes);
      if (in_log && !item.read) {
        ++stats_.unknown_outcomes;
        fail(item.origin, kUnknownOutcome);
      } else {
        fail(item.origin, redirect(item.slot));
      }
    }
  };
  for (Batch& batch : proposed_) refuse_batch(batch, true);
  for (Batch& batch : closed_) refuse_batch(batch, false);
  refuse_batch(forming_, false);
  reads_.drop_before(std::numeric_limits<BatchNumber>::max(), refuse_read);
  proposed_.clear();
  closed_.clear();
  closed_bytes_ = 0;
  Batch fresh;
  fresh.number = forming_.number + 1;
  forming_ = std::move(fresh);
  // As a follower no connection waits for a batch.
  applied_batch_ = forming_.number - 1;
}

void Replica::close_forming() {
  forming_.time_us = now_us();
  forming_.sealed = std::make_shared<const std::string>(std::move(forming_.payload));
  closed_bytes_ += forming_.bytes();
  const BatchNumber next = forming_.number + 1;
  closed_.push_back(std::move(forming_));
  forming_ = Batch{};
  forming_.number = next;
}

void Replica::propose_batches() {
  gathers_until_us_ = UINT64_MAX;
  if (handover_.active() || taken_out_) return;
  while (proposed_.size() < options_.entries_inflight_max) {
    if (closed_.empty()) {
      if (!forming_.wanted() || gathers_more()) return;
      close_forming();
    }
    Batch& batch = closed_.front();
    const auto index = node_.propose(batch.sealed, batch.time_us);
    // The log is full for now, or leadership is being handed over: the batch waits.
    if (!index) return;
    closed_bytes_ -= batch.bytes();
    batch.index = *index;
    if (proposed_.empty()) batch.alone_since_us = monotonic_us_;
    gathering_.proposed(monotonic_us_);
    batch.sealed.reset();
    proposed_.push_back(std::move(batch));
    closed_.pop_front();
  }
}

// Reads that came before the batch do not wait for it: their own round confirms them.
bool Replica::gathers_more() {
  // Who has writes in several batches counts in each of them: a pipeline waits rather less.
  size_t waiting = forming_.writers;
  for (const Batch& batch : proposed_) waiting += batch.writers;
  if (!gathering_.waits(monotonic_us_, waiting)) return false;
  gathers_until_us_ = gathering_.until_us();
  return true;
}

// Keys whose deadline has passed are deleted by every entry, as its time tells. If there is no
// other traffic, an entry is proposed just for that.
void Replica::expire_keys() {
  const data::TimeMs earliest = state_.keyspace().earliest_expiry();
  if (earliest == data::kNoExpiry || earliest > now_ms()) return;
  if (monotonic_us_ < last_expiry_us_ + options_.expire_interval_us) return;
  // They are gone for every reader; that they take memory can wait until there is room.
  if (writes_pending() || ports_.disk_full()) return;
  last_expiry_us_ = monotonic_us_;
  forming_.forced = true;
}

void Replica::carry_out(raft::Ready ready) {
  notice_membership();
  for (raft::Message& message : ready.send_now) ports_.send(std::move(message));
  if (ready.persist) ports_.persist(std::move(*ready.persist));
  notice_leadership();
  for (const raft::ReadGrant& grant : ready.reads) {
    // What a leader answers a follower holds for all that came before, too: the answers to
    // earlier questions may be lost.
    reads_.grant(leading_term_ != 0 ? grant.first : 0, grant.last, grant.index);
    stats_.reads_granted += grant.last - grant.first + 1;
  }
  send_snapshots(ready.snapshots);
  if (!ready.apply.empty()) {
    unapplied_ = std::move(ready.apply);
    unapplied_next_ = 0;
  }
  apply_slice();
}

// Applies what was handed out, until the turn has lasted long enough.
void Replica::apply_slice() {
  while (unapplied_next_ < unapplied_.size() && may_apply()) {
    apply(unapplied_[unapplied_next_++]);
    if (ports_.now_monotonic_us() - turn_started_us_ >= options_.apply_slice_us) break;
  }
  if (unapplied_next_ < unapplied_.size()) return;
  unapplied_.clear();
  unapplied_next_ = 0;
  run_granted_reads();
}

void Replica::resume_waiting() {
  if (waiting_.empty()) return;
  std::vector<Session*> still;
  std::vector<Session*> ready;
  for (Session* session : waiting_) (session->can_resume() ? ready : still).push_back(session);
  waiting_ = std::move(still);
  for (Session* session : ready) session->resume();
}

}  // namespace raftkv::server
