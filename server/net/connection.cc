#include "server/net/connection.h"

#include <glog/logging.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

#include "server/net/sockets.h"

namespace raftkv::server {
namespace {

// The beginning of a request up to this size is read on in the shared buffer (copied there and
// back); a longer one grows where it is.
constexpr size_t kJoinBytesMax = size_t{16} << 10;
static_assert(kJoinBytesMax < ConnectionContext::kReadBufferBytes / 2);
// One connection's share of a turn, so that the others get theirs.
constexpr size_t kTurnBytesMax = size_t{1} << 20;
// An input buffer of this size is kept although it is empty, until the connection is quiet.
constexpr size_t kKeptInputBytes = size_t{64} << 10;
// How long a client that sends no more may wait for its replies. Longer is dangerous: a client that
// crashed looks just the same.
constexpr uint64_t kHalfClosedMs = 1000;
constexpr uint64_t kLingerMs = 1000;
constexpr uint64_t kQuietMs = 2000;
constexpr unsigned kKeepaliveS = 300;

resp::ParserLimits parser_limits(const ClientOptions& options) {
  resp::ParserLimits limits;
  limits.request_bytes_max = options.query_buffer_bytes_max;
  return limits;
}

Connection& self(void* data) {
  return *static_cast<Connection*>(data);
}

}  // namespace

void AttentionList::drop_front(size_t count) {
  slots_.erase(slots_.begin(), slots_.begin() + static_cast<ptrdiff_t>(count));
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot] != nullptr) slots_[slot]->moved_to_slot(slot);
  }
}

Connection::Connection(ConnectionContext& context, uint64_t id)
    : context_(context),
      id_(id),
      parser_(parser_limits(context.options)),
      writer_(reinterpret_cast<uv_stream_t*>(&handle_), [this](int status) { sent(status); }) {
  CHECK_EQ(uv_tcp_init(context.loop, &handle_), 0) << "a handle without a socket can't fail";
  handle_.data = this;
}

int Connection::accept(uv_stream_t* listener) {
  const int error = uv_accept(listener, reinterpret_cast<uv_stream_t*>(&handle_));
  if (error == 0) set_tcp_options(handle_, kKeepaliveS);
  return error;
}

void Connection::refuse(std::string_view reply) {
  std::string text(reply);
  const uv_buf_t buffer = uv_buf_init(text.data(), static_cast<unsigned>(text.size()));
  uv_try_write(reinterpret_cast<uv_stream_t*>(&handle_), &buffer, 1);
}

ClientState Connection::describe() const {
  ClientState state;
  state.id = id_;
  state.address = remote_address(handle_);
  state.local_address = local_address(handle_);
  uv_os_fd_t fd = -1;
  if (uv_fileno(reinterpret_cast<const uv_handle_t*>(&handle_), &fd) == 0) state.fd = fd;
  return state;
}

void Connection::start(RequestSink* sink) {
  CHECK(sink_ == nullptr && sink != nullptr);
  sink_ = sink;
  active_ms_ = uv_now(context_.loop);
  set_reading(true);
}

// --- input ------------------------------------------------------------------------------------

void Connection::set_reading(bool reading) {
  if (reading == reading_) return;
  reading_ = reading;
  auto* stream = reinterpret_cast<uv_stream_t*>(&handle_);
  if (!reading) {
    uv_read_stop(stream);
    return;
  }
  const int error = uv_read_start(
      stream,
      [](uv_handle_t* handle, size_t, uv_buf_t* buffer) { self(handle->data).allocate(buffer); },
      [](uv_stream_t* handle, ssize_t bytes, const uv_buf_t*) {
        self(handle->data).on_read(bytes);
      });
  // The only cause is a socket that has failed meanwhile.
  if (error != 0) kill();
}

void Connection::allocate(uv_buf_t* buffer) {
  *buffer = uv_buf_init(nullptr, 0);
  char* const shared = context_.read_buffer.get();
  if (phase_ != Phase::kOpen) {
    *buffer = uv_buf_init(shared, ConnectionContext::kReadBufferBytes);
    return;
  }
  // No buffer: on_read() is called with UV_ENOBUFS, and the bytes stay in the kernel.
  if (!waiting_.empty() || held_) return;
  if (turn_ != context_.turn) {
    turn_ = context_.turn;
    turn_bytes_ = 0;
  }
  if (turn_bytes_ >= kTurnBytesMax) return;

  if (input_.size() <= kJoinBytesMax) {
    if (!input_.empty()) std::memcpy(shared, input_.view().data(), input_.size());
    *buffer =
        uv_buf_init(shared + input_.size(),
                    static_cast<unsigned>(ConnectionContext::kReadBufferBytes - input_.size()));
    return;
  }
  const std::span<char> room =
      input_.prepare(input_.room_for(parser_.bytes_needed(), kJoinBytesMax));
  *buffer = uv_buf_init(room.data(), static_cast<unsigned>(std::min(room.size(), kTurnBytesMax)));
}

