// Memberships and what a snapshot stands for, as bytes. The layout stands in raft/codec.h.
#include <iterator>
#include <vector>

#include "raft/check.h"
#include "raft/codec.h"
#include "raft/membership.h"
#include "raft/wire.h"

namespace raftkv::raft {
namespace {

void put_ids(const std::vector<NodeId>& ids, std::string& out) {
  put_varint(out, ids.size());
  for (NodeId id : ids) put_varint(out, id);
}

void put_membership(const Membership& membership, std::string& out) {
  const std::string fault = membership_fault(membership);
  RAFT_CHECK(fault.empty(), "encoding " + fault);
  put_flags(out, membership.joint(), false);
  put_ids(membership.voters, out);
  if (membership.joint()) put_ids(membership.outgoing_voters, out);
  put_ids(membership.learners, out);
  // They are ordered by id, and are exactly the members.
  for (const auto& [id, context] : membership.contexts) {
    put_varint(out, context.size());
    out.append(context);
  }
}

std::vector<NodeId> take_ids(Source& in, size_t count_max) {
  std::vector<NodeId> ids;
  const uint64_t count = in.varint("a number of members");
  if (count > count_max) in.fail("a membership of ", "too many");
  for (uint64_t i = 0; i < count && !in.failed(); i++) ids.push_back(in.varint("a member"));
  return ids;
}

Membership take_membership(Source& in) {
  Membership membership;
  const bool joint = in.flags(1, "a membership's flags") != 0;
  membership.voters = take_ids(in, Configuration::kVotersMax);
  if (joint) {
    membership.outgoing_voters = take_ids(in, Configuration::kVotersMax);
    if (membership.outgoing_voters.empty())
      in.fail("a joint membership without ", "outgoing voters");
  }
  membership.learners = take_ids(in, Configuration::kLearnersMax);
  for (const auto* ids : {&membership.voters, &membership.outgoing_voters, &membership.learners}) {
    for (NodeId id : *ids) membership.contexts.try_emplace(id);
  }
  for (auto& [id, context] : membership.contexts) {
    context = in.take(in.varint("a context's length"), "a member's context");
  }
  if (in.failed()) return {};
  if (const std::string fault = membership_fault(membership); !fault.empty()) {
    in.fail("", fault.c_str());
  }
  return membership;
}

template <typename Value>
std::expected<Value, std::string> all_of(const Source& in, Value value) {
  if (in.failed()) return std::unexpected(in.error());
  if (!in.rest().empty()) {
    return std::unexpected(std::to_string(in.rest().size()) + " bytes too many");
  }
  return value;
}

}  // namespace

void encode_membership(const Membership& membership, std::string& out) {
  put_membership(membership, out);
}

std::expected<Membership, std::string> decode_membership(std::string_view bytes) {
  Source in(bytes);
  Membership membership = take_membership(in);
  return all_of(in, std::move(membership));
}

void encode_snapshot_meta(const SnapshotMeta& meta, std::string& out) {
  put_varint(out, meta.index);
  put_varint(out, meta.term);
  put_varint(out, meta.time_us);
  const bool known = meta.membership != Membership{};
  put_flags(out, known, false);
  if (known) put_membership(meta.membership, out);
}

std::expected<SnapshotMeta, std::string> decode_snapshot_meta(std::string_view bytes) {
  Source in(bytes);
  SnapshotMeta meta;
  meta.index = in.varint("a snapshot's index");
  meta.term = in.varint("a snapshot's term");
  meta.time_us = in.varint("a snapshot's time");
  const bool known = in.flags(1, "a snapshot's flags") != 0;
  if (known) meta.membership = take_membership(in);
  if (!in.failed() && (meta.index == 0) != (meta.term == 0)) {
    in.fail("an index without a term, or a term without an index: ", "a snapshot");
  }
  return all_of(in, std::move(meta));
}

}  // namespace raftkv::raft
