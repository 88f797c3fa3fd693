// What a seed makes of a simulated cluster: its size, its network, disks and clocks, and how often
// which fault happens.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tests/sim/sim_node.h"
#include "tests/sim/world.h"

namespace raftkv::sim {

// A chance is that of one tenth of a second, unless it says something else.
struct Profile {
  size_t nodes = 3;
  size_t clients = 4;
  size_t keys = 3;
  double readers = 0.25;       // chance that a client only reads
  double musing_readers = 0;   // that such a client thinks for long
  double musing_writers = 0;   // and that another one does
  uint64_t musing_us_max = 0;  // for how long; 0: it differs
  // That a client that writes does nothing but watched transfers, thinking for long between the
  // reading and the writing.
  double bankers = 0;
  double mortals = 0;   // that a client does nothing but set and read keys that expire
  double restless = 0;  // chance that a client that writes tries another node, before each pipeline
  uint64_t duration_us = 8'000'000;

  // --- the network
  double loss = 0;  // of a message
  double duplicate = 0;
  uint64_t delay_us_max = 500;
  double slow_links = 0;  // chance that a link, in one direction, takes longer than the others
  double late = 0;        // chance that a message takes so long that it may outlive its term
  double reorder = 0;     // chance that a message takes up to 20 times as long
  double partitions = 0;
  double hunts = 0;       // a partition begins that follows the leader wherever it goes
  double forsakings = 0;  // leadership is handed over, and the old leader then hears nothing
  // A leader is cut off, and everybody but it and one that wants to lead forgets what it promised.
  double coups = 0;
  double companions = 0;  // chance that a leader is cut off along with a minority
  // Within a hundredth of a second: one node, when it leads, is replaced, and comes back.
  double returns = 0;
  // That who was cut off along with it stays cut off when it comes back, and that the next one it
  // hands over to is the last it hears of.
  double estranged = 0;
  double deaf_returns = 0;
  double goes_willingly = 0.4;  // that it is asked to go, else it is cut off
  // What is sent to that node takes so much longer; and the chance that it may outlive its term.
  uint64_t home_delay_us = 0;
  double home_late = 0;
  uint64_t leader_delay_us = 0;  // what is sent to any leader takes so much longer

  // --- processes
  double crashes = 0;
  double stuns = 0;             // a leader is cut off, and stopped in the middle of a turn
  double crashes_at_write = 0;  // a little after the node's next write was handed to its disk
  double pauses = 0;
  double slow_nodes = 0;  // chance that a node takes many times as long for each turn

  // --- clocks
  double clock_jumps = 0;  // of the wall clock
  // How far a node's monotonic clock may run off the world's, either way.
  int32_t clock_drift_ppm_max = 20'000;

  // --- disks
  double disk_full = 0;      // for a while
  double disk_hangs = 0;     // for a while
  double failed_syncs = 0;   // the process ends
  double damage = 0;         // chance that a crash damages the disk, if the others can repair it
  double lost_files = 0;     // chance that the transfer of a snapshot fails
  double flipped_files = 0;  // chance that one of its bits is flipped on the way

  // --- members
  double transfers = 0;
  double changes = 0;
  double wipes = 0;   // a node's disk is gone for good; the node comes back under a new id
  size_t spares = 0;  // nodes that may be added

  NodeProfile node;

  // Whether something in it can make a replica's clock fall behind by more than its rate: it stands
  // still in a process that is stopped, and is told late of what the leader's clock was.
  bool disturbs_clocks() const;
  static Profile draw(Random& random);
};

}  // namespace raftkv::sim
