#include "client/io_loop.h"

#include <algorithm>
#include <cstddef>
#include <ctime>

namespace raftkv::client {
namespace {

timespec time_until(Deadline deadline) {
  const auto left = std::max(deadline - Clock::now(), Clock::duration(0));
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
  const auto rest = std::chrono::duration_cast<std::chrono::nanoseconds>(left - seconds);
  return {.tv_sec = seconds.count(), .tv_nsec = rest.count()};
}

}  // namespace

void IoLoop::Wait::await_suspend(std::coroutine_handle<> waiting) {
  waiting_ = waiting;
  loop_.waits_.push_back(this);
}

// One wait for all that wait, and everyone who is ready or late goes on.
void IoLoop::step() {
  polled_.clear();
  Deadline first = Deadline::max();
  for (const Wait* wait : waits_) {
    polled_.push_back({.fd = wait->fd_, .events = wait->events_, .revents = 0});
    first = std::min(first, wait->deadline_);
  }
  // ppoll(), for a rate needs waits shorter than the milliseconds of poll().
  const timespec timeout = time_until(first);
  const int ready = ppoll(polled_.data(), polled_.size(), &timeout, nullptr);
  const auto now = Clock::now();
  over_.clear();
  size_t kept = 0;
  for (size_t i = 0; i < waits_.size(); ++i) {
    Wait* const wait = waits_[i];
    if (ready > 0) wait->found_ = polled_[i].revents;
    if (wait->found_ != 0 || wait->deadline_ <= now) {
      over_.push_back(wait);
    } else {
      waits_[kept++] = wait;
    }
  }
  waits_.resize(kept);
  // Whoever goes on may wait anew, but destroys no coroutine that waits here.
  for (const Wait* wait : over_) wait->waiting_.resume();
}

}  // namespace raftkv::client
