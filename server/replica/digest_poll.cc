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
  news_ = false;
}

void DigestPoll::report(raft::NodeId from, const DigestReport& report) {
  if (report.index != index_ || index_ == 0) return;
  reports_[from] = report.digest;
  news_ = true;
}

bool DigestPoll::knows(raft::NodeId from, raft::Index index) const {
  return index != index_ || reports_.contains(from);
}

std::optional<DigestVerdict> DigestPoll::verdict(const raft::Membership& membership) {
  if (!news_) return std::nullopt;
  const raft::Configuration config(membership);
  // As in an election: each voter is for the digest that it reported, and against all others.
  const auto tally_of = [&](const Digest& digest) {
    return raft::tally(config, [&](raft::NodeId voter) {
      const auto report = reports_.find(voter);
      if (report == reports_.end()) return raft::Vote::kUnknown;
      return report->second == digest ? raft::Vote::kGranted : raft::Vote::kRefused;
    });
  };
  // Were there enough silent voters for a digest that nobody has reported yet, they would be enough
  // for each that was.
  bool open = false;
  for (const auto& [from, digest] : reports_) {
    const raft::Tally tally = tally_of(digest);
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
