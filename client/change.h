// One change of the cluster, carried out to its end: asked for, and watched until it is so. Each
// can be repeated without harm: what is so already is not asked for again.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "client/cluster_client.h"
#include "client/members_view.h"

namespace raftkv::client {

class ClusterChange {
 public:
  // `tell` gets a line of progress, without its end.
  ClusterChange(std::vector<Address> nodes, Deadline deadline,
                std::function<void(const std::string&)> tell);

  struct Failure {
    ClientError::Kind kind = ClientError::Kind::kServer;
    std::string text;
  };
  // The members when it was done.
  using Outcome = std::expected<MembersView, Failure>;

  // Returns once the node votes, or (not `promote`) is a learner.
  Outcome add(uint64_t id, const std::string& client, const std::string& peer, bool promote);
  Outcome remove(uint64_t id, bool force);
  Outcome promote(uint64_t id, bool force);
  Outcome update(uint64_t id, const std::string& client, const std::string& peer);
  // To `target`; 0: to the most caught-up voter.
  Outcome transfer(uint64_t target);

  std::expected<MembersView, Failure> view();

 private:
  using Done = std::function<bool(const MembersView&)>;

  // Sends `args` (unless `done` already, and not if empty) and watches until `done`.
  Outcome carry_out(const std::vector<std::string>& args, const Done& done,
                    const std::function<std::string(const MembersView&)>& progress);

  std::vector<Address> nodes_;
  Deadline deadline_;
  std::function<void(const std::string&)> tell_;
};

}  // namespace raftkv::client
