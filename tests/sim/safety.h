// What must hold at every moment in a Raft group, whatever happens to it: looked at after every
// turn of every node, and at every message that leaves one. Sees all nodes at once, as no node can.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "raft/ready.h"
#include "tests/sim/sim_node.h"

namespace raftkv::sim {

class Safety {
 public:
  using Nodes = std::vector<std::unique_ptr<SimNode>>;
  // `lost`: the node's disk is gone for good, and what it held with it.
  Safety(const Nodes& nodes, std::function<bool(const SimNode&)> lost,
         std::function<void(std::string)> fail)
      : nodes_(nodes), lost_(std::move(lost)), fail_(std::move(fail)) {}

  void after_turn(SimNode& node);
  // `node` has handed a write to its disk.
  void written(const SimNode& node, const raft::Persist& persist);
  // `message` leaves its sender's process.
  void sent(const raft::Message& message);

  // The last entry that is known to be committed: whoever asks from now on must see it.
  raft::Index committed() const { return committed_.empty() ? 0 : committed_.rbegin()->first; }
  uint64_t states() const { return states_; }
  uint64_t leaders() const { return leader_of_term_.size(); }
  // Called for each new leader.
  std::function<void(const SimNode&)> on_leader;

 private:
  struct Seen {  // of one life of a node
    uint64_t life = 0;
    raft::Index commit = 0;
    raft::Index applied = 0;
    raft::MembershipAt membership;  // as its last turn left it
    bool leads = false;
    raft::Term leads_in = 0;
    raft::Index led_from = 0;  // where its log ended when it was first seen to lead
  };
  // An entry as all logs that hold it must have it. With the term of the one before it, two logs
  // that agree somewhere agree in all that comes before (Raft paper 5.3).
  struct Written {
    raft::Term previous_term = 0;
    uint64_t time_us = 0;
    size_t content = 0;
  };
  struct Committed {
    raft::Term term = 0;
    raft::Term in_term = 0;  // not before this one
  };
  struct Applied {
    uint64_t time_us = 0;
    data::Keyspace::Digest digest;
  };

  void check_memory(const SimNode& node);
  void check_leader(SimNode& node, Seen& seen);
  void check_lease(const SimNode& node);
  void check_change(const SimNode& node, const raft::Entry& entry);
  void note_membership(const raft::Entry& entry);
  void check_commits(SimNode& node, Seen& seen);
  void check_on_majority(const SimNode& node, const Seen& seen, raft::Index index);
  void check_progress(const SimNode& node);
  void check_state(SimNode& node, Seen& seen);
  void check_queues(SimNode& node, const Seen& seen);
  void check_election(const SimNode& node, const Seen& seen);
  void check_vote(const raft::Message& message);
  bool holds(raft::NodeId id, raft::Index index, raft::Term term) const;
  bool majority_holds(const raft::Membership& membership, raft::Index index, raft::Term term) const;
  bool majority_chose(const raft::Membership& membership, raft::NodeId leader,
                      raft::Term term) const;

  const Nodes& nodes_;
  std::function<bool(const SimNode&)> lost_;
  std::function<void(std::string)> fail_;
  uint64_t states_ = 0;

  std::map<raft::NodeId, Seen> seen_;
  // What was once true and must stay so.
  std::map<raft::Term, raft::NodeId> leader_of_term_;
  std::map<std::pair<raft::Term, raft::NodeId>, raft::NodeId> votes_;
  std::map<raft::NodeId, std::pair<raft::Term, raft::NodeId>> last_vote_;
  std::map<std::pair<raft::Index, raft::Term>, raft::Membership> memberships_;
  // The newest round of a term's leader that a node answered.
  std::map<std::pair<raft::Term, raft::NodeId>, uint64_t> answered_;
  std::map<std::pair<raft::Index, raft::Term>, Written> written_;
  std::map<raft::Index, Committed> committed_;
  std::map<raft::Index, Applied> applied_;
};

}  // namespace raftkv::sim
