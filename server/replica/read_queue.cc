#include "server/replica/read_queue.h"

#include <iterator>
#include <utility>

#include "server/replica/session.h"

namespace raftkv::server {

void ReadQueue::add(BatchNumber before, uint64_t time_us, uint64_t came_us, ReadItem item,
                    std::string_view arguments) {
  ReadGroup& last = group(before, time_us, came_us);
  item.offset = last.arguments.size();
  last.arguments.append(arguments);
  last.items.push_back(std::move(item));
  ++last.count;
  bytes_ += arguments.size() + sizeof(ReadItem);
}

ReadGroup& ReadQueue::group(BatchNumber before, uint64_t time_us, uint64_t came_us) {
  if (groups_.empty() || groups_.back().number != 0 || groups_.back().before != before ||
      groups_.back().time_us != time_us) {
    groups_.emplace_back();
    groups_.back().before = before;
    groups_.back().time_us = time_us;
    groups_.back().came_us = came_us;
  }
  return groups_.back();
}

void ReadQueue::register_groups(const std::function<uint64_t()>& number) {
  // The unregistered ones stand at the end.
  auto it = groups_.end();
  while (it != groups_.begin() && std::prev(it)->number == 0) --it;
  for (; it != groups_.end(); ++it) it->number = number();
}

void ReadQueue::grant(uint64_t first, uint64_t last, raft::Index index) {
  for (ReadGroup& group : groups_) {
    if (group.number > last || group.number == 0) break;
    if (group.number < first || group.granted) continue;
    group.granted = true;
    group.index = index;
  }
}

bool ReadQueue::run_granted(raft::Index applied, BatchNumber applied_batch, const Run& run,
                            BatchNumber& last_before) {
  bool unsettled = false;
  for (ReadGroup& group : groups_) {
    if (!group.granted || group.index > applied) break;
    size_t kept = 0;
    for (ReadItem& item : group.items) {
      Session* session = item.origin.session;
      const bool wait = item.after > applied_batch || session->has_postponed();
      if (!wait && run(group, item, true) == ReadResult::kDone) continue;
      if (!wait) {
        // Its connection's other reads must not overtake it.
        session->count_postponed(1);
        item.postponed = true;
        unsettled = true;
        last_before = group.before;
      }
      ReadItem& place = group.items[kept++];
      if (&place != &item) place = std::move(item);
    }
    group.items.resize(kept);
  }
  pop_finished();
  return unsettled;
}

void ReadQueue::run_before(BatchNumber number, const Run& run) {
  while (!groups_.empty() && groups_.front().before <= number) {
    ReadGroup& group = groups_.front();
    for (ReadItem& item : group.items) {
      if (item.postponed) item.origin.session->count_postponed(-1);
      run(group, item, false);
    }
    pop_front();
  }
}

void ReadQueue::drop_before(BatchNumber number, const std::function<void(ReadItem&)>& drop) {
  while (!groups_.empty() && groups_.front().before <= number) {
    for (ReadItem& item : groups_.front().items) {
      if (item.postponed) item.origin.session->count_postponed(-1);
      drop(item);
    }
    pop_front();
  }
}

void ReadQueue::retry_postponed(uint64_t since_us, const std::function<void(ReadItem&)>& drop) {
  for (ReadGroup& group : groups_) {
    if (!group.granted) break;
    const bool late = group.came_us < since_us;
    std::erase_if(group.items, [&](ReadItem& item) {
      if (!std::exchange(item.postponed, false)) return false;
      item.origin.session->count_postponed(-1);
      if (late) drop(item);
      return late;
    });
  }
  pop_finished();
}

void ReadQueue::drop_older(uint64_t since_us, const std::function<void(ReadItem&)>& drop) {
  while (!groups_.empty() && groups_.front().came_us < since_us) {
    for (ReadItem& item : groups_.front().items) {
      if (item.postponed) item.origin.session->count_postponed(-1);
      drop(item);
    }
    pop_front();
  }
}

void ReadQueue::pop_finished() {
  // Only from the front: `before` and numbers ascend, and a group that is empty costs nothing.
  while (!groups_.empty() && groups_.front().granted && groups_.front().items.empty()) {
    pop_front();
  }
}

void ReadQueue::pop_front() {
  const ReadGroup& group = groups_.front();
  bytes_ -= group.arguments.size() + group.count * sizeof(ReadItem);
  groups_.pop_front();
}

}  // namespace raftkv::server
