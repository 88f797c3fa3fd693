// A client of a simulated cluster: follows redirects as real ones do, loses its connections, and
// hands what it saw to the workloads that it plays.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/replica/session.h"
#include "tests/sim/profile.h"
#include "tests/sim/safety.h"
#include "tests/sim/sim_node.h"
#include "tests/sim/trace.h"
#include "tests/sim/workload.h"
#include "tests/sim/world.h"

namespace raftkv::sim {

class SimClient final : public server::SessionOwner {
 public:
  struct Totals {
    uint64_t acknowledged = 0;
    uint64_t confirmed = 0;  // of these, by a leader that a majority follows
    uint64_t unknown = 0;
    uint64_t refused = 0;
  };

  // How it behaves.
  struct Character {
    // Reads from any node: redirects do not impress it.
    bool stays_anywhere = false;
    bool only_reads = false;
    bool only_watches = false;    // and transfers
    bool only_deadlines = false;  // sets and reads keys that expire
    // Chance, before each pipeline, that it tries another node. Who always stays with the leader it
    // knows learns late that there is a new one, and sees little of what may go wrong then.
    double wanders = 0;
    uint64_t think_us_max = 20'000;    // between two pipelines
    uint64_t patience_us = 1'500'000;  // with a pipeline, until it gives the connection up

    static Character draw(Random& random, const Profile& profile);
  };

  SimClient(World& world, const Trace& trace, uint64_t number, std::vector<SimNode*> nodes,
            std::vector<std::unique_ptr<Workload>> workloads, Character character,
            const Safety& safety, std::function<void(std::string)> fail);
  ~SimClient() override;

  void start() { think(); }
  // From now on it waits for what it asked, where it asked it.
  void calm_down() {
    character_.wanders = 0;
    character_.think_us_max = Character().think_us_max;
    // The slowest disks and links of all make a commit take seconds.
    character_.patience_us = 4 * Character().patience_us;
  }
  // Ends once nothing it began is left open.
  void stop();
  bool finished() const { return stopped_ && pending_.empty() && unfinished() == nullptr; }
  // The node this client talks to has crashed.
  void connection_lost(SimNode& node);
  const Totals& totals() const { return totals_; }

  void output_ready() override { output_ready_ = true; }
  void may_resume() override { resume_ = true; }
  // After each turn of the node it is connected to.
  void node_turned();

 private:
  Workload* unfinished() const;
  void think();
  void act();
  void connect();
  void issue_pipeline();
  void execute_waiting();
  void read_replies();
  void on_reply(const Reply& reply);
  void lose(const Step& step, bool maybe);
  void disconnect();

  struct Pending {
    Step step;
    raft::Index committed = 0;  // when it was issued
    bool sent = false;
  };
  // A place in the log, not only a value: that a read is stale shows although nobody has written
  // what it reads.
  std::string stale(const Pending& command, const Reply& reply) const;

  World& world_;
  const Trace& trace_;
  const uint64_t number_;
  std::vector<SimNode*> nodes_;
  std::vector<std::unique_ptr<Workload>> workloads_;
  Workload* playing_ = nullptr;
  Character character_;
  const Safety& safety_;
  std::function<void(std::string)> fail_;
  Totals totals_;
  bool stopped_ = false;

  SimNode* node_ = nullptr;
  server::Session* session_ = nullptr;
  // Numbers the connections: a later session may stand at the address of an earlier one.
  uint64_t connection_ = 0;
  uint64_t life_ = 0;
  size_t preferred_ = 0;
  bool output_ready_ = false;
  bool resume_ = false;
  uint64_t patience_ = 0;  // numbers the pipelines, for the timeout of each
  std::deque<Pending> pending_;
};

}  // namespace raftkv::sim
