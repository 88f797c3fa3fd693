#include "storage/log/log_sweeper.h"

#include <pthread.h>

#include <chrono>
#include <utility>

namespace raftkv::storage {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Clock::duration kLookEvery = std::chrono::milliseconds{1000};
// Others have the disk for so many times what a sweep took.
constexpr int kPausePerSweep = 3;

}  // namespace

LogSweeper::LogSweeper(std::function<bool()> sweep, std::function<void()> look)
    : sweep_(std::move(sweep)), look_(std::move(look)) {}

LogSweeper::~LogSweeper() {
  stop();
}

void LogSweeper::start() {
  if (thread_.joinable()) return;
  ending_ = false;
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "log-sweeper");
}

void LogSweeper::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void LogSweeper::request() {
  {
    const std::lock_guard lock(mutex_);
    if (requested_) return;
    requested_ = true;
  }
  wake_.notify_one();
}

void LogSweeper::run() {
  bool more = false;
  std::unique_lock lock(mutex_);
  while (!ending_) {
    const bool asked = std::exchange(requested_, false);
    lock.unlock();
    const auto begun = Clock::now();
    if (asked || more) more = sweep_();
    const auto pause = kPausePerSweep * (Clock::now() - begun);
    look_();
    lock.lock();
    wake_.wait_for(lock, more ? pause : kLookEvery,
                   [this, more] { return ending_ || (requested_ && !more); });
  }
}

}  // namespace raftkv::storage
