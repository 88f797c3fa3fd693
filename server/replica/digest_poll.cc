#include "server/replica/digest_poll.h"

#include "raft/membership.h"
#include "raft/quorum.h"

namespace raftkv::server {

void DigestPoll::begin(raft::Index index, raft::MonotonicUs now) {
  index_ = index;
  reports_.clear();
  news_ = false;
  changed_ = false;
  next_check_us_ = now + interval_us_;
}

void DigestPoll::end(raft::Index index) {
  if (index != index_) return;
  index_ = 0;
  reports_.clear();
  news_ = false;
}

void DigestPoll::report(raft::NodeId from, const DigestReport& report) {
  if (report.index != index_ || index_ == 0) return;
  reports_[from] = report.digest;
  news_ = true;
}

bool DigestPoll::knows(raft::NodeId from, const DigestReport& report) const {
  const auto known = reports_.find(from);
  return report.index != index_ || (known != reports_.end() && known->second == report.digest);
}

std::optional<DigestVerdict> DigestPoll::verdict(const raft::Membership& membership) {
  if (!news_ || membership.voters.empty()) return std::nullopt;
  const raft::Configuration config(membership);
  // As in an election: each voter is for the digest that it reported, and against all others.
  const auto tally_of = [&](const Digest* digest) {
    return raft::tally(config, [&](raft::NodeId voter) {
      const auto report = reports_.find(voter);
      if (report == reports_.end()) return raft::Vote::kUnknown;
      const bool same = digest != nullptr && report->second == *digest;
      return same ? raft::Vote::kGranted : raft::Vote::kRefused;
    });
  };
  bool open = tally_of(nullptr) != raft::Tally::kLost;  // for one that nobody has reported yet
  for (const auto& [from, digest] : reports_) {
    const raft::Tally tally = tally_of(&digest);
    if (tally == raft::Tally::kWon) return DigestVerdict{.index = index_, .digest = digest};
    open |= tally != raft::Tally::kLost;
  }
  if (open) {
    news_ = false;
    return std::nullopt;
  }
  return DigestVerdict{.index = index_, .digest = std::nullopt};
}

}  // namespace raftkv::server
