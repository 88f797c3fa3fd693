// Many waits in one thread: each coroutine (client/task.h) that waits here goes on when its socket
// is ready, or when its time is up.
#pragma once

#include <poll.h>

#include <chrono>
#include <coroutine>
#include <vector>

#include "client/task.h"

namespace raftkv::client {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

// Not thread-safe. Holds nothing of the system's: cheap to make for one wait. A task that waits
// here must not be destroyed before its wait is over, nor the loop before that.
class IoLoop {
 public:
  class Wait {
   public:
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting);
    // The events that are there (poll(2)'s, errors included); 0: the deadline has passed.
    short await_resume() const noexcept { return found_; }

   private:
    friend class IoLoop;
    Wait(IoLoop& loop, int fd, short events, Deadline deadline)
        : loop_(loop), fd_(fd), events_(events), deadline_(deadline) {}

    IoLoop& loop_;
    int fd_;  // below 0: none, a wait for the deadline
    short events_;
    short found_ = 0;
    Deadline deadline_;
    std::coroutine_handle<> waiting_;
  };

  IoLoop() = default;
  IoLoop(const IoLoop&) = delete;
  IoLoop& operator=(const IoLoop&) = delete;

  Wait ready(int fd, short events, Deadline deadline) { return {*this, fd, events, deadline}; }
  Wait until(Deadline deadline) { return {*this, -1, 0, deadline}; }

  // Blocks until the task is done; whatever else waits here goes on meanwhile.
  template <typename T>
  T run(Task<T> task) {
    task.start();
    while (!task.done()) step();
    return task.take();
  }
  // Blocks until nothing waits here any more.
  void run() {
    while (!waits_.empty()) step();
  }

 private:
  void step();

  std::vector<Wait*> waits_;  // each is part of a suspended coroutine
  // Of step(), kept for their memory.
  std::vector<pollfd> polled_;
  std::vector<Wait*> over_;
};

}  // namespace raftkv::client
