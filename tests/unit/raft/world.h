// A small model checker: a group of nodes, a hostile network, disks that forget what was not synced
// and clocks that do not quite agree, all driven by one seed. After every event it checks what Raft
// promises; what is broken first is kept in words.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "raft/random.h"
#include "tests/unit/raft/host.h"

namespace raftkv::raft::test {

// How hostile the world is; chances are in percent of the messages or steps.
struct Profile {
  size_t nodes = 3;
  bool lease_reads = false;
  bool reorder = false;
  bool small_windows = false;
  uint64_t loss = 0;
  uint64_t duplication = 0;
  uint64_t crashes = 0;  // in a thousand steps
  uint64_t pauses = 0;
  uint64_t partitions = 0;
  uint64_t disk_speed = 50;  // chance that a waiting write gets synced in a step
  // All in a thousand steps:
  uint64_t compactions = 0;  // a node takes a snapshot and cuts its log
  uint64_t log_losses = 0;   // a node crashes and finds its log damaged; one at a time
  uint64_t changes = 0;      // of the membership
  size_t joiners = 0;        // nodes beyond `nodes`, which wait to be added
};

class World {
 public:
  World(Profile profile, uint64_t seed);

  // Lets the world rage for a number of steps.
  void rage(size_t steps);
  // Ends all faults and demands that the group elects, commits and agrees.
  void demand_progress();

  // Empty while every promise was kept.
  const std::string& broken() const { return broken_; }
  size_t committed() const { return committed_.size(); }
  size_t reads_granted() const { return reads_granted_; }
  size_t remote_reads_granted() const { return remote_reads_granted_; }
  size_t snapshots_installed() const { return snapshots_installed_; }
  size_t logs_repaired() const { return logs_repaired_; }
  size_t changes_finished() const;  // memberships that were committed

 private:
  struct Member {
    Options options;
    FakeDisk disk;
    std::unique_ptr<Node> node;
    std::deque<Persist> synced;  // on the disk, but the node was not told
    uint64_t clock_rate = 1000;  // thousandths
    MonotonicUs clock_base = 0;
    bool paused = false;
    std::map<uint64_t, Index> reads;  // by number: what was committed somewhere when it came
    std::set<uint64_t> remote_reads;  // those of them that the leader was asked for
    Index applied = 0;
    Index commit_checked = 0;
    SnapshotMeta file;  // the newest snapshot
    bool repairing = false;
  };
  // A log as it will be when all that was handed out is on the disk.
  struct Image {
    Index base = 0;
    Term base_term = 0;
    std::vector<Entry> entries;

    Term term_at(Index index) const;
  };
  struct Transfer {
    NodeId from;
    NodeId to;
    SnapshotMeta meta;
    MonotonicUs due;
  };
  struct Flying {
    Message message;
    MonotonicUs due;
  };

  bool chance(uint64_t in, uint64_t of) { return random_.below(of) < in; }
  Member& any() { return members_[random_.below(members_.size())]; }
  MonotonicUs clock(const Member& member) const;
  void start(Member& member);
  void crash(Member& member);
  void turn(Member& member);  // tick
  void carry_out(Member& member);
  void launch(const Message& message);
  void deliver_some();
  void sync_some();
  void ask_something();
  void harm_something();
  void lose_a_log();
  void compact(Member& member);
  void change_members();
  void ask_for_read(Member& member);
  void deliver_snapshots();
  bool caught_up(size_t before) const;
  std::string stragglers() const;
  void step();

  void fail(const std::string& what);
  void check(Member& member);
  void check_applied(Member& member, const Entry& entry);
  void check_leader(Member& member);
  void check_grant(Member& member, const ReadGrant& grant);
  void check_logs_match();
  void check_commit(Member& member);
  void check_snapshot(const Member& member, const SnapshotMeta& meta);
  bool holds(const Member& member, Index index, Term term) const;
  bool majority_holds(const std::vector<NodeId>& voters, Index index, Term term) const;
  // As the committed entries have it, at this index.
  Membership membership_at(Index index) const;
  Image log_of(const Member& member) const;

  Profile profile_;
  Random random_;
  std::vector<Member> members_;
  std::deque<Flying> network_;
  std::deque<Transfer> transfers_;
  std::vector<std::vector<bool>> cut_;
  MonotonicUs now_ = kStart;
  uint64_t proposals_ = 0;
  size_t reads_granted_ = 0;
  size_t remote_reads_granted_ = 0;
  size_t snapshots_installed_ = 0;
  size_t logs_repaired_ = 0;
  bool calm_ = false;

  std::vector<Entry> committed_;
  std::map<Term, NodeId> leaders_;
  std::string broken_;
  size_t steps_ = 0;
};

}  // namespace raftkv::raft::test
