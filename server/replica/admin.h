// RAFT.MEMBERS ADD, REMOVE, PROMOTE, UPDATE and RAFT.TRANSFER: begun on the leader, answered when
// what they ask for is committed. Their connection waits meanwhile, as in WAIT.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>

#include "raft/node.h"
#include "server/command/command.h"

namespace raftkv::server {

class Replica;

class AdminWait {
 public:
  // For a change of members whose first entry is at `index`.
  AdminWait(const Replica& replica, raft::MemberChange change, raft::Index index);
  // For a transfer to `target`, 0 for anybody. `then_there`: what was asked for is then to be asked
  // of the new leader.
  AdminWait(const Replica& replica, raft::NodeId target, bool then_there = false);

  // Looked at in each turn. Once it is over, outcome() is what came of it: empty for success, else
  // the error.
  bool over(Replica& replica);
  const std::string& outcome() const { return outcome_; }
  // When over() may turn true though nothing happens; UINT64_MAX: never.
  uint64_t deadline_us() const { return lost_until_us_ == 0 ? UINT64_MAX : lost_until_us_; }

 private:
  std::optional<std::string> judge_change(Replica& replica);
  std::optional<std::string> judge_transfer(Replica& replica);
  // Leadership was lost, and what may still be heard has had its time.
  bool waited_long_enough(const Replica& replica);

  std::optional<raft::MemberChange> change_;  // nothing: a transfer
  raft::Index index_ = 0;
  raft::NodeId target_ = 0;
  bool then_there_ = false;
  raft::Term term_ = 0;
  uint64_t lost_until_us_ = 0;
  bool over_ = false;
  std::string outcome_;
};

// Begins what `args` ask for. Nothing to wait for (null): it is so already. The error has neither
// '-' nor CRLF.
std::expected<std::unique_ptr<AdminWait>, std::string> begin_admin(Replica& replica,
                                                                   const CommandSpec& spec,
                                                                   Args args);

}  // namespace raftkv::server
