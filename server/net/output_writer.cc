#include "server/net/output_writer.h"

#include <algorithm>
#include <vector>

namespace raftkv::server {
namespace {

// A reply buffer up to this size stays with its connection for the next turn.
constexpr size_t kKeptCapacity = size_t{64} << 10;
// libuv's lengths are unsigned ints in places; one call does not take more than this anyway.
constexpr size_t kOneWriteMax = size_t{1} << 30;

void empty(std::string& output) {
  if (output.capacity() <= kKeptCapacity) {
    output.clear();
  } else {
    std::string().swap(output);
  }
}

}  // namespace

int OutputWriter::write(std::string& output) {
  if (busy_ || output.empty()) return 0;
  accepted_ += output.size();
  uv_buf_t buffer =
      uv_buf_init(output.data(), static_cast<unsigned>(std::min(output.size(), kOneWriteMax)));
  const int taken = uv_try_write(stream_, &buffer, 1);
  if (taken < 0 && taken != UV_EAGAIN) return taken;
  const size_t sent_now = taken < 0 ? 0 : static_cast<size_t>(taken);
  if (sent_now == output.size()) {
    empty(output);
    return 0;
  }
  return queue_rest(output, sent_now);
}

int OutputWriter::queue_rest(std::string& output, size_t taken) {
  rest_.swap(output);
  output.clear();
  request_.data = this;
  busy_ = true;
  std::vector<uv_buf_t> buffers;
  for (size_t begin = taken; begin < rest_.size(); begin += kOneWriteMax) {
    const size_t length = std::min(rest_.size() - begin, kOneWriteMax);
    buffers.push_back(uv_buf_init(rest_.data() + begin, static_cast<unsigned>(length)));
  }
  return uv_write(&request_, stream_, buffers.data(), static_cast<unsigned>(buffers.size()),
                  [](uv_write_t* request, int status) {
                    auto* self = static_cast<OutputWriter*>(request->data);
                    self->busy_ = false;
                    std::string().swap(self->rest_);
                    self->on_progress_(status);
                  });
}

}  // namespace raftkv::server
