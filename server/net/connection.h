// One client connection: bytes in, requests to its sink, replies out. Everything that happens
// between two flushes of the listener belongs to one turn; nothing is written to the socket before
// the flush.
//
// Input goes through one buffer that all connections share. Only what is not executed yet (the
// beginning of a request, or what waits for its turn) is copied into the connection's own buffer,
// so an idle connection costs no buffer at all.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "resp/request_parser.h"
#include "server/command/host.h"
#include "server/net/byte_buffer.h"
#include "server/net/client_options.h"
#include "server/net/output_writer.h"
#include "server/net/request_sink.h"

namespace raftkv::server {

class Connection;

// The connections that the next flush has to look at, each once.
class AttentionList {
 public:
  static constexpr size_t kNone = SIZE_MAX;

  size_t add(Connection& connection) {
    slots_.push_back(&connection);
    return slots_.size() - 1;
  }
  void remove(size_t slot) { slots_[slot] = nullptr; }
  // Null where the connection has been removed.
  Connection* at(size_t slot) const { return slots_[slot]; }
  size_t size() const { return slots_.size(); }
  bool empty() const { return slots_.empty(); }
  // Drops the first `count` slots; the connections behind them move to the front.
  void drop_front(size_t count);

 private:
  std::vector<Connection*> slots_;
};

// What the connections of one listener share.
struct ConnectionContext {
  static constexpr size_t kReadBufferBytes = size_t{256} << 10;

  uv_loop_t* loop = nullptr;
  ClientOptions options;
  Stats* stats = nullptr;
  std::function<void(Connection&)> on_closing;  // it is no client any more
  std::function<void(Connection&)> on_closed;   // its last call: the connection may be deleted

  std::unique_ptr<char[]> read_buffer = std::make_unique_for_overwrite<char[]>(kReadBufferBytes);
  uint64_t turn = 1;  // grows with each flush
  AttentionList attention;
};

class Connection final : public SessionOwner {
 public:
  Connection(ConnectionContext& context, uint64_t id);
  ~Connection() override = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Takes the next pending connection of `listener`. Returns 0 or a libuv error; then, as after
  // refuse(), close() is still to be called.
  int accept(uv_stream_t* listener);
  // Offers `reply` to the socket once.
  void refuse(std::string_view reply);
  // What the new session should know of this connection.
  ClientState describe() const;
  // Begins to read. `sink` belongs to the connection from here on.
  void start(RequestSink* sink);

  // Executes what was waiting or held back, as far as that is possible now.
  void proceed();
  // Writes replies, and closes if that was the end. Leaves its slot in the attention list, and
  // takes a new one if proceed() has more to do at once.
  void write_replies();
  void moved_to_slot(size_t slot) { attention_slot_ = slot; }

  // Closes at the next flush, after what is in the output then is offered to the socket once.
  void kill();
  // No more requests are taken; closes when the outstanding replies are sent.
  void drain();
  // Closes now. What is unsent is lost. Not to be called from inside the sink.
  void close();

  // Called about once a second: closes what was idle or lingered too long, and gives memory back.
  void housekeep();

  uint64_t id() const { return id_; }
  const ClientState& state() const { return sink_->state(); }

  void output_ready() override { need_attention(); }
  void may_resume() override;

 private:
  enum class Phase : uint8_t {
    kOpen,       // reads and executes
    kDraining,   // executes no more; the outstanding replies are still sent
    kLingering,  // all is sent and our side is shut down; reads until the client closes too,
                 // because closing a socket that has unread input would destroy the last reply on
                 // its way
    kClosed,     // the handle is closing
  };

  // Input.
  void allocate(uv_buf_t* buffer);
  void on_read(ssize_t bytes);
  void received(size_t bytes);
  void input_ended(int status);
  void set_reading(bool reading);

  // Requests.
  void execute_from(std::string_view input, bool shared);
  bool execute_next(std::string_view& input);
  void keep(std::string_view input, bool shared);
  void rebase_waiting(std::string_view from);
  void no_more_requests();
  bool held_back() const;
  bool can_proceed() const;

  // Output and the end.
  void sent(int status);
  void account_sent();
  bool exceeds_limit();
  bool over() const;
  void finish();
  void need_attention();
  std::string name() const;

  ConnectionContext& context_;
  const uint64_t id_;
  RequestSink* sink_ = nullptr;
  resp::RequestParser parser_;
  ByteBuffer input_;
  OutputWriter writer_;
  uint64_t accounted_ = 0;  // bytes sent that the counters know of

  // The request that said kWait: views into input_ or into the parser. Empty: none.
  std::vector<std::string_view> waiting_;
  size_t waiting_bytes_ = 0;  // what it takes at the front of input_

  Phase phase_ = Phase::kOpen;
  bool resume_ = false;  // may_resume() was called
  bool held_ = false;    // stopped at a limit with input left
  bool killed_ = false;
  bool input_over_ = false;  // the client sends no more
  bool linger_ = false;      // the client may still be sending when all is answered
  bool reading_ = false;
  size_t attention_slot_ = AttentionList::kNone;
  uint64_t turn_ = 0;  // the turn in which turn_bytes_ were read
  size_t turn_bytes_ = 0;
  uint64_t active_ms_ = 0;    // loop time of the last byte either way
  uint64_t deadline_ms_ = 0;  // of a client that has sent its last byte, or of lingering

  uv_tcp_t handle_{};
};

}  // namespace raftkv::server
