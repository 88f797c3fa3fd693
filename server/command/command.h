// One declaration a command: everything else (COMMAND and its subcommands, arity and key checks,
// routing, docs/commands.md) is derived from it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "resp/reply_writer.h"
#include "storage/data/keyspace.h"

namespace raftkv::server {

struct LocalContext;

// The arguments of a command, its name first. Views, valid for the call only.
using Args = std::span<const std::string_view>;

// What a data command runs with, on every replica alike. Nothing else may influence a write.
struct DataContext {
  data::Keyspace& keyspace;
  data::Clock clock;  // a write: its entry's time. A read: see data::Clock
  Args args;
  resp::ReplyWriter& reply;  // on a follower what is written here is thrown away
  uint64_t keyspace_hits = 0;
  uint64_t keyspace_misses = 0;
};

using DataHandler = void (*)(DataContext&);
using LocalHandler = void (*)(LocalContext&);

// Redis's command flags, as COMMAND INFO names them, and our own.
enum CommandFlag : uint32_t {
  kWrite = 1u << 0,
  kReadonly = 1u << 1,
  kDenyOom = 1u << 2,
  kAdmin = 1u << 3,
  kNoScript = 1u << 4,
  kLoading = 1u << 5,  // allowed while the node loads
  kStale = 1u << 6,
  kFast = 1u << 7,
  kNoAuth = 1u << 8,
  kMovableKeys = 1u << 9,
  kNoMulti = 1u << 10,
  kBlocking = 1u << 11,
  kPubsub = 1u << 12,
  kSkipMonitor = 1u << 13,
  kSkipSlowlog = 1u << 14,
  kAllowBusy = 1u << 15,
  // Ours, not shown: changes the connection itself, so it runs only once every earlier reply of the
  // connection is complete.
  kBarrier = 1u << 24,
  // Ours, not shown: handled by the session itself (MULTI, EXEC, WATCH, WAIT, SAVE, RAFT.MEMBERS
  // ADD ...).
  kSession = 1u << 25,
  // ACL categories that follow neither from the flags above nor from the group. Shown by COMMAND
  // INFO among the categories.
  kKeyspaceCategory = 1u << 26,
  kConnectionCategory = 1u << 27,
  kDangerousCategory = 1u << 28,
  // Ours, not shown: carried out by the state machine on what it keeps beside the keyspace, the
  // sessions of RAFT.SESSION and RAFT.ONCE.
  kStateMachine = 1u << 30,
};

// What a command does with a key, in the words of Redis's key specifications.
enum KeyAccess : uint32_t {
  kKeyRo = 1u << 0,      // reads the value, or facts of it
  kKeyRw = 1u << 1,      // changes it depending on what it was
  kKeyOw = 1u << 2,      // overwrites it, whatever it was
  kKeyRm = 1u << 3,      // removes it
  kKeyAccess = 1u << 4,  // returns, copies or uses the value
  kKeyUpdate = 1u << 5,
  kKeyInsert = 1u << 6,
  kKeyDelete = 1u << 7,
  kKeyVariable =
      1u << 8,  // depends on the options: with GET what is written here, else a blind write
};

// Which arguments are keys: args[first], args[first + step] ... up to args[last] (negative: from
// the end). first == 0: none.
struct KeySpec {
  int first = 0;
  int last = 0;
  int step = 0;
  uint32_t access = 0;  // KeyAccess of each key
  // If not 0: the access of the second key, which then is described by a specification of its own
  // (RENAME: from, to).
  uint32_t second_access = 0;
};

// How an argument is described by COMMAND DOCS (as redis-cli's hints use it).
struct ArgDoc {
  const char* name;
  const char* type;  // "key", "string", "integer", "double", "unix-time", "pure-token", "oneof",
                     // "block", "pattern"
  const char* token = nullptr;  // e.g. "EX"
  uint32_t flags = 0;           // kOptional | kMultiple
  std::span<const ArgDoc> children = {};
  enum : uint32_t { kOptional = 1, kMultiple = 2, kMultipleToken = 4 };
};

struct CommandSpec {
  const char* name;  // lower case; of a subcommand the second word only
  int arity;         // as Redis: negative means "at least"; counts the container's name too
  uint32_t flags;
  KeySpec keys;
  // Exactly one of the two is set, none for a container, a kSession or a kStateMachine command.
  DataHandler data = nullptr;
  LocalHandler local = nullptr;
  const char* group =
      "";  // "string", "generic", "connection", "cluster", "server", "transactions", "raft"
  const char* summary = "";  // our own words
  const char* since = "";    // the version of Redis that has it
  const char* complexity = "";
  std::span<const ArgDoc> arguments = {};
  std::span<const CommandSpec> subcommands = {};
  const char* remark = "";  // what differs from Redis, for docs/commands.md
  // Hints for clients that route or merge by themselves, as COMMAND INFO lists them, separated by
  // spaces ("request_policy:all_shards nondeterministic_output").
  const char* tips = "";
  const char* deprecated_since = "";  // empty: it is not
  const char* replaced_by = "";
  // What else is to be refused before the log, if anything: the error, or nothing. So that what
  // stands in the log needs no second look on each replica.
  std::string (*refusal)(Args) = nullptr;
  // If the command carries another one (RAFT.ONCE): where in its arguments that begins, beyond
  // their end if nowhere. Its keys are those of the carried one.
  size_t (*carries_at)(Args) = nullptr;

