// What the leader remembers of the commands on their way through the log: whom to answer, and how.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "raft/types.h"
#include "resp/reply_writer.h"
#include "server/command/command.h"

namespace raftkv::server {

class Session;

// Batches of a process are numbered from 1, in the order in which they are proposed. Their numbers
// order a connection's commands before the log has given them indexes.
using BatchNumber = uint64_t;

// A command that waits for its turn, as its session issued it.
struct Origin {
  Session* session = nullptr;
  resp::Protocol protocol = resp::Protocol::kResp2;
  bool silent = false;        // CLIENT REPLY OFF or SKIP: run, but don't answer
  size_t expected_bytes = 0;  // of a read's reply, as far as can be told before it runs
};

// How the reply of an EXEC is put together: for each queued command either the handler that runs at
// apply, or what a command that needs no data answered when EXEC was issued.
struct TransactionPlan {
  struct Step {
    const CommandSpec* spec = nullptr;  // null: `ready` is the reply
    std::string ready;
  };
  std::vector<Step> steps;

  // If not, it has no arguments, and only whether its watched keys changed is to be decided.
  bool needs_data() const {
    return std::any_of(steps.begin(), steps.end(), [](const Step& s) { return s.spec != nullptr; });
  }
};

// A read, or a read-only transaction. Its arguments stand in the buffer of whoever holds it,
// encoded as one payload item.
struct ReadItem {
  Origin origin;
  const CommandSpec* spec = nullptr;      // null for a transaction
  std::unique_ptr<TransactionPlan> plan;  // a transaction's
  size_t offset = 0;                      // of the encoded arguments
  BatchNumber after = 0;                  // sees this batch, the connection's own earlier writes
  uint16_t slot = 0;                      // for the redirect, should leadership end
  bool postponed = false;                 // waits for the log's clock
};

// A write, or a read that stands between two writes of one batch because its connection sent it
// there; reads take no room in the log.
struct BatchItem {
  Origin origin;
  const CommandSpec* spec = nullptr;      // null for a transaction
  std::unique_ptr<TransactionPlan> plan;  // a transaction's
  bool read = false;
  size_t read_offset = 0;  // of a read, in Batch::read_arguments
  uint16_t slot = 0;
};

// The writes of one turn: one log entry.
struct Batch {
  BatchNumber number = 0;
  raft::Index index = 0;  // once proposed
  uint64_t time_us = 0;   // the leader's clock when it was closed
  // The monotonic clock when it was proposed, if no other batch was on its way then; else 0.
  uint64_t alone_since_us = 0;
  std::string payload;   // while it gathers
  raft::Payload sealed;  // once it is closed
  std::vector<BatchItem> items;
  size_t writers = 0;  // clients whose writes these are
  std::string read_arguments;
  // Propose it even if it is empty: its time settles deadlines.
  bool forced = false;

  bool wanted() const { return forced || !items.empty(); }
  // What it counts for in the limit of what may wait.
  size_t bytes() const {
    return (sealed ? sealed->size() : payload.size()) + read_arguments.size();
  }
};

}  // namespace raftkv::server
