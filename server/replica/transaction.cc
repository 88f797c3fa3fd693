// MULTI, EXEC, DISCARD, WATCH, UNWATCH, WAIT and SAVE: the commands that the session itself carries
// out.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include "server/replica/check.h"
#include "server/replica/replica.h"
#include "server/replica/session.h"

namespace raftkv::server {

namespace {

bool is(const CommandSpec& spec, std::string_view name) {
  return name == spec.name;
}

bool parse_count(std::string_view text, int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string too_large(size_t bytes, size_t limit) {
  return fmt::format(
      "ERR the command has {} bytes, more than --max_entry_bytes={} allows; send smaller values or "
      "raise the limit on every node",
      bytes, limit);
}

bool is_subcommand(const CommandSpec& spec, Args args) {
  // The name of a command itself is the first word, in any case.
  const std::string_view name = spec.name;
  return !std::equal(name.begin(), name.end(), args[0].begin(), args[0].end(),
                     [](char a, char b) { return a == (b | 0x20) || a == b; });
}

// These act at once even between MULTI and EXEC.
bool runs_in_multi(const CommandSpec& spec) {
  return is(spec, "exec") || is(spec, "discard") || is(spec, "multi") || is(spec, "watch") ||
         is(spec, "quit") || is(spec, "reset");
}

Execution Session::run_own(const CommandSpec& spec, Args args) {
  if (std::string_view(spec.group) == "raft") return administer(spec, args);
  if (is(spec, "exec")) return exec();
  if (is(spec, "wait")) return wait_for_replicas(args);
  if (is(spec, "watch")) return watch(args);
  if (is(spec, "save")) return save(spec, args);
  begin_command(&spec, args);
  ++replica_.state().stats_of(spec, args).calls;
  if (is(spec, "multi")) {
    if (in_multi_) {
      answer_error("ERR MULTI calls can not be nested");
      return Execution::kDone;
    }
    in_multi_ = true;
    state_.multi_queued = 0;
  } else if (is(spec, "discard")) {
    if (!in_multi_) {
      answer_error("ERR DISCARD without MULTI");
      return Execution::kDone;
    }
    end_multi();
    unwatch();
  } else {
    RAFTKV_CHECK(is(spec, "unwatch"), "the session does not know one of its own commands");
    unwatch();
  }
  answer("+OK\r\n");
  return Execution::kDone;
}

// --- MULTI
// ----------------------------------------------------------------------------------------

Execution Session::queue(const CommandSpec& spec, Args args) {
  if (spec.flags & kNoMulti) {
    return refuse("ERR Command not allowed inside a transaction", args, &spec);
  }
  if (spec.is_data()) {
    if (replica_.loading()) {
      return refuse(kLoadingError, args, &spec);
    }
    if (!replica_.leads() && !may_run_here(spec)) {
      return refuse(replica_.redirect(command_slot(spec, args)), args, &spec);
    }
    if (spec.is_write() && replica_.disk_full()) return refuse(kDiskFullError, args, &spec);
  }
  const size_t bytes = queued_bytes_.size() + encoded_size(args);
  if (bytes > replica_.command_bytes_max()) {
    return refuse(too_large(bytes, replica_.command_bytes_max()), args, &spec);
  }
  begin_command(&spec, args);
  queued_.push_back({&spec, queued_bytes_.size()});
  append_command(queued_bytes_, args);
  state_.multi_queued = static_cast<int>(queued_.size());
  answer("+QUEUED\r\n");
  return Execution::kDone;
}

void Session::end_multi() {
  in_multi_ = multi_failed_ = false;
  queued_.clear();
  queued_bytes_.clear();
  queued_bytes_.shrink_to_fit();
  state_.multi_queued = -1;
}

Execution Session::exec() {
  const CommandSpec& spec = *CommandTable::instance().find("exec");
  static constexpr std::string_view kName = "exec";
  const Args args(&kName, 1);
  if (!in_multi_) return refuse("ERR EXEC without MULTI", args, &spec);
  const QueueShape shape = queue_shape();
  const bool here = shape.data && !shape.writes && !replica_.leads() && shape.may_run_here;
  // That the watched keys have not changed is known to whoever leads, even if there is nothing else
  // to do.
  const bool replicated = (shape.data || !watched_.empty()) && !here;
  if (!multi_failed_ && replicated && replica_.leads()) {
    if (!replica_.accepts_commands()) return wait_for(Wait::kReplica);
    // What was proposed before WATCH may yet change a watched key by its expiry: know it first.
    if (!watched_.empty() && !watches_changed() && replica_.applied_batch() < watch_after_) {
      return wait_for(Wait::kApplied);
    }
  }
  begin_command(&spec, args);
  ++replica_.state().stats_of(spec, args).calls;
  if (multi_failed_) {
    answer_error("EXECABORT Transaction discarded because of previous errors.");
  } else if (replicated && !replica_.leads()) {
    answer_error(replica_.redirect(shape.slot));
  } else if (shape.writes && replica_.disk_full()) {
    answer_error("EXECABORT Transaction discarded because of: " + std::string(kDiskFullError));
  } else if (!watched_.empty() && watches_changed()) {
    local_reply_.clear();
    resp::ReplyWriter(local_reply_, state_.protocol).null_array();
    answer(local_reply_);
  } else if (!replicated) {
    exec_here();
  } else {
    exec_replicated(shape);
  }
  end_multi();
  unwatch();
  return Execution::kDone;
}

Session::QueueShape Session::queue_shape() {
  QueueShape shape;
  PayloadReader reader(queued_bytes_);
  for (const Queued& queued : queued_) {
    const CommandSpec& spec = *queued.spec;
    reader.next_item();
    const Args args = reader.next_command();
    if (!spec.is_data()) continue;
    if (!shape.data) shape.slot = command_slot(spec, args);
    shape.data = true;
    shape.writes |= spec.is_write();
    shape.may_run_here &= may_run_here(spec);
  }
  return shape;
}

// A transaction that needs no log: nothing but local commands, or reads that may be stale.
void Session::exec_here() {
  std::string out;
  resp::ReplyWriter reply(out, state_.protocol);
  reply.array(queued_.size());
  PayloadReader reader(queued_bytes_);
  for (const Queued& queued : queued_) {
    reader.next_item();
    const Args args = reader.next_command();
    if (!queued.spec->is_data()) {
      run_local_step(*queued.spec, args, out);
      continue;
    }
    const bool settled = replica_.state().run_read(
        *queued.spec, args, data::Clock::at(replica_.state().log_time_ms()), reply);
    RAFTKV_CHECK(settled, "a read at the log's own time met an unsettled deadline");
  }
  answer(out);
}

void Session::exec_replicated(const QueueShape& shape) {
  auto plan = std::make_unique<TransactionPlan>();
  plan->steps.reserve(queued_.size());
  std::string commands;
  size_t data_commands = 0;
  PayloadReader reader(queued_bytes_);
  for (const Queued& queued : queued_) {
    reader.next_item();
    const Args args = reader.next_command();
    TransactionPlan::Step& step = plan->steps.emplace_back();
    if (queued.spec->is_data()) {
      step.spec = queued.spec;
      append_command(commands, args);
      ++data_commands;
    } else {
      run_local_step(*queued.spec, args, step.ready);
    }
  }
  std::string arguments;
  if (data_commands > 0) append_transaction(arguments, data_commands);
  arguments += commands;
  const bool watched = !watched_.empty();
  unwatch();  // before its own writes touch what it watched
  replica_.add_transaction(take_origin(), std::move(plan), arguments, !shape.writes, watched,
                           shape.slot);
}

void Session::run_local_step(const CommandSpec& spec, Args args, std::string& reply) {
  if (is(spec, "unwatch")) {
    reply += "+OK\r\n";
  } else if (is(spec, "wait")) {
    // Inside a transaction nothing may block: the number as it is.
    resp::ReplyWriter(reply, state_.protocol)
        .integer(static_cast<int64_t>(replica_.replicas_with(last_write_index_)));
  } else {
    run_local_into(spec, args, reply);
  }
}

// --- WATCH
// ----------------------------------------------------------------------------------------

Execution Session::watch(Args args) {
  const CommandSpec& spec = *CommandTable::instance().find("watch");
  if (in_multi_) {
    begin_command(&spec, args);
    answer_error("ERR WATCH inside MULTI is not allowed");
    return Execution::kDone;
  }
  if (replica_.loading()) {
    return refuse(kLoadingError, args, &spec);
  }
  if (!replica_.leads()) return refuse(replica_.redirect(key_slot(args[1])), args, &spec);
  begin_command(&spec, args);
  ++replica_.state().stats_of(spec, args).calls;
  const bool first = watched_.empty();
  // Under another term than before, somebody else may have written meanwhile.
  if (!first && watch_term_ != replica_.leading_term()) watch_dirty_ = true;
  watch_term_ = replica_.leading_term();
  for (std::string_view key : args.subspan(1)) {
    if (std::find(watched_.begin(), watched_.end(), key) != watched_.end()) continue;
    watched_.emplace_back(key);
    replica_.watches().add(key, this);
  }
  state_.watched = watched_.size();
  // Writes proposed before this moment don't count as changes, so what this connection reads from
  // now on must see them.
  watch_after_ = replica_.newest_batch();
  reads_after_ = std::max(reads_after_, watch_after_);
  answer("+OK\r\n");
  return Execution::kDone;
}

bool Session::watches_changed() const {
  if (watch_dirty_ || watch_term_ != replica_.leading_term()) return true;
  // A key whose time has passed is gone, though the log has not settled it yet.
  for (const std::string& key : watched_) {
    data::Clock clock{std::numeric_limits<data::TimeMs>::min(), replica_.now_ms()};
    replica_.state().keyspace().find(key, clock);
    if (clock.unsettled) return true;
  }
  return false;
}

void Session::unwatch() {
  for (const std::string& key : watched_) replica_.watches().remove(key, this);
  watched_.clear();
  watch_dirty_ = false;
  state_.watched = 0;
}

// --- RAFT.MEMBERS, RAFT.TRANSFER
// -----------------------------------------------------------------------------------------

// The first call begins it; the one after may_resume() answers.
Execution Session::administer(const CommandSpec& spec, Args args) {
  if (issued_ != completed_) return wait_for(Wait::kDrained);
  std::string error;
  if (admin_ == nullptr) {
    auto begun = begin_admin(replica_, spec, args);
    if (!begun) return refuse(begun.error(), args, &spec);
    admin_ = std::move(*begun);
  }
  if (admin_ != nullptr) {
    if (!admin_->over(replica_)) return wait_for(Wait::kAdmin);
    error = admin_->outcome();
  }
  admin_.reset();
  if (!error.empty()) return refuse(error, args, &spec);
  begin_command(&spec, args);
  ++replica_.state().stats_of(spec, args).calls;
  answer("+OK\r\n");
  return Execution::kDone;
}

// What the connection wrote before is part of it, so its replies come first.
Execution Session::save(const CommandSpec& spec, Args args) {
  if (issued_ != completed_) return wait_for(Wait::kDrained);
  if (!save_) {
    auto begun = SaveWait::begin(replica_);
    if (!begun) return refuse(begun.error(), args, &spec);
    save_ = std::move(*begun);
  }
  if (!save_->over(replica_)) return wait_for(Wait::kSaved);
  const std::string error = save_->outcome();
  save_.reset();
  if (!error.empty()) return refuse(error, args, &spec);
  begin_command(&spec, args);
  ++replica_.state().stats_of(spec, args).calls;
  answer("+OK\r\n");
  return Execution::kDone;
}

// --- WAIT
// -----------------------------------------------------------------------------------------

// Every acknowledged write is on a majority already; WAIT tells how many followers have this
// connection's last write behind their sync, and waits for more of them if asked to.
Execution Session::wait_for_replicas(Args args) {
  const CommandSpec& spec = *CommandTable::instance().find("wait");
  int64_t replicas = 0;
  int64_t timeout_ms = 0;
  if (!parse_count(args[1], replicas) || !parse_count(args[2], timeout_ms)) {
    return refuse("ERR value is not an integer or out of range", args, &spec);
  }
  if (timeout_ms < 0) return refuse("ERR timeout is negative", args, &spec);
  if (issued_ != completed_) return wait_for(Wait::kDrained);
  if (!replica_.leads()) {
    wait_deadline_us_ = 0;
    return refuse(replica_.redirect(0), args, &spec);
  }
  wait_replicas_ = replicas > 0 ? static_cast<size_t>(replicas) : 0;
  const size_t reached = replica_.replicas_with(last_write_index_);
  if (wait_deadline_us_ == 0) {
    constexpr int64_t kLongestMs = std::numeric_limits<int64_t>::max() / 1'000'000;
    wait_deadline_us_ =
        timeout_ms == 0 ? std::numeric_limits<uint64_t>::max()
                        : replica_.monotonic_us() + std::min(static_cast<uint64_t>(timeout_ms),
                                                             static_cast<uint64_t>(kLongestMs)) *
                                                        1000;
  }
  if (reached < wait_replicas_ && replica_.monotonic_us() < wait_deadline_us_) {
    return wait_for(Wait::kReplicated);
  }
  wait_deadline_us_ = 0;
  begin_command(&spec, args);
  ++replica_.state().stats_of(spec, args).calls;
  local_reply_.clear();
  resp::ReplyWriter(local_reply_, state_.protocol).integer(static_cast<int64_t>(reached));
  answer(local_reply_);
  return Execution::kDone;
}

}  // namespace raftkv::server
