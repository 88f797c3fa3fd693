// The background check that the replicas agree: from time to time the leader proposes a check; each
// replica computes the digest of its dataset at that entry and reports it; what a majority of the
// voters has goes into the log as the verdict; who has something else takes itself out.
#include <algorithm>

#include "server/replica/check.h"
#include "server/replica/replica.h"

namespace raftkv::server {

namespace {

// The digest of the sessions is computed at once, while everything else waits: not of so large a
// table that the pause would be felt.
constexpr size_t kSessionBytesMax = size_t{16} << 20;
// A report may be lost, and its leader be replaced: it is repeated, ever more rarely.
constexpr uint64_t kReportAgainUs = 1'000'000;
constexpr uint64_t kReportAgainUsMax = 32'000'000;

}  // namespace

void Replica::apply_host_entry(const raft::Entry& entry) {
  const HostEntry what = decode_host_entry(entry.payload ? std::string_view(*entry.payload) : "");
  if (const auto* check = std::get_if<DigestCheck>(&what)) {
    digests_.begin(entry.index, *check, state_);
    poll_.begin(entry.index, monotonic_us_);
    return;
  }
  const auto& verdict = std::get<DigestVerdict>(what);
  digests_.decided(verdict, ports_.now_wall_us());
  poll_.end(verdict.index);
  if (!verdict.digest) ports_.digests_undecided(verdict.index);
  leave_if_different();
}

bool Replica::tend_digests() {
  const bool more = digests_.status().in_progress && digests_.advance(state_, ports_.now_wall_us());
  leave_if_different();
  if (taken_out_) return false;
  if (leading_term_ != 0) {
    lead_digests();
  } else {
    report_digest();
  }
  return more;
}

void Replica::lead_digests() {
  if (const auto own = digests_.unjudged(); own && !poll_.knows(options_.raft.id, own->index)) {
    poll_.report(options_.raft.id, *own);
  }
  if (!poll_.has_news() && !poll_.check_due(monotonic_us_)) return;
  // One entry at a time, and none that the disk has no room for or a transfer would have to wait
  // for.
  const bool on_its_way =
      digest_entry_term_ == leading_term_ && digest_entry_index_ > state_.applied_index();
  if (on_its_way || handover_.active() || ports_.disk_full()) return;
  if (const auto verdict = poll_.verdict(book_.in_force().membership)) {
    return propose_host_entry(*verdict);
  }
  // Who is alone has nobody to compare with.
  if (members().size() < 2 || digests_.status().in_progress) return;
  if (!poll_.check_due(monotonic_us_)) return;
  propose_host_entry(DigestCheck{.with_sessions = state_.once().bytes() <= kSessionBytesMax});
}

// The log's clock is not moved by it: what waits to be proposed has its time already.
void Replica::propose_host_entry(const HostEntry& entry) {
  const auto index = node_.propose(std::make_shared<const std::string>(encode_host_entry(entry)),
                                   node_.last_time_us(), raft::EntryKind::kHost);
  if (!index) return;  // the log has no room for it now
  digest_entry_term_ = leading_term_;
  digest_entry_index_ = *index;
}

void Replica::report_digest() {
  const auto report = digests_.unjudged();
  const raft::NodeId leader = node_.leader();
  if (!report || leader == 0 || leader == options_.raft.id) return;
  const bool same =
      report_.leader == leader && report_.term == node_.term() && report_.index == report->index;
  if (same && monotonic_us_ < report_.again_us) return;
  const uint64_t wait = same ? std::min(2 * report_.wait_us, kReportAgainUsMax) : kReportAgainUs;
  report_ = {.leader = leader,
             .term = node_.term(),
             .index = report->index,
             .wait_us = wait,
             .again_us = monotonic_us_ + wait};
  ports_.send({.from = options_.raft.id,
               .to = leader,
               .term = node_.term(),
               .body = raft::HostNote{.bytes = encode_digest_report(*report)}});
}

// A note of a kind that is not known comes from a later version: whoever sent it does without. What
// somebody reports who is no voter, the verdict does not count.
void Replica::hear(raft::NodeId from, const raft::HostNote& note) {
  if (const auto report = decode_digest_report(note.bytes)) poll_.report(from, *report);
}

// From here on nothing is answered, applied or proposed: what this node holds is wrong, and so is
// whatever it would say. Its log goes with the dataset, in the next start: entries that others
// count on this node for may be in it, so it does not vote before it has them again.
void Replica::leave_if_different() {
  const auto difference = digests_.take_difference();
  if (!difference) return;
  taken_out_ = true;
  node_.set_electable(false);
  snapshots_.abandon();
  if (node_.is_leader()) node_.transfer(0);
  ports_.dataset_differs(*difference);
}

bool Replica::may_be_discarded() const {
  return taken_out_ && (!node_.is_leader() || node_.status().transfer_target == 0);
}

}  // namespace raftkv::server
