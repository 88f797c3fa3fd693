// A coroutine that computes a T. Begins when it is awaited, or when an IoLoop runs it, and goes on
// in whatever thread resumes it: always that of its IoLoop.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace raftkv::client {

template <typename T>
class Task;

namespace detail {

// What a task does at its beginning and end, whatever it returns.
class TaskPromise {
 public:
  std::suspend_always initial_suspend() noexcept { return {}; }
  auto final_suspend() noexcept {
    struct Resume {
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<>) const noexcept { return next; }
      void await_resume() const noexcept {}
      std::coroutine_handle<> next;
    };
    return Resume{next_};
  }
  void unhandled_exception() noexcept { std::terminate(); }  // nothing here throws but bad_alloc
  void go_on_with(std::coroutine_handle<> next) { next_ = next; }

 private:
  std::coroutine_handle<> next_ = std::noop_coroutine();  // who awaits
};

template <typename T>
class ValuePromise : public TaskPromise {
 public:
  Task<T> get_return_object() {
    return Task<T>(std::coroutine_handle<ValuePromise>::from_promise(*this));
  }
  void return_value(T value) { value_.emplace(std::move(value)); }
  T take() {
    if (!value_) std::terminate();  // it is not done
    return *std::move(value_);
  }

 private:
  std::optional<T> value_;
};

class VoidPromise : public TaskPromise {
 public:
  Task<void> get_return_object();
  void return_void() {}
  void take() {}
};

}  // namespace detail

// Owns the coroutine: with it goes whatever the coroutine was about to do. What a coroutine takes
// by reference or span must outlive it.
template <typename T>
class [[nodiscard]] Task {
 public:
  using promise_type =
      std::conditional_t<std::is_void_v<T>, detail::VoidPromise, detail::ValuePromise<T>>;
  using Handle = std::coroutine_handle<promise_type>;

  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  // To its first wait. Once, and not if it is awaited.
  void start() { handle_.resume(); }
  bool done() const { return handle_.done(); }
  // Once, of a task that is done.
  T take() { return handle_.promise().take(); }

  auto operator co_await() noexcept {
    struct Awaited {
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiting) const noexcept {
        handle.promise().go_on_with(waiting);
        return handle;
      }
      T await_resume() const { return handle.promise().take(); }
      Handle handle;
    };
    return Awaited{handle_};
  }

 private:
  Handle handle_;
};

namespace detail {

inline Task<void> VoidPromise::get_return_object() {
  return Task<void>(std::coroutine_handle<VoidPromise>::from_promise(*this));
}

}  // namespace detail

}  // namespace raftkv::client
