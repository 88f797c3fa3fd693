// Linearizable reads on the leader: they wait until the leader is known to lead still (thesis 6.4),
// and run in an order that each connection can tell from no other.
//
// A read takes effect somewhere between two batches of writes:
//   not before   the batch its connection wrote last (ReadItem::after), nor the granted index;
//   at latest    just before the first batch that is proposed after it came (ReadGroup::before), so
//                that it never sees a later write of its own connection.
// The second bound also helps it: the commit of that batch proves that the leader led when the read
// came, so it needs no other confirmation there.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "server/replica/batch.h"

namespace raftkv::server {

// Reads that came in one turn, before the same batch.
struct ReadGroup {
  BatchNumber before = 0;
  uint64_t time_us = 0;  // the leader's clock when they came: the deadlines they are judged by
  uint64_t came_us = 0;  // the same moment on the monotonic clock
  uint64_t number = 0;   // of the core's read (raft::Node::read), 0 until registered
  bool granted = false;
  raft::Index index = 0;  // with `granted`: run once this is applied
  std::string arguments;
  std::vector<ReadItem> items;  // those that have not run
  size_t count = 0;             // those that ever stood here
};

enum class ReadResult : uint8_t {
  kDone,
  kUnsettled,  // it met a key that is due, but not by the log's clock: nothing was answered
};

class ReadQueue {
 public:
  // `early`: judged by the log's settled time and by the group's; otherwise the group's time is
  // settled.
  using Run = std::function<ReadResult(const ReadGroup&, ReadItem&, bool early)>;

  // Adds a read that came at `time_us`, with its arguments as one payload item.
  void add(BatchNumber before, uint64_t time_us, uint64_t came_us, ReadItem item,
           std::string_view arguments);
  // Calls `number()` for each group that has none yet.
  void register_groups(const std::function<uint64_t()>& number);
  // Group numbers first..last may run once `index` is applied.
  void grant(uint64_t first, uint64_t last, raft::Index index);

  // Runs what is granted and sees what it must see. True if some read met an unsettled deadline and
  // now waits for its group's `before`: that batch must be proposed, even if it stays empty.
  // `last_before` tells the newest such batch.
  bool run_granted(raft::Index applied, BatchNumber applied_batch, const Run& run,
                   BatchNumber& last_before);
  // The batch `number` is about to be applied: runs everything that must come before it.
  void run_before(BatchNumber number, const Run& run);
  // Hands out, in order, the reads that stand before batch `number` (all with UINT64_MAX), to be
  // refused, and forgets them.
  void drop_before(BatchNumber number, const std::function<void(ReadItem&)>& drop);

  // --- on a follower, where no batch will come

  // Postponed reads may try again; those that came before `since_us` (monotonic) are handed out, to
  // be refused, and forgotten.
  void retry_postponed(uint64_t since_us, const std::function<void(ReadItem&)>& drop);
  // Hands out, in order, the reads that came before `since_us`, to be refused, and forgets them.
  void drop_older(uint64_t since_us, const std::function<void(ReadItem&)>& drop);
  // Whether any group still waits to be granted, or to be registered.
  bool has_ungranted() const { return !groups_.empty() && !groups_.back().granted; }
  bool has_unregistered() const { return !groups_.empty() && groups_.back().number == 0; }
  // When the oldest read came; UINT64_MAX without any.
  uint64_t oldest_us() const { return groups_.empty() ? UINT64_MAX : groups_.front().came_us; }

  bool empty() const { return groups_.empty(); }
  // Bytes of waiting arguments and items.
  size_t bytes() const { return bytes_; }

 private:
  ReadGroup& group(BatchNumber before, uint64_t time_us, uint64_t came_us);
  void pop_finished();
  void pop_front();

  std::deque<ReadGroup> groups_;
  size_t bytes_ = 0;
};

}  // namespace raftkv::server
