#include "server/replica/session.h"

#include <fmt/format.h>

#include <utility>

#include "server/replica/check.h"
#include "server/replica/replica.h"

namespace raftkv::server {

namespace {

// Replies that are ready, but stand behind commands that are not.
constexpr size_t kHeldBytesMax = size_t{1} << 20;

}  // namespace

Session::Session(Replica& replica, Host& host, SessionOwner& owner, ClientState state)
    : RequestSink(std::move(state)), replica_(replica), host_(host), owner_(&owner) {}

Session* Session::open(Replica& replica, Host& host, SessionOwner& owner, ClientState state) {
  replica.touch();
  state.created_us = state.last_command_us = replica.monotonic_us();
  return new Session(replica, host, owner, std::move(state));
}

void Session::close() {
  RAFTKV_CHECK(!closed(), "a session was closed twice");
  owner_ = nullptr;
  unwatch();
  if (wait_ != Wait::kNone) replica_.remove_waiting(this);
  wait_ = Wait::kNone;
  admin_.reset();
  save_.reset();
  held_.clear();
  if (issued_ == completed_) delete this;
}

Execution Session::execute(Args args) {
  replica_.touch();
  // Whatever this command is: its reply, an error for one, might have to be held as well.
  if (held_bytes_ > kHeldBytesMax) return wait_for(Wait::kDrained);
  const CommandSpec* spec = nullptr;
  const std::string error = CommandTable::instance().admission_error(args, &spec);
  if (!error.empty()) return refuse(error, args, spec);
  if (in_multi_ && !runs_in_multi(*spec)) return queue(*spec, args);
  if (spec->flags & kSession) return run_own(*spec, args);
  return spec->is_data() ? run_data(*spec, args) : run_local(*spec, args);
}

void Session::protocol_error(std::string_view error) {
  replica_.touch();
  silent_ = false;
  answer_error(error);
  state_.close_after_reply = true;
}

// --- the steps of a command
// -----------------------------------------------------------------------

// A command that will be answered now or later: everything but those that must wait gets here once.
void Session::begin_command(const CommandSpec* spec, Args args) {
  switch (state_.reply_mode) {
    case ReplyMode::kOn:
    case ReplyMode::kOff:
      break;
    case ReplyMode::kSkipNext:
      state_.reply_mode = ReplyMode::kSkipThis;
      break;
    case ReplyMode::kSkipThis:
      state_.reply_mode = ReplyMode::kOn;
      break;
  }
  silent_ = state_.reply_mode != ReplyMode::kOn;
  ++state_.commands;
  ++replica_.stats().commands_processed;
  state_.last_command_us = replica_.monotonic_us();
  if (spec == nullptr) return;
  state_.last_command = spec->name;
  if (is_subcommand(*spec, args)) state_.last_command.insert(0, std::string(args[0]) + "|");
}

Origin Session::take_origin(size_t expected_bytes) {
  ++issued_;
  ++state_.outstanding;
  expected_bytes_ += expected_bytes;
  return Origin{this, state_.protocol, silent_, expected_bytes};
}

// A pipeline of reads of large values must not build all its replies at once for a client that may
// not take them: how large they will be is looked up before they are admitted.
size_t Session::expected_reply(const CommandSpec& spec, Args args) const {
  const data::Keyspace& keyspace = replica_.state().keyspace();
  // RAFT.SESSION LIST, and KEYS: replies that grow with what there is.
  if (spec.flags & kStateMachine) return replica_.state().once().list_bytes();
  if (spec.keys.first == 0) return (spec.flags & kDangerousCategory) ? keyspace.memory_used() : 0;
  size_t bytes = 0;
  for_each_key(spec, args, [&](std::string_view key) {
    data::Clock clock = data::Clock::at(replica_.state().log_time_ms());
    const data::Entry* entry = keyspace.find(key, clock);
    if (entry != nullptr) bytes += data::Keyspace::memory_of(*entry);
  });
  return bytes;
}

bool Session::replies_fit(size_t more) const {
  return issued_ == completed_ ||
         expected_bytes_ + more + output_.size() <= replica_.options().session_reply_bytes_max;
}

Execution Session::refuse(std::string_view error, Args args, const CommandSpec* spec) {
  begin_command(spec, args);
  if (spec != nullptr) ++replica_.state().stats_of(*spec, args).rejected;
  if (in_multi_) multi_failed_ = true;
  answer_error(error);
  return Execution::kDone;
}

Execution Session::wait_for(Wait reason) {
  if (wait_ == Wait::kNone) replica_.add_waiting(this);
  wait_ = reason;
  return Execution::kWait;
}

bool Session::can_resume() {
  switch (wait_) {
    case Wait::kNone:
      return true;
    case Wait::kDrained:
      return issued_ == completed_;
    case Wait::kReplies:
      return issued_ == completed_ ||
             (replies_fit(wait_bytes_) &&
              expected_bytes_ + output_.size() <= replica_.options().session_reply_bytes_max / 2);
    case Wait::kReplica:
      return replica_.accepts_commands();
    case Wait::kApplied:
      return replica_.applied_batch() >= watch_after_ || watches_changed();
    case Wait::kReplicated:
      return !replica_.node().is_leader() || replica_.monotonic_us() >= wait_deadline_us_ ||
             replica_.replicas_with(last_write_index_) >= wait_replicas_;
    case Wait::kAdmin:
      return admin_->over(replica_);
    case Wait::kSaved:
      return save_->over(replica_);
  }
  return true;
}

void Session::resume() {
  wait_ = Wait::kNone;
  if (owner_ != nullptr) owner_->may_resume();
}

Execution Session::run_local(const CommandSpec& spec, Args args) {
  const bool behind = issued_ != completed_;
  if (behind && (spec.flags & kBarrier)) return wait_for(Wait::kDrained);
  begin_command(&spec, args);
  if (!behind && !silent_) {
    notify_output();
    run_local_into(spec, args, output_);
    apply_reset();
    return Execution::kDone;
  }
  local_reply_.clear();
  run_local_into(spec, args, local_reply_);
  apply_reset();
  // CLIENT REPLY ON and RESET end the silence, and their own replies are the first to be heard.
  silent_ = state_.reply_mode != ReplyMode::kOn;
  answer(local_reply_);
  return Execution::kDone;
}

void Session::apply_reset() {
  if (!std::exchange(state_.reset_requested, false)) return;
  end_multi();
  unwatch();
  state_.readonly = false;
  state_.reply_mode = ReplyMode::kOn;
}

void Session::run_local_into(const CommandSpec& spec, Args args, std::string& out) {
  CommandStats& stats = replica_.state().stats_of(spec, args);
  const size_t before = out.size();
  resp::ReplyWriter reply(out, state_.protocol);
  LocalContext context{host_, state_, args, reply};
  ++stats.calls;
  spec.local(context);
  if (out.size() > before && out[before] == '-') {
    ++stats.failed;
    replica_.state().count_local_error(std::string_view(out).substr(before));
  }
}

bool Session::may_run_here(const CommandSpec& spec) const {
  if (spec.is_write() || !replica_.belongs() || replica_.taken_out()) return false;
  if (replica_.read_mode() == ReadMode::kStale) return true;
  return state_.readonly && replica_.options().follower_reads == FollowerReads::kStale;
}

// Whether this node may answer after it has asked its leader how far it must be.
bool Session::may_ask_leader(const CommandSpec& spec) const {
  return !spec.is_write() && state_.readonly &&
         replica_.options().follower_reads == FollowerReads::kLinearizable && replica_.belongs() &&
         replica_.node().leader() != 0;
}

Execution Session::run_data(const CommandSpec& spec, Args args) {
  if (replica_.loading()) return refuse(kLoadingError, args, &spec);
  if (!replica_.leads()) {
    if (may_run_here(spec)) return run_here(spec, args);
    if (!may_ask_leader(spec))
      return refuse(replica_.redirect(command_slot(spec, args)), args, &spec);
  }
  if (spec.is_write() && replica_.disk_full()) return refuse(kDiskFullError, args, &spec);
  if (const size_t bytes = encoded_size(args); bytes > replica_.command_bytes_max()) {
    return refuse(too_large(bytes, replica_.command_bytes_max()), args, &spec);
  }
  if (!replica_.accepts_commands()) return wait_for(Wait::kReplica);
  if (!spec.is_write() && replica_.read_mode() == ReadMode::kStale &&
      replica_.applied_batch() >= reads_after_) {
    return run_here(spec, args);
  }
  if (spec.is_write()) {
    begin_command(&spec, args);
    replica_.add_write(take_origin(), spec, args);
    return Execution::kDone;
  }
  const size_t expected = expected_reply(spec, args);
  if (!replies_fit(expected)) {
    wait_bytes_ = expected;
    return wait_for(Wait::kReplies);
  }
  begin_command(&spec, args);
  replica_.add_read(take_origin(expected), spec, args);
  return Execution::kDone;
}

// A read that asks nobody: on a follower whose client said READONLY, or in the stale read mode.
Execution Session::run_here(const CommandSpec& spec, Args args) {
  begin_command(&spec, args);
  local_reply_.clear();
  resp::ReplyWriter reply(local_reply_, state_.protocol);
  const bool settled =
      replica_.state().run_read(spec, args, data::Clock::at(replica_.state().log_time_ms()), reply);
  RAFTKV_CHECK(settled, "a read at the log's own time met an unsettled deadline");
  answer(local_reply_);
  return Execution::kDone;
}

// --- replies
// --------------------------------------------------------------------------------------

void Session::notify_output() {
  if (output_.empty()) owner_->output_ready();
}

void Session::answer(std::string_view reply) {
  if (closed() || silent_) return;
  if (issued_ == completed_) {
    notify_output();
    output_.append(reply);
    return;
  }
  if (held_.empty() || held_.back().after != issued_) held_.push_back({issued_, {}});
  held_.back().reply.append(reply);
  held_bytes_ += reply.size();
}

void Session::answer_error(std::string_view error) {
  local_reply_.clear();
  resp::ReplyWriter(local_reply_, state_.protocol).error(error);
  replica_.state().count_local_error(local_reply_);
  answer(local_reply_);
}

std::string& Session::begin_reply(const Origin& origin) {
  if (closed() || origin.silent) {
    discarded_.clear();
    return discarded_;
  }
  notify_output();
  return output_;
}

void Session::end_reply(const Origin& origin) {
  ++completed_;
  --state_.outstanding;
  expected_bytes_ -= origin.expected_bytes;
  // A silent command leaves no bytes, but fewer are outstanding, and replies may stand behind it.
  if (origin.silent && !closed()) notify_output();
  while (!held_.empty() && held_.front().after == completed_) {
    output_.append(held_.front().reply);
    held_bytes_ -= held_.front().reply.size();
    held_.pop_front();
  }
  if (issued_ != completed_) return;
  if (closed()) {
    delete this;
  } else if (state_.close_after_reply) {
    owner_->output_ready();
  }
}

}  // namespace raftkv::server