void Connection::on_read(ssize_t bytes) {
  if (bytes > 0) return received(static_cast<size_t>(bytes));
  if (bytes == UV_ENOBUFS) {
    // Not at once when it began to wait: most waits end before the client sends anything more, and
    // stopping and starting costs two system calls. (If only its share of the turn is used up,
    // reading goes on in the next one.)
    if (!waiting_.empty() || held_) set_reading(false);
    return;
  }
  if (bytes < 0) input_ended(static_cast<int>(bytes));
}

void Connection::received(size_t bytes) {
  context_.stats->input_bytes += bytes;
  sink_->state().total_input_bytes += bytes;
  active_ms_ = uv_now(context_.loop);
  if (phase_ != Phase::kOpen || killed_) return;
  if (sink_->state().close_after_reply) return no_more_requests();
  turn_bytes_ += bytes;
  if (input_.size() <= kJoinBytesMax) {
    execute_from({context_.read_buffer.get(), input_.size() + bytes}, true);
  } else {
    input_.commit(bytes);
    execute_from(input_.view(), false);
  }
}

void Connection::input_ended(int status) {
  reading_ = false;  // libuv has stopped by itself
  if (status != UV_EOF || phase_ != Phase::kOpen) return close();
  // What was received is executed and answered: the client may have closed only its own direction.
  input_over_ = true;
  deadline_ms_ = uv_now(context_.loop) + kHalfClosedMs;
  if (waiting_.empty() && !held_) no_more_requests();
  if (over() && sink_->output().empty() && !writer_.busy()) close();
}

// --- requests ---------------------------------------------------------------------------------

// `input` is a suffix of input_, or (shared) stands in the shared buffer and replaces it.
void Connection::execute_from(std::string_view input, bool shared) {
  while (execute_next(input)) {
  }
  keep(input, shared);
  sink_->state().input_bytes = input_.size();
  if (!sink_->output().empty() || phase_ != Phase::kOpen) need_attention();
  if (input_.size() > context_.options.query_buffer_bytes_max) {
    LOG(WARNING) << "client " << name() << " closed: its request takes more than "
                 << context_.options.query_buffer_bytes_max << " bytes (client-query-buffer-limit)";
    kill();
  }
}

// Executes one request off the front of `input`. False if it is not the time to go on.
bool Connection::execute_next(std::string_view& input) {
  if (input.empty()) return false;
  if (held_back()) {
    held_ = true;
    return false;
  }
  switch (parser_.parse(input)) {
    case resp::ParseStatus::kNeedMore:
      input.remove_prefix(parser_.consumed());
      return false;
    case resp::ParseStatus::kError:
      input.remove_prefix(input.size());
      sink_->protocol_error(parser_.error());
      no_more_requests();
      return false;
    case resp::ParseStatus::kRequest:
      break;
  }
  if (sink_->execute(parser_.args()) == Execution::kWait) {
    waiting_.assign(parser_.args().begin(), parser_.args().end());
    waiting_bytes_ = parser_.consumed();
    return false;
  }
  input.remove_prefix(parser_.consumed());
  if (sink_->state().close_after_reply) no_more_requests();
  return phase_ == Phase::kOpen && !killed_;
}

// Keeps what is not executed.
void Connection::keep(std::string_view input, bool shared) {
  if (phase_ != Phase::kOpen) {
    waiting_.clear();
    input_.reset();
    return;
  }
  if (shared) {
    input_.consume(input_.size());
    input_.append(input);
    rebase_waiting(input);
  } else {
    input_.consume(input_.size() - input.size());
  }
  if (input_.empty() && input_.capacity() > kKeptInputBytes) input_.reset();
}

// The arguments of the waiting request stood in `from`, which has been copied to input_. (Those of
// an inline request may stand in the parser, and stay there.)
void Connection::rebase_waiting(std::string_view from) {
  const std::less<> before;
  for (std::string_view& argument : waiting_) {
    const char* const begin = argument.data();
    if (before(begin, from.data()) || before(from.data() + from.size(), begin)) continue;
    argument = input_.view().substr(static_cast<size_t>(begin - from.data()), argument.size());
  }
}

bool Connection::can_proceed() const {
  if (phase_ != Phase::kOpen || killed_ || sink_->state().close_after_reply) return false;
  if (!waiting_.empty()) return resume_;
  return held_ && !held_back();
}

void Connection::proceed() {
  if (!can_proceed()) return;
  resume_ = false;
  held_ = false;
  std::string_view input = input_.view();
  if (!waiting_.empty()) {
    if (sink_->execute(waiting_) == Execution::kWait) return;
    waiting_.clear();
    input.remove_prefix(waiting_bytes_);
    if (sink_->state().close_after_reply) no_more_requests();
  }
  if (phase_ == Phase::kOpen) execute_from(input, false);
  if (phase_ != Phase::kOpen || !waiting_.empty() || held_) return;
  if (input_over_) {
    no_more_requests();
  } else {
    set_reading(true);
  }
}