  bool is_write() const { return flags & kWrite; }
  bool is_data() const { return data != nullptr || (flags & kStateMachine); }
};

// The tables of the families, each in a file of its own (strings.cc, generic.cc, ...).
std::span<const CommandSpec> string_commands();
std::span<const CommandSpec> generic_commands();
std::span<const CommandSpec> connection_commands();  // PING ECHO HELLO CLIENT SELECT RESET QUIT ...
std::span<const CommandSpec> cluster_commands();     // CLUSTER READONLY READWRITE
std::span<const CommandSpec> server_commands();      // INFO CONFIG TIME ...
std::span<const CommandSpec> save_commands();        // BGSAVE SAVE LASTSAVE
std::span<const CommandSpec> command_commands();     // COMMAND
std::span<const CommandSpec> raft_commands();        // RAFT.MEMBERS RAFT.TRANSFER
std::span<const CommandSpec> snapshot_commands();    // RAFT.SNAPSHOT
std::span<const CommandSpec>
transaction_commands();                        // MULTI EXEC DISCARD WATCH UNWATCH WAIT: kSession
std::span<const CommandSpec> once_commands();  // RAFT.SESSION RAFT.ONCE: kStateMachine

// Every family together; immutable after the first use.
class CommandTable {
 public:
  static const CommandTable& instance();

  // Any case. Null if there is none. For a container ("client") the container itself.
  const CommandSpec* find(std::string_view name) const;
  // The spec that args runs: the command, or the subcommand of a container. Null with an unknown
  // command or subcommand.
  const CommandSpec* resolve(Args args) const;

  // The error for args that resolve() or the arity refuses, without '-' and CRLF, in Redis's words
  // ("ERR unknown command 'foo', with args beginning with: 'bar' "). Empty if all is well.
  // `spec` becomes what resolve() gives.
  std::string admission_error(Args args, const CommandSpec** spec) const;

  std::span<const CommandSpec* const> all() const;  // top-level, sorted by name

 private:
  CommandTable();
  struct Impl;
  const Impl* impl_;  // lives as long as the process
};

// The subcommand of that name, in any case. Null if there is none.
const CommandSpec* find_subcommand(const CommandSpec& container, std::string_view name);

bool arity_fits(const CommandSpec& spec, size_t args);
// The places of the key arguments in args, in order: first, first + step, ... up to last. An
// argument list that is too short has fewer or none.
struct KeyRange {
  size_t first = 0;
  size_t count = 0;
  size_t step = 1;
};
KeyRange key_range(const CommandSpec& spec, size_t args);
// The command that `args` carries, which calls `spec`; `spec` and `args` themselves if it carries
// none. The spec is null if what is carried is no command.
struct Carried {
  const CommandSpec* spec = nullptr;
  Args args;
};
Carried carried_by(const CommandSpec& spec, Args args);
// Calls visit(key) for each key argument, also of a carried command.
void for_each_key(const CommandSpec& spec, Args args,
                  const std::function<void(std::string_view)>& visit);

// CRC16 (XMODEM) of the key, modulo 16384. If the key has a '{' and behind it a '}' with something
// in between, only that part, the hash tag, counts.
uint16_t key_slot(std::string_view key);
// The slot of the first key, also of a carried command; 0 if there is none.
uint16_t command_slot(const CommandSpec& spec, Args args);

// docs/commands.md, generated (raftkv-server --print_commands_md).
std::string commands_markdown(const CommandTable& table);

}  // namespace raftkv::server
