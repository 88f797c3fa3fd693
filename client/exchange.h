// The commands of one call on their way: which have their result, which may still be sent, and what
// went wrong meanwhile. Private to ClusterClient.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "client/cluster_client.h"

namespace raftkv::client {

class ClusterClient::Exchange {
 public:
  Exchange(std::span<const Command> commands, Deadline deadline);

  Deadline deadline() const { return deadline_; }
  // Whether a session must be opened before the rest can be sent.
  bool wants_session(const OnceSession& session) const;
  // The servers open none now.
  void do_without_session() { sessions_ = false; }
  // Indices of the commands to send (again), in order, up to `numbered_max` of those that have
  // a number or get one now.
  std::vector<size_t> number(OnceSession& session, size_t numbered_max);
  // Queues command i, which number() gave out, as it is to be sent now.
  void append_to(Connection& connection, size_t i) const;
  // Command i may be sent again although it may have taken effect.
  bool may_repeat(size_t i) const {
    return states_[i].number.given() || commands_[i].retry != Retry::kUnsafe;
  }
  bool done() const { return open_count_ == 0; }

  // The reply of `node` to command i, moved from if it is the result. False: it was a refusal that
  // leaves the command to be sent elsewhere, or news that the node no longer leads.
  [[nodiscard]] bool take(size_t i, Reply& reply, const Address& node, OnceSession& session);
  // Command i was sent to the end and may have taken effect. Settles it if it can't be sent again.
  void maybe_done(size_t i, const std::string& how);
  // Why a node gave no result; the last reason of each node is told when time is up.
  void trouble(const Address& node, const std::string& reason);
  void reached_a_node() { reached_ = true; }
  // Time is up: everything open gets the error that tells the truth.
  void give_up(std::chrono::milliseconds timeout);

  std::vector<Result> take_results();

 private:
  struct State {
    Result result;  // once settled
    bool settled = false;
    std::string maybe;  // how an earlier attempt ended that may have taken effect
    OnceNumber number;
  };

  std::vector<size_t> open() const;
  void forgotten(size_t i, const std::string& error, OnceSession& session);
  void settle(size_t i, Result result);
  std::string troubles_text() const;

  std::span<const Command> commands_;
  Deadline deadline_;
  std::vector<State> states_;
  size_t open_count_;
  bool reached_ = false;
  bool sessions_ = true;
  std::map<int64_t, uint64_t> lowest_needed_;  // of each session, among what is being sent
  std::vector<std::pair<std::string, std::string>> troubles_;  // node, reason
};

}  // namespace raftkv::client
