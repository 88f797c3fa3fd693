#include "storage/log/log_sweeper.h"

#include <pthread.h>

#include <chrono>
#include <utility>

namespace raftkv::storage {
namespace {

constexpr std::chrono::milliseconds kLookEvery{1000};

}  // namespace

LogSweeper::LogSweeper(std::function<void()> sweep, std::function<void()> look)
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
  std::unique_lock lock(mutex_);
  while (!ending_) {
    const bool asked = std::exchange(requested_, false);
    lock.unlock();
    if (asked) sweep_();
    look_();
    lock.lock();
    wake_.wait_for(lock, kLookEvery, [this] { return ending_ || requested_; });
  }
}

}  // namespace raftkv::storage
