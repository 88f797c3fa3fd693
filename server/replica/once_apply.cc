// RAFT.SESSION and RAFT.ONCE, carried out on every replica.
#include <fmt/format.h>

#include "resp/translate_reply.h"
#include "server/replica/check.h"
#include "server/replica/state_machine.h"

namespace raftkv::server {

namespace {

void open_session(OnceTable& table, Args args, uint64_t now_us, resp::ReplyWriter& reply) {
  const std::optional<SessionOpening> opening = read_opening(args);
  RAFTKV_CHECK(opening,
               "the log opens a session in a form that this version does not know; "
               "upgrade this node");
  if (const std::optional<uint64_t> id = table.open(*opening, now_us)) {
    return reply.integer(static_cast<int64_t>(*id));
  }
  reply.error(fmt::format(
      "MAXSESSIONS {} sessions are open, as many as --sessions_max allows; close some with "
      "RAFT.SESSION CLOSE, give them a shorter TTL, or raise the limit on every node",
      table.count()));
}

void list_sessions(const OnceTable& table, uint64_t first_id, uint64_t now_us,
                   resp::ReplyWriter& reply) {
  const std::vector<OnceTable::Facts> all = table.list(first_id, OnceTable::kListedMax, now_us);
  reply.array(all.size());
  const auto field = [&reply](std::string_view name, uint64_t value) {
    reply.bulk(name);
    reply.integer(static_cast<int64_t>(value));
  };
  for (const OnceTable::Facts& facts : all) {
    reply.map(9);
    field("session", facts.id);
    field("ttl", facts.ttl_us / 1'000'000);
    field("idle_ms", (now_us - facts.used_us) / 1000);
    field("executed", facts.executed);
    field("lowest", facts.acked);
    field("next", facts.next);
    field("replies", facts.replies);
    field("reply_bytes", facts.reply_bytes);
    field("resp", static_cast<uint64_t>(facts.protocol));
  }
}

// Why a command is not executed, or not answered as it was the first time.
std::string refusal_of(const OnceCall& call, const OnceTable::Answer& answer) {
  using Verdict = OnceTable::Verdict;
  switch (answer.verdict) {
    case Verdict::kReplyGone:
      return fmt::format(
          "REPLYGONE command {} of session {} was executed, but its reply is no longer kept "
          "(--session_replies, --session_reply_bytes)",
          call.sequence, call.session);
    case Verdict::kAcked:
      return fmt::format(
          "ACKED command {} of session {} is below {}, the lowest that its client said with ACK to "
          "need; whether it was executed is no longer known, and it is not executed now",
          call.sequence, call.session, answer.acked);
    case Verdict::kTooManyGaps:
      return fmt::format(
          "SEQGAPS command {} of session {} is not executed: its client has left out more than {} "
          "ranges of numbers; send those, or say with ACK that they won't come",
          call.sequence, call.session, OnceTable::kGapsMax);
    default:
      return fmt::format(
          "NOSESSION session {} is not open: it has expired, was closed, or never was; command {} "
          "is not executed now, and whether an earlier attempt was is unknown",
          call.session, call.sequence);
  }
}

}  // namespace

bool StateMachine::run_own(const CommandSpec& spec, DataContext& context) {
  if (spec.carries_at != nullptr) return run_once(context);
  if (is_session_open(spec)) {
    open_session(once_, context.args, log_time_us_, context.reply);
  } else if (spec.is_write()) {
    const bool open = once_.close(read_session_id(context.args), log_time_us_);
    context.reply.integer(open ? 1 : 0);
  } else {
    list_sessions(once_, read_session_id(context.args), log_time_us_, context.reply);
  }
  return false;
}

bool StateMachine::run_once(DataContext& context) {
  const OnceCall call = read_once(context.args);
  const OnceTable::Answer answer =
      once_.arrived(call.session, call.sequence, call.lowest_needed, log_time_us_);
  if (answer.verdict == OnceTable::Verdict::kKept) {
    ++stats_.once_duplicates;
    resp::translate_reply(answer.reply, answer.protocol, context.reply.protocol(),
                          context.reply.buffer());
    return false;
  }
  if (answer.verdict != OnceTable::Verdict::kFresh) {
    context.reply.error(refusal_of(call, answer));
    return false;
  }
  RAFTKV_CHECK(call.command.spec != nullptr && call.command.spec->data != nullptr,
               "the log holds a command that this version does not know; upgrade this node");
  // The reply is state: all replicas write it in the session's protocol, whoever asks.
  once_reply_.clear();
  resp::ReplyWriter reply(once_reply_, answer.protocol);
  DataContext carried{keyspace_, context.clock, call.command.args, reply};
  run(*call.command.spec, carried);
  once_.executed(call.session, call.sequence, once_reply_);
  resp::translate_reply(once_reply_, answer.protocol, context.reply.protocol(),
                        context.reply.buffer());
  return true;
}

data::Keyspace::Digest StateMachine::digest() const {
  const data::Keyspace::Digest keys = keyspace_.digest(log_time_ms());
  const data::Keyspace::Digest sessions = once_.digest();
  return {keys.low + sessions.low, keys.high + sessions.high};
}

}  // namespace raftkv::server
