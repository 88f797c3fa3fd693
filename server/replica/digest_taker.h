// A replica's own digests. At the entry of a check the dataset is cut, and the cut is walked in
// slices between turns while writes go on; what comes of it is compared with what the others have,
// once a verdict says that. Single-threaded: the replica's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "server/command/host.h"
#include "server/replica/digest_codec.h"
#include "server/replica/slice_pace.h"
#include "server/replica/state_machine.h"
#include "storage/data/digest.h"

namespace raftkv::server {

// This replica has something else than a majority of the voters.
struct DigestDifference {
  raft::Index index = 0;
  Digest own;
  Digest majority;
};

class DigestTaker {
 public:
  using Clock = std::function<uint64_t()>;  // monotonic, microseconds

  // A turn spends `slice_us` on walking, at most.
  DigestTaker(uint64_t slice_us, Clock clock) : slices_(slice_us), clock_(std::move(clock)) {}
  DigestTaker(const DigestTaker&) = delete;
  DigestTaker& operator=(const DigestTaker&) = delete;

  // The entry of a check was applied just now, nothing behind it. If the digest before is not
  // finished (or its marks are not cleaned up), this check is left out, and counted.
  void begin(raft::Index index, const DigestCheck& check, StateMachine& state);
  // Once a turn. True if there is more to do at once.
  bool advance(StateMachine& state, uint64_t wall_us);
  // The entry of a verdict was applied. It may come before our own digest is finished, and it may
  // be of a check that we have no digest of: then there is nothing to compare.
  void decided(const DigestVerdict& verdict, uint64_t wall_us);
  // The dataset is about to be replaced by another: nothing is known of that one.
  void forget(StateMachine& state);

  // What the leader has to be told: a finished digest that no verdict has come for.
  std::optional<DigestReport> unjudged() const;
  // Found since the last call.
  std::optional<DigestDifference> take_difference() { return std::exchange(difference_, {}); }
  const DigestStatus& status() const { return status_; }

 private:
  void judge(uint64_t wall_us);

  SlicePace slices_;
  Clock clock_;
  raft::Index index_ = 0;               // of the check that the following are of
  Digest sessions_;                     // of the table of sessions there
  std::optional<data::DigestSum> sum_;  // while the cut is walked
  std::optional<Digest> own_;           // once it is finished
  std::optional<DigestVerdict> verdict_;
  std::optional<DigestDifference> difference_;
  DigestStatus status_;
};

}  // namespace raftkv::server
