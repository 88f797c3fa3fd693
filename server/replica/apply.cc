// Entries and reads meet the state machine, and their replies the sessions.
#include <algorithm>
#include <utility>

#include "server/replica/check.h"
#include "server/replica/replica.h"
#include "server/replica/session.h"

namespace raftkv::server {

namespace {

// The command that a payload names must exist on every replica: a node that does not know it would
// go on with another state than the others.
const CommandSpec& spec_of(Args args) {
  const CommandSpec* spec = CommandTable::instance().resolve(args);
  if (spec == nullptr || !spec->is_data()) {
    die("the log holds the command '" + std::string(args[0]) +
            "' that this version does not know; upgrade this node",
        __FILE__, __LINE__);
  }
  return *spec;
}

// Runs ahead of a payload's commands and asks for the memory of their keys, some commands at a
// time: in a large dataset each lookup would wait for memory by itself, together they wait once.
class KeysAhead {
 public:
  KeysAhead(std::string_view payload, const data::Keyspace& keyspace)
      : reader_(payload), keyspace_(keyspace) {}

  // Before each command.
  void next() {
    if (fetched_ > 0) {
      --fetched_;
      return;
    }
    size_t keys = 0;
    while (fetched_ < kCommands && (in_item_ > 0 || !reader_.done())) {
      if (in_item_ == 0) in_item_ = reader_.next_item().commands;
      --in_item_;
      ++fetched_;
      // Nearly every command has its first key there; for the others it is a hint that helps
      // nobody.
      if (const Args args = reader_.next_command(); args.size() > 1) keys_[keys++] = args[1];
    }
    // A single command gains nothing.
    if (keys > 1) keyspace_.prefetch({keys_, keys});
    if (fetched_ > 0) --fetched_;
  }

 private:
  static constexpr size_t kCommands = 16;

