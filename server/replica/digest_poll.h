// When a check of the digests is due, and what the replicas have reported for the newest one. Every
// replica keeps it, so that whoever leads can go on with a check that another leader began; only
// the leader acts on it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "raft/node.h"
#include "server/replica/digest_codec.h"

namespace raftkv::server {

class DigestPoll {
 public:
  // `interval_us`: between two checks; 0: none is ever due.
  DigestPoll(uint64_t interval_us, raft::MonotonicUs now)
      : interval_us_(interval_us), next_check_us_(now + interval_us) {}

  // An entry was applied that is not one of a check: there is something new to compare.
  void entry_applied() { changed_ = true; }
  // The entry of a check was applied. The check before is over, whatever is known of it.
  void begin(raft::Index index, raft::MonotonicUs now);
  // The verdict for the check at `index` was applied.
  void end(raft::Index index);

  bool check_due(raft::MonotonicUs now) const {
    return interval_us_ != 0 && changed_ && now >= next_check_us_;
  }
  // A report of another check than the newest counts for nothing: it is late; or it is early, and
  // will be repeated. The last word of a replica counts.
  void report(raft::NodeId from, const DigestReport& report);
  // Nothing is to be had from this replica for the check at `index` any more.
  bool knows(raft::NodeId from, raft::Index index) const;
  // Whether verdict() may say something that it did not say before.
  bool has_news() const { return news_; }
  // Nothing as long as the voters that have not reported could still decide it. What it says, it
  // says until end().
  std::optional<DigestVerdict> verdict(const raft::Membership& membership);

 private:
  const uint64_t interval_us_;
  raft::MonotonicUs next_check_us_;
  bool changed_ = false;
  raft::Index index_ = 0;  // of the newest check, 0: none, or it is decided
  std::map<raft::NodeId, Digest> reports_;
  bool news_ = false;
};

}  // namespace raftkv::server
