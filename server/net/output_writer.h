// The sending side of a client connection: writes a string at once as far as the kernel takes it,
// and keeps what it does not take. Strings change hands, big replies are never copied. Loop thread
// only.
#pragma once

#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace raftkv::server {

class OutputWriter {
 public:
  // `on_progress` is called from the loop once what was kept is sent (status 0) or can't be (a
  // negative libuv error).
  OutputWriter(uv_stream_t* stream, std::function<void(int status)> on_progress)
      : stream_(stream), on_progress_(std::move(on_progress)) {}

  // Sends `output` and leaves it empty, its memory kept where that is small. While bytes of an
  // earlier call are unsent nothing happens and `output` stays as it is. Returns 0 or a negative
  // libuv error.
  int write(std::string& output);

  bool busy() const { return busy_; }
  // Bytes given to write() and not yet taken by the kernel.
  size_t unsent() const { return busy_ ? uv_stream_get_write_queue_size(stream_) : 0; }
  uint64_t sent() const { return accepted_ - unsent(); }

 private:
  int queue_rest(std::string& output, size_t taken);

  uv_stream_t* stream_;
  std::function<void(int)> on_progress_;
  uv_write_t request_{};
  std::string rest_;  // what request_ points into
  bool busy_ = false;
  uint64_t accepted_ = 0;  // bytes given to write()
};

}  // namespace raftkv::server
