// Handing over leadership so that no client notices: first what is on its way through the log is
// answered while commands that come now gather, then the core is told to transfer (thesis 3.10).
// Without the first step this node would step down with entries in its log whose outcome it could
// no longer tell.
#pragma once

#include <cstdint>

#include "raft/node.h"

namespace raftkv::server {

class Handover {
 public:
  // To `target`, 0 for the most caught-up voter. False if there is nobody to hand over to, or a
  // handover to somebody else is under way. `patience_us` bounds the time until the core is told.
  bool begin(const raft::Node& node, raft::NodeId target, raft::MonotonicUs now,
             uint64_t patience_us);
  // Under way: nothing is proposed.
  bool active() const { return active_; }
  // Once a turn while this node leads. `drained`: no entry of ours is on its way.
  void advance(raft::Node& node, bool drained, raft::MonotonicUs now);
  // When advance() has something to do even if nothing else happens (0: now); UINT64_MAX: never.
  raft::MonotonicUs deadline(bool drained) const {
    if (!active_ || told_) return UINT64_MAX;
    return drained ? 0 : deadline_;
  }

  // This node no longer leads.
  void end(raft::MonotonicUs now);
  // Who most likely leads next, for the moment in which nobody is known to: 0 if nobody is.
  raft::NodeId successor(raft::MonotonicUs now) const {
    return now < successor_until_ ? successor_ : 0;
  }

 private:
  bool active_ = false;
  bool told_ = false;  // the core
  raft::NodeId target_ = 0;
  uint64_t patience_us_ = 0;
  raft::MonotonicUs deadline_ = 0;
  raft::NodeId successor_ = 0;
  raft::MonotonicUs successor_until_ = 0;
};

}  // namespace raftkv::server
