// The declarations of the commands that steer a session. The session itself executes them, since
// they decide what happens to the commands after and before them.

#include "server/command/command.h"
#include "server/command/doc_args.h"

namespace raftkv::server {
namespace {

constexpr uint32_t kAnytime = kNoScript | kLoading | kStale | kFast | kAllowBusy;
constexpr ArgDoc kWaitArguments[] = {{.name = "numreplicas", .type = "integer"},
                                     {.name = "timeout", .type = "integer"}};

}  // namespace

std::span<const CommandSpec> transaction_commands() {
  static constexpr CommandSpec kCommands[] = {
      {.name = "multi",
       .arity = 1,
       .flags = kAnytime | kSession,
       .keys = {},
       .group = "transactions",
       .summary = "Begins a transaction: what follows is queued until EXEC.",
       .since = "1.2.0",
       .complexity = "O(1)"},
      {.name = "exec",
       .arity = 1,
       .flags = kNoScript | kLoading | kStale | kSkipSlowlog | kSession,
       .keys = {},
       .group = "transactions",
       .summary = "Executes the queued commands as one, unless a watched key has changed.",
       .since = "1.2.0",
       .complexity = "Depends on the queued commands.",
       .remark = "A transaction is one item of the log. A watched key counts as changed as soon as "
                 "a write to it is proposed, so that EXEC may answer null although that write came "
                 "to nothing in the end."},
      {.name = "discard",
       .arity = 1,
       .flags = kAnytime | kSession,
       .keys = {},
       .group = "transactions",
       .summary = "Ends a transaction without executing it.",
       .since = "2.0.0",
       .complexity = "O(N) with N queued commands"},
      {.name = "watch",
       .arity = -2,
       .flags = kAnytime | kSession,
       .keys = {1, -1, 1, kKeyRo},
       .group = "transactions",
       .summary = "Lets the next EXEC fail if one of the keys changes before it.",
       .since = "2.2.0",
       .complexity = "O(N) with N keys",
       .arguments = kKeysArgument},
      {.name = "unwatch",
       .arity = 1,
       .flags = kAnytime | kSession,
       .keys = {},
       .group = "transactions",
       .summary = "Forgets all watched keys.",
       .since = "2.2.0",
       .complexity = "O(1)"},
      {.name = "wait",
       .arity = 3,
       .flags = kNoScript | kSession | kConnectionCategory,
       .keys = {},
       .group = "generic",
       .summary = "Waits until the writes of the connection have reached a number of replicas.",
       .since = "3.0.0",
       .complexity = "O(1)",
       .arguments = kWaitArguments,
       .remark = "A write is on a majority of the members before it is answered.",
       .tips = "request_policy:all_shards response_policy:agg_min"},
  };
  return kCommands;
}

}  // namespace raftkv::server
