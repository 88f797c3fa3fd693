// A load on the cluster, and what came of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "client/address.h"
#include "client/cluster_client.h"
#include "client/latency_histogram.h"

namespace raftkv::client {

struct BenchPlan {
  std::vector<Address> nodes;
  ClientOptions client;
  int64_t operations = 0;            // in all; 0: no limit but the duration
  std::chrono::seconds duration{0};  // 0: no limit but the operations
  // Latencies count from so long after the beginning: while all connections are opened at once,
  // what the load meets is itself.
  std::chrono::seconds warmup{0};
  std::chrono::seconds patience{15};  // the end, if nothing has succeeded for so long
  int64_t clients = 1;                // connections
  int64_t threads = 1;                // that the connections are spread over, at most one for each
  int64_t pipeline = 1;               // operations sent at once on each
  // Operations a second in all connections together; 0: as many as go. Each batch has its time, and
  // its latency counts from then, also if the connection was not free yet: what waits behind a
  // stall is part of it.
  int64_t rate = 0;
  int64_t value_size = 64;
  double read_share = 0.0;
  int64_t keyspace = 1;
  // Every write gets a key of its own; at the end each acknowledged one is read back.
  bool verify = false;
  bool once = false;  // writes are repeated, in sessions, until they have their answer
  bool incr = false;  // writes are INCRs, not SETs
};

struct BenchOutcome {
  uint64_t writes = 0;   // acknowledged
  uint64_t reads = 0;    // answered
  uint64_t errors = 0;   // surely not done
  uint64_t unknown = 0;  // writes that may or may not have been done
  std::chrono::duration<double> elapsed{0};
  LatencyHistogram latency;  // of what succeeded, and began after the warm-up
  // The longest time that one connection was without a success.
  std::chrono::nanoseconds longest_gap{0};
  uint64_t verified = 0;    // of the acknowledged writes: read back, and as they were written
  uint64_t lost = 0;        // of the acknowledged writes: missing, or not as they were written
  std::string first_error;  // in words, of errors and unknown
  bool gave_up = false;     // ended by `patience`

  uint64_t succeeded() const { return writes + reads; }
  uint64_t failed() const { return errors + unknown; }
  void merge(BenchOutcome&& other);
};

// Blocks until done. `progress` (may be empty) is called about every second with the number of
// operations that succeeded so far. Ends at the latest `patience` plus one command timeout after
// the last success.
BenchOutcome run_bench(const BenchPlan& plan, const std::function<void(uint64_t)>& progress);

}  // namespace raftkv::client
