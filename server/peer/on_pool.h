// Work that may block, done on libuv's thread pool.
#pragma once

#include <glog/logging.h>
#include <uv.h>

#include <functional>
#include <memory>
#include <utility>

namespace raftkv::server {

// Runs `work` on the pool, then `after` in the loop's thread. Both are kept, with all they hold,
// until `after` has run; nothing that may die earlier may be touched by either.
inline void on_pool(uv_loop_t* loop, std::function<void()> work, std::function<void()> after) {
  struct Request {
    uv_work_t work{};
    std::function<void()> run;
    std::function<void()> after;
  };
  auto request = std::make_unique<Request>();
  request->work.data = request.get();
  request->run = std::move(work);
  request->after = std::move(after);
  const int error = uv_queue_work(
      loop, &request->work, [](uv_work_t* each) { static_cast<Request*>(each->data)->run(); },
      [](uv_work_t* each, int) {
        const std::unique_ptr<Request> done(static_cast<Request*>(each->data));
        done->after();
      });
  CHECK_EQ(error, 0) << uv_strerror(error);
  static_cast<void>(request.release());  // the callback, which always comes, takes it back
}

}  // namespace raftkv::server