  PayloadReader reader_;
  const data::Keyspace& keyspace_;
  size_t in_item_ = 0;
  size_t fetched_ = 0;
  std::string_view keys_[kCommands];
};

}  // namespace

void Replica::apply(const raft::Entry& entry) {
  const bool own = !proposed_.empty() && proposed_.front().index == entry.index;
  Batch batch;
  if (own) {
    batch = std::move(proposed_.front());
    proposed_.pop_front();
    if (batch.alone_since_us != 0) gathering_.committed_in(monotonic_us_ - batch.alone_since_us);
    reads_.run_before(batch.number, [this](const ReadGroup& group, ReadItem& item, bool early) {
      return run_read(group, item, early);
    });
  }
  state_.begin_entry(entry);
  if (own) {
    apply_own(entry, batch);
    applied_batch_ = batch.number;
  } else if (entry.kind == raft::EntryKind::kCommands) {
    apply_foreign(entry);
  }
  state_.end_entry(entry, [this](std::string_view key) {
    if (leading_term_ != 0 && !watches_.empty()) watches_.touch(key);
  });
  snapshots_.entry_applied(entry);
  if (entry.kind == raft::EntryKind::kHost) {
    apply_host_entry(entry);
    if (taken_out_) return;
  } else {
    poll_.entry_applied();
  }
  if (snapshots_.wants_to_begin(state_)) snapshots_.begin(node_, state_, ports_.now_wall_us());
}

void Replica::apply_own(const raft::Entry& entry, Batch& batch) {
  RAFTKV_CHECK(entry.term == leading_term_,
               "an entry of another term answers this term's commands");
  const std::string_view payload = entry.payload ? std::string_view(*entry.payload) : "";
  PayloadReader reader(payload);
  KeysAhead ahead(payload, state_.keyspace());
  for (BatchItem& item : batch.items) {
    if (item.read) {
      run_attached_read(batch, item);
      continue;
    }
    const PayloadReader::Item shape = reader.next_item();
    std::string& out = item.origin.session->begin_reply(item.origin);
    resp::ReplyWriter reply(out, item.origin.protocol);
    if (!shape.transaction) {
      ahead.next();
      state_.run_write(*item.spec, reader.next_command(), reply);
    } else {
      reply.array(item.plan->steps.size());
      for (const TransactionPlan::Step& step : item.plan->steps) {
        if (step.spec == nullptr) {
          out.append(step.ready);
        } else {
          ahead.next();
          state_.run_write(*step.spec, reader.next_command(), reply);
        }
      }
    }
    item.origin.session->set_last_write_index(entry.index);
    item.origin.session->end_reply(item.origin);
  }
  RAFTKV_CHECK(reader.done(), "an entry holds more commands than were proposed with it");
}

void Replica::apply_foreign(const raft::Entry& entry) {
  if (!entry.payload) return;
  PayloadReader reader(*entry.payload);
  KeysAhead ahead(*entry.payload, state_.keyspace());
  while (!reader.done()) {
    const PayloadReader::Item shape = reader.next_item();
    for (size_t i = 0; i < shape.commands; ++i) {
      ahead.next();
      const Args args = reader.next_command();
      const CommandSpec& spec = spec_of(args);
      // A read inside a transaction changes nothing; only whoever answers the client runs it.
      if (!spec.is_write()) continue;
      scratch_.clear();
      resp::ReplyWriter reply(scratch_);
      state_.run_write(spec, args, reply);
    }
  }
}

void Replica::run_granted_reads() {
  if (reads_.empty() || taken_out_) return;
  if (leading_term_ == 0) retry_postponed_reads();
  BatchNumber last_before = 0;
  const bool unsettled = reads_.run_granted(
      state_.applied_index(), applied_batch_,
      [this](const ReadGroup& group, ReadItem& item, bool early) {
        return run_read(group, item, early);
      },
      last_before);
  // Only a leader can settle it, with an entry; a follower waits for one.
  if (unsettled && leading_term_ != 0 && last_before == forming_.number) forming_.forced = true;
}

ReadResult Replica::run_read(const ReadGroup& group, ReadItem& item, bool early) {
  // On a follower entries that came since the read may have settled more than its own clock knew.
  const auto time = std::max(static_cast<data::TimeMs>(group.time_us / 1000), state_.log_time_ms());
  data::Clock clock = data::Clock::at(time);
  if (early) clock.settled = std::min(time, state_.log_time_ms());
  Session& session = *item.origin.session;
  std::string& out = session.begin_reply(item.origin);
  const size_t before = out.size();
  resp::ReplyWriter reply(out, item.origin.protocol);
  const std::string_view bytes = std::string_view(group.arguments).substr(item.offset);
  if (!run_read_steps(item.spec, item.plan.get(), bytes, clock, reply)) {
    RAFTKV_CHECK(early, "a settled read met an unsettled deadline");
    out.resize(before);
    return ReadResult::kUnsettled;
  }
  session.end_reply(item.origin);
  return ReadResult::kDone;
}

void Replica::run_attached_read(const Batch& batch, const BatchItem& item) {
  std::string& out = item.origin.session->begin_reply(item.origin);
  resp::ReplyWriter reply(out, item.origin.protocol);
  const std::string_view bytes = std::string_view(batch.read_arguments).substr(item.read_offset);
  const bool settled = run_read_steps(item.spec, item.plan.get(), bytes,
                                      data::Clock::at(state_.log_time_ms()), reply);
  RAFTKV_CHECK(settled, "a read inside an entry met an unsettled deadline");
  item.origin.session->end_reply(item.origin);
}

bool Replica::run_read_steps(const CommandSpec* spec, const TransactionPlan* plan,
                             std::string_view bytes, data::Clock clock, resp::ReplyWriter& reply) {
  read_reader_.reset(bytes);
  if (plan == nullptr) {
    read_reader_.next_item();
    return state_.run_read(*spec, read_reader_.next_command(), clock, reply);
  }
  if (plan->needs_data()) read_reader_.next_item();
  reply.array(plan->steps.size());
  for (const TransactionPlan::Step& step : plan->steps) {
    if (step.spec == nullptr) {
      reply.buffer().append(step.ready);
    } else if (!state_.run_read(*step.spec, read_reader_.next_command(), clock, reply)) {
      return false;
    }
  }
  return true;
}

void Replica::fail(const Origin& origin, std::string_view error) {
  std::string& out = origin.session->begin_reply(origin);
  const size_t before = out.size();
  resp::ReplyWriter(out, origin.protocol).error(error);
  state_.count_local_error(std::string_view(out).substr(before));
  origin.session->end_reply(origin);
}

}  // namespace raftkv::server
