// A recorded history: what each client called, when, and what it was told. docs/history-format.md
// has the format of the file.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "client/check/cells.h"

namespace raftkv::client::check {

enum class ActionKind : uint8_t {
  kGet,
  kSet,
  kDel,
  kCas,
  kIncr,
  kAppend,
  kRpush,
  kLrange,
  kSadd,
  kSrem,
  kSmembers,
};

[[nodiscard]] const char* name_of(ActionKind kind);

// One command on one key.
struct Action {
  ActionKind kind = ActionKind::kGet;
  bool has_result = false;  // a reply was recorded; never of an operation with unknown outcome
  uint32_t key = 0;
  // What was written or appended, or what a read saw. For rpush, sadd and srem a list of the
  // elements given, in their order.
  CellId value = kNoCell;
  CellId expect = kNoCell;  // of a cas
  int64_t amount = 0;       // of an incr
  int64_t result = 0;       // a cas that swapped: 1
};

enum class Outcome : uint8_t {
  kOk,       // took effect once between call and return
  kFailed,   // had no effect
  kUnknown,  // took effect once at any time after the call, or never
};

constexpr int64_t kNever = INT64_MAX;

struct Operation {
  int64_t client = 0;
  int64_t call = 0;           // nanoseconds
  int64_t returned = kNever;  // the same clock; kNever if the outcome is unknown
  uint32_t line = 0;          // in the file, from 1
  uint32_t first_action = 0;
  uint32_t action_count = 0;  // several: a transaction
  Outcome outcome = Outcome::kOk;
};

struct History {
  std::vector<Operation> operations;  // in the file's order
  std::vector<Action> actions;
  std::vector<std::string> keys;  // names, by key number
  std::vector<CellId> initial;    // by key number
  CellTable cells;

  [[nodiscard]] std::span<const Action> actions_of(const Operation& operation) const {
    return {actions.data() + operation.first_action, operation.action_count};
  }
};

}  // namespace raftkv::client::check
