// One client's conversation with the replica: looks each command up, admits or refuses it, keeps
// MULTI and WATCH, and puts the replies in the order of the commands. Knows no socket: the
// connection (server/net) owns the bytes, the simulator's clients own theirs. Loop thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/command/client_state.h"
#include "server/command/command.h"
#include "server/command/host.h"
#include "server/net/request_sink.h"
#include "server/replica/admin.h"
#include "server/replica/batch.h"
#include "server/replica/save_wait.h"
#include "server/replica/write_gathering.h"

namespace raftkv::server {

class Replica;

inline constexpr std::string_view kDiskFullError =
    "MISCONF the disk of this node is full or nearly so; writes are refused until there is room in "
    "its data directory. The command did not take effect";
inline constexpr std::string_view kLoadingError = "LOADING Redis is loading the dataset in memory";
// "ERR the command has N bytes, more than ... allows; ...".
std::string too_large(size_t bytes, size_t limit);
// Whether `spec` is what the second word of `args` names.
bool is_subcommand(const CommandSpec& spec, Args args);
// Commands that act at once even between MULTI and EXEC.
bool runs_in_multi(const CommandSpec& spec);

class Session final : public RequestSink {
 public:
  // Owned by the connection until close(). `owner` must live until close() returns.
  static Session* open(Replica& replica, Host& host, SessionOwner& owner, ClientState state);

  void close() override;
  Execution execute(Args args) override;
  void protocol_error(std::string_view error) override;

  // --- for the replica ----------------------------------------------------------------------

  // A reply to the oldest outstanding command goes to the buffer that begin_reply() returns, then
  // end_reply(). Between the two nothing else may happen to the session, which may be gone after
  // the second.
  std::string& begin_reply(const Origin& origin);
  void end_reply(const Origin& origin);
  void watched_key_changed() { watch_dirty_ = true; }
  // What made execute() say kWait is over.
  bool can_resume();
  void resume();
  bool closed() const { return owner_ == nullptr; }
  // In WAIT, SAVE, or a change of members, and until when at most (UINT64_MAX: for ever, or not in
  // one of these).
  bool blocked() const {
    return wait_ == Wait::kReplicated || wait_ == Wait::kAdmin || wait_ == Wait::kSaved;
  }
  uint64_t wait_deadline_us() const {
    if (wait_ == Wait::kAdmin) return admin_->deadline_us();
    return wait_ == Wait::kReplicated ? wait_deadline_us_ : UINT64_MAX;
  }

  // The newest batch that this connection's later reads must see, and a read of it that waits for a
  // deadline to be settled, behind which its other reads queue.
  BatchNumber reads_after() const { return reads_after_; }
  void set_reads_after(BatchNumber number) { reads_after_ = number; }
  WriteGathering::Wrote& wrote() { return wrote_; }
  void count_postponed(int change) { postponed_reads_ += change; }
  bool has_postponed() const { return postponed_reads_ > 0; }
  void set_last_write_index(uint64_t index) { last_write_index_ = index; }

 private:
  // What a command waits for.
  enum class Wait : uint8_t {
    kNone,
    kDrained,     // the replies before it
    kReplies,     // the larger part of the replies before it
    kReplica,     // room in the replica's queues
    kApplied,     // the batches proposed before WATCH
    kReplicated,  // WAIT
    kAdmin,       // RAFT.MEMBERS, RAFT.TRANSFER
    kSaved,       // SAVE
  };

  struct Queued {
    const CommandSpec* spec = nullptr;
    size_t offset = 0;
  };

  Session(Replica& replica, Host& host, SessionOwner& owner, ClientState state);
  ~Session() override = default;

  // What a transaction consists of.
  struct QueueShape {
    bool data = false;         // any command that needs data
    bool writes = false;       // any that changes it
    bool may_run_here = true;  // all of them reads that may be stale
    uint16_t slot = 0;         // of the first key
  };

  // session.cc: one command
  void begin_command(const CommandSpec* spec, Args args);
  Origin take_origin(size_t expected_bytes = 0);
  size_t expected_reply(const CommandSpec& spec, Args args) const;
  bool replies_fit(size_t more) const;
  Execution refuse(std::string_view error, Args args, const CommandSpec* spec);
  Execution run_local(const CommandSpec& spec, Args args);
  void apply_reset();
  void run_local_into(const CommandSpec& spec, Args args, std::string& out);
  Execution run_data(const CommandSpec& spec, Args args);
  Execution run_here(const CommandSpec& spec, Args args);
  bool may_run_here(const CommandSpec& spec) const;
  bool may_ask_leader(const CommandSpec& spec) const;
  Execution wait_for(Wait reason);
  void notify_output();
  void answer(std::string_view reply);
  void answer_error(std::string_view error);

  // transaction.cc: MULTI, EXEC, WATCH, WAIT, SAVE
  Execution run_own(const CommandSpec& spec, Args args);
  Execution administer(const CommandSpec& spec, Args args);
  Execution queue(const CommandSpec& spec, Args args);
  void end_multi();
  Execution exec();
  QueueShape queue_shape();
  void exec_here();
  void exec_replicated(const QueueShape& shape);
  void run_local_step(const CommandSpec& spec, Args args, std::string& reply);
  Execution watch(Args args);
  bool watches_changed() const;
  void unwatch();
  Execution wait_for_replicas(Args args);
  Execution save(const CommandSpec& spec, Args args);

  Replica& replica_;
  Host& host_;
  SessionOwner* owner_;  // null once closed

  // Replies of commands that need no data, while earlier commands are outstanding: `after` commands
  // must complete first.
  struct Held {
    uint64_t after = 0;
    std::string reply;
  };
  std::deque<Held> held_;
  size_t held_bytes_ = 0;
  uint64_t issued_ = 0;
  uint64_t completed_ = 0;
  WriteGathering::Wrote wrote_ = 0;

  bool silent_ = false;      // the current command is not answered (CLIENT REPLY)
  std::string local_reply_;  // where a local reply is put together
  std::string discarded_;    // where a reply goes that nobody reads

  Wait wait_ = Wait::kNone;
  size_t expected_bytes_ = 0;  // of the replies to outstanding reads
  size_t wait_bytes_ = 0;      // of the reply to the read that waits for kReplies
  BatchNumber reads_after_ = 0;
  int postponed_reads_ = 0;
  uint64_t last_write_index_ = 0;

  // MULTI: the commands as a payload, and where each begins.
  bool in_multi_ = false;
  bool multi_failed_ = false;
  std::string queued_bytes_;
  std::vector<Queued> queued_;

  // WATCH
  std::vector<std::string> watched_;
  bool watch_dirty_ = false;
  uint64_t watch_term_ = 0;
  BatchNumber watch_after_ = 0;

  std::unique_ptr<AdminWait> admin_;  // what this connection began and waits for

  std::optional<SaveWait> save_;

  // WAIT
  size_t wait_replicas_ = 0;
  uint64_t wait_deadline_us_ = 0;  // 0: not waiting, UINT64_MAX: for ever
};

}  // namespace raftkv::server