void Connection::no_more_requests() {
  linger_ = true;
  drain();
}

void Connection::drain() {
  if (phase_ != Phase::kOpen) return;
  phase_ = Phase::kDraining;
  set_reading(false);
  need_attention();
}

bool Connection::held_back() const {
  return sink_->state().outstanding >= context_.options.outstanding_commands_max ||
         sink_->output().size() + writer_.unsent() >= context_.options.output_bytes_soft;
}

void Connection::may_resume() {
  resume_ = true;
  need_attention();
}

// --- output and the end -----------------------------------------------------------------------

void Connection::write_replies() {
  context_.attention.remove(std::exchange(attention_slot_, AttentionList::kNone));
  if (waiting_.empty()) resume_ = false;
  std::string& output = sink_->output();
  if (!output.empty()) {
    active_ms_ = uv_now(context_.loop);
    if (writer_.write(output) != 0) return close();
    account_sent();
  }
  sink_->state().output_bytes = output.size() + writer_.unsent();
  if (killed_ || exceeds_limit()) return close();
  if (over() && output.empty() && !writer_.busy()) return finish();
  if (can_proceed()) need_attention();
}

// libuv took what was kept for the socket, or gave up.
void Connection::sent(int status) {
  if (phase_ == Phase::kClosed) return;
  if (status != 0) return close();
  account_sent();
  active_ms_ = uv_now(context_.loop);
  need_attention();
}

void Connection::account_sent() {
  const uint64_t sent = writer_.sent();
  context_.stats->output_bytes += sent - accounted_;
  sink_->state().total_output_bytes += sent - accounted_;
  accounted_ = sent;
}

bool Connection::exceeds_limit() {
  const size_t unsent = sink_->output().size() + writer_.unsent();
  if (unsent <= context_.options.output_bytes_hard) return false;
  LOG(WARNING) << "client " << name() << " closed: it left " << unsent
               << " bytes of replies unread, more than " << context_.options.output_bytes_hard
               << " (client-output-buffer-limit)";
  return true;
}

bool Connection::over() const {
  return sink_->finished() || (phase_ == Phase::kDraining && sink_->state().outstanding == 0);
}

// Everything is answered and sent.
void Connection::finish() {
  if (phase_ == Phase::kLingering) return;
  uv_os_fd_t fd = -1;
  uv_fileno(reinterpret_cast<const uv_handle_t*>(&handle_), &fd);
  if (input_over_ || !linger_ || ::shutdown(fd, SHUT_WR) != 0) return close();
  phase_ = Phase::kLingering;
  deadline_ms_ = uv_now(context_.loop) + kLingerMs;
  set_reading(true);
}

void Connection::kill() {
  killed_ = true;
  need_attention();
}

void Connection::close() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  if (attention_slot_ != AttentionList::kNone) context_.attention.remove(attention_slot_);
  // The views of a waiting request go before what they point into.
  waiting_.clear();
  if (sink_ != nullptr) std::exchange(sink_, nullptr)->close();
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_), [](uv_handle_t* handle) {
    Connection& connection = self(handle->data);
    connection.context_.on_closed(connection);
  });
  context_.on_closing(*this);
}

void Connection::housekeep() {
  const uint64_t now = uv_now(context_.loop);
  if (input_over_ || phase_ == Phase::kLingering) {
    if (now >= deadline_ms_) close();
    return;
  }
  // Output may have grown, without a new notice, behind bytes that the client does not take.
  if (exceeds_limit()) return close();
  const uint64_t idle_limit_s = context_.options.idle_timeout_s;
  if (idle_limit_s != 0 && sink_->state().outstanding == 0 &&
      now - active_ms_ >= idle_limit_s * 1000) {
    VLOG(1) << "client " << name() << " closed: idle for " << (now - active_ms_) / 1000 << " s";
    return close();
  }
  if (now - active_ms_ < kQuietMs || !input_.empty() || !waiting_.empty()) return;
  input_.reset();
  if (parser_.args().capacity() != 0) {
    parser_ = resp::RequestParser(parser_limits(context_.options));
    waiting_.shrink_to_fit();
  }
  if (sink_->output().empty()) std::string().swap(sink_->output());
}

void Connection::need_attention() {
  if (attention_slot_ != AttentionList::kNone || phase_ == Phase::kClosed) return;
  attention_slot_ = context_.attention.add(*this);
}

std::string Connection::name() const {
  return "id=" + std::to_string(id_) + " addr=" + sink_->state().address;
}

}  // namespace raftkv::server
