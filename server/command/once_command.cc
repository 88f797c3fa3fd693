#include "server/command/once_command.h"

#include <fmt/format.h>

#include <charconv>

#include "server/command/host.h"
#include "server/command/local_text.h"

namespace raftkv::server {
namespace {

constexpr size_t kSequenceAt = 2;
constexpr size_t kAckAt = 3;
constexpr char kSessionSyntax[] = "ERR the session must be a number, as RAFT.SESSION OPEN gave it";

std::optional<uint64_t> positive(std::string_view text) {
  const std::optional<int64_t> value = parse_integer(text);
  if (!value || *value <= 0) return std::nullopt;
  return static_cast<uint64_t>(*value);
}

// For what admission has looked at already.
uint64_t known_number(std::string_view text) {
  uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

bool has_ack(Args args) {
  return args.size() > kAckAt && same_word(args[kAckAt], "ACK");
}

size_t once_carries_at(Args args) {
  return has_ack(args) ? kAckAt + 2 : kAckAt;
}

// --- admission ------------------------------------------------------------------------------

std::string refusal_of_carried(Args inner) {
  if (inner.empty()) return "ERR RAFT.ONCE carries no command; it stands behind the numbers";
  const CommandSpec* spec = CommandTable::instance().resolve(inner);
  // Looked at first, or calls within calls would be followed as deep as they go.
  const bool nested = spec != nullptr && (spec->flags & kStateMachine);
  if (!nested) {
    std::string error = CommandTable::instance().admission_error(inner, &spec);
    if (!error.empty()) return error;
  }
  const char* why = nullptr;
  if (nested) {
    why = "RAFT.ONCE and RAFT.SESSION can't be nested";
  } else if (!spec->is_write()) {
    why = "only writes have a place there; a command that changes nothing may be repeated as it is";
  } else if (spec->flags & (kBlocking | kNoMulti)) {
    why = "a command that may wait, or that stands alone, can't be carried";
  }
  if (why == nullptr) return {};
  return fmt::format("ERR RAFT.ONCE refuses '{}': {}", lower_word(inner[0]), why);
}

std::string once_refusal(Args args) {
  if (!positive(args[1])) return kSessionSyntax;
  const std::optional<uint64_t> sequence = positive(args[kSequenceAt]);
  if (!sequence) return "ERR the sequence number of RAFT.ONCE must be a number from 1";
  if (has_ack(args)) {
    const auto lowest = args.size() > kAckAt + 1 ? positive(args[kAckAt + 1]) : std::nullopt;
    if (!lowest) return "ERR ACK of RAFT.ONCE takes a number from 1";
    if (*lowest > *sequence) {
      return "ERR ACK of RAFT.ONCE must not be above the command's own sequence number";
    }
  }
  return refusal_of_carried(args.subspan(std::min(once_carries_at(args), args.size())));
}

std::string open_refusal(Args args) {
  if (args.size() == 2) return {};
  if (args.size() != 4 || !same_word(args[2], "TTL")) return kSyntaxError;
  const std::optional<uint64_t> ttl = positive(args[3]);
  if (ttl && *ttl <= kSessionTtlMaxS) return {};
  return fmt::format("ERR TTL takes a number of seconds from 1 to {}", kSessionTtlMaxS);
}

std::string close_refusal(Args args) {
  return positive(args[2]) ? std::string() : kSessionSyntax;
}

std::string list_refusal(Args args) {
  if (args.size() == 2) return {};
  if (args.size() != 4 || !same_word(args[2], "FROM")) return kSyntaxError;
  return positive(args[3]) ? std::string() : kSessionSyntax;
}

void session_help(LocalContext& context) {
  reply_help(context, *CommandTable::instance().find("raft.session"));
}

// --- declarations ---------------------------------------------------------------------------

constexpr ArgDoc kOpenArguments[] = {
    {.name = "seconds", .type = "integer", .token = "TTL", .flags = ArgDoc::kOptional}};
constexpr ArgDoc kCloseArguments[] = {{.name = "session", .type = "integer"}};
constexpr ArgDoc kListArguments[] = {
    {.name = "session", .type = "integer", .token = "FROM", .flags = ArgDoc::kOptional}};
constexpr ArgDoc kOnceArguments[] = {
    {.name = "session", .type = "integer"},
    {.name = "sequence", .type = "integer"},
    {.name = "lowest", .type = "integer", .token = "ACK", .flags = ArgDoc::kOptional},
    {.name = "command", .type = "string"},
    {.name = "arg", .type = "string", .flags = ArgDoc::kOptional | ArgDoc::kMultiple}};

// Not of Redis: the version of RaftKV's own commands is that of the first Redis they speak like.
constexpr char kSince[] = "7.0.0";

constexpr CommandSpec kSubcommands[] = {
    {.name = "open",
     .arity = -2,
     .flags = kWrite | kNoScript | kNoMulti | kFast | kStateMachine,
     .keys = {},
     .group = "raft",
     .summary = "Opens a session for RAFT.ONCE and tells its number.",
     .since = kSince,
     .complexity = "O(log N) with N sessions",
     .arguments = kOpenArguments,
     .remark =
         "RaftKV's own. TTL: seconds without use, by the log's clock, after which the session "
         "is gone; without it `--session_ttl` of the leader. `MAXSESSIONS` if "
         "`--sessions_max` are open.",
     .refusal = open_refusal},
    {.name = "close",
     .arity = 3,
     .flags = kWrite | kNoScript | kNoMulti | kFast | kStateMachine,
     .keys = {},
     .group = "raft",
     .summary = "Ends a session, and forgets the replies that were kept for it.",
     .since = kSince,
     .complexity = "O(N) with N replies kept",
     .arguments = kCloseArguments,
     .remark = "RaftKV's own. 1 if the session was open, else 0.",
     .refusal = close_refusal},
    {.name = "list",
     .arity = -2,
     .flags = kReadonly | kStateMachine,
     .keys = {},
     .group = "raft",
     .summary = "Tells of the open sessions, in the order of their numbers.",
     .since = kSince,
     .complexity = "O(N) with N sessions told of",
     .arguments = kListArguments,
     .remark = "RaftKV's own. At most 1000; FROM goes on at a number.",
     .tips = "nondeterministic_output",
     .refusal = list_refusal},
    {.name = "help",
     .arity = 2,
     .flags = kLoading | kStale,
     .keys = {},
     .local = session_help,
     .group = "raft",
     .summary = "Prints this help.",
     .since = kSince,
     .complexity = "O(1)"},
};

}  // namespace

std::span<const CommandSpec> once_commands() {
  static constexpr CommandSpec kCommands[] = {
      {.name = "raft.session",
       .arity = -2,
       .flags = 0,
       .keys = {},
       .group = "raft",
       .summary = "A container for commands about sessions of RAFT.ONCE.",
       .since = kSince,
       .complexity = "Depends on subcommand.",
       .subcommands = kSubcommands,
       .remark = "RaftKV's own."},
      {.name = "raft.once",
       .arity = -4,
       .flags = kWrite | kDenyOom | kNoScript | kMovableKeys | kStateMachine,
       .keys = {},
       .group = "raft",
       .summary = "Executes a write once, however often it is sent; a retry gets the first reply.",
       .since = kSince,
       .complexity = "That of the command, and O(log N) with N sessions and replies kept.",
       .arguments = kOnceArguments,
       .remark =
           "RaftKV's own. Sequence numbers are the client's, from 1, a number for each write, "
           "about in order. ACK: the lowest number that may still be sent again. "
           "`NOSESSION`: the session is gone, and with it the knowledge of what was executed "
           "in it. `REPLYGONE`: executed, but the reply is no longer kept. `ACKED`: below "
           "what ACK said. `SEQGAPS`: too many numbers left out.",
       .refusal = once_refusal,
       .carries_at = once_carries_at},
  };
  return kCommands;
}

OnceCall read_once(Args args) {
  OnceCall call;
  call.session = known_number(args[1]);
  call.sequence = known_number(args[kSequenceAt]);
  if (has_ack(args)) call.lowest_needed = known_number(args[kAckAt + 1]);
  call.command.args = args.subspan(once_carries_at(args));
  call.command.spec = CommandTable::instance().resolve(call.command.args);
  return call;
}

uint64_t read_session_id(Args args) {
  return args.size() > 2 ? known_number(args.back()) : 0;
}

bool is_session_open(const CommandSpec& spec) {
  return spec.refusal == open_refusal;
}

std::vector<std::string> opening_for_log(Args args, const OnceLimits& limits,
                                         resp::Protocol protocol) {
  const uint64_t ttl_s = args.size() == 4 ? known_number(args[3]) : limits.ttl_s;
  return {std::string(args[0]),
          std::string(args[1]),
          std::to_string(ttl_s),
          std::to_string(static_cast<int>(protocol)),
          std::to_string(limits.replies_max),
          std::to_string(limits.reply_bytes_max),
          std::to_string(limits.sessions_max)};
}

std::optional<SessionOpening> read_opening(Args args) {
  if (args.size() != 7) return std::nullopt;
  uint64_t numbers[5];
  for (size_t i = 0; i < std::size(numbers); ++i) {
    const std::string_view text = args[i + 2];
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), numbers[i]);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  }
  const auto protocol = static_cast<resp::Protocol>(numbers[1]);
  if (protocol != resp::Protocol::kResp2 && protocol != resp::Protocol::kResp3) return std::nullopt;
  return SessionOpening{.ttl_s = numbers[0],
                        .protocol = protocol,
                        .replies_max = numbers[2],
                        .reply_bytes_max = numbers[3],
                        .sessions_max = numbers[4]};
}

}  // namespace raftkv::server
