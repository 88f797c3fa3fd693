// The commands of one call on their way: which have their result, which may still be sent, and what
// went wrong meanwhile. Private to ClusterClient.
#pragma once

#include <cstddef>
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
  const Command& command(size_t i) const { return commands_[i]; }
  // Indices of the commands to send (again), in order.
  std::vector<size_t> open() const;
  bool done() const { return open_count_ == 0; }

  // The reply of `node` to command i, moved from if it is the result. False: it was a refusal that
  // leaves the command to be sent elsewhere, or news that the node no longer leads.
  [[nodiscard]] bool take(size_t i, Reply& reply, const Address& node);
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
  };

  void settle(size_t i, Result result);
  std::string troubles_text() const;

  std::span<const Command> commands_;
  Deadline deadline_;
  std::vector<State> states_;
  size_t open_count_;
  bool reached_ = false;
  std::vector<std::pair<std::string, std::string>> troubles_;  // node, reason
};

}  // namespace raftkv::client
