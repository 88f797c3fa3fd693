#include "server/net/listener.h"

#include <glog/logging.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "server/net/connection.h"
#include "server/net/fd_limit.h"
#include "server/net/sockets.h"

namespace raftkv::server {
namespace {

// Every connection is housekept once in kHousekeepingSlices ticks.
constexpr uint64_t kHousekeepingTickMs = 100;
constexpr size_t kHousekeepingSlices = 10;
constexpr int kBacklog = 1024;

}  // namespace

class ClientListener::Impl {
 public:
  Impl(uv_loop_t* loop, ClientOptions options, Stats& stats, Host& host, OpenSession open_session)
      : host_(host), open_session_(std::move(open_session)) {
    context_.loop = loop;
    context_.options = std::move(options);
    context_.stats = &stats;
    context_.on_closing = [this](Connection& connection) { closing(connection); };
    context_.on_closed = [this](Connection& connection) { closed(connection); };
  }
  ~Impl() {
    CHECK(handles_ == 0 && clients_.empty() && closing_.empty())
        << "the client listener was destroyed before stop() was done";
  }

  std::expected<void, std::string> start();
  void stop(uint64_t grace_ms, std::function<void()> done);
  void resume();
  void flush();
  bool kill(uint64_t client_id);

  const ConnectionContext& context() const { return context_; }
  ConnectionContext& context() { return context_; }
  const std::map<uint64_t, std::unique_ptr<Connection>>& clients() const { return clients_; }
  uint16_t port() const { return listener_ == nullptr ? 0 : listener_port(*listener_); }

 private:
  void accept(int status);
  bool has_room();
  void closing(Connection& connection);
  void closed(Connection& connection);
  void housekeep();
  void close_all();
  void finish_if_stopped();
  void handle_closed();

  Host& host_;
  OpenSession open_session_;
  ConnectionContext context_;
  uv_tcp_t* listener_ = nullptr;
  uv_timer_t timer_{};
  int handles_ = 0;  // of listener_ and timer_: open or closing

  std::map<uint64_t, std::unique_ptr<Connection>> clients_;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> closing_;
  uint64_t last_id_ = 0;
  uint64_t housekept_id_ = 0;   // up to which the round of housekeeping has come
  size_t descriptors_for_ = 0;  // how many clients the limit on open files was asked for
  size_t clients_fit_ = 0;      // how many it allows

  bool stopping_ = false;
  uint64_t stop_deadline_ms_ = 0;
  std::function<void()> done_;
};

std::expected<void, std::string> ClientListener::Impl::start() {
  ignore_sigpipe();
  descriptors_for_ = context_.options.clients_max;
  clients_fit_ = provide_descriptors(descriptors_for_);
  const ListenRequest request{.host = context_.options.listen_host,
                              .port = context_.options.listen_port,
                              .purpose = "clients",
                              .flag = "--listen",
                              .backlog = kBacklog};
  const auto on_connection = [](uv_stream_t* handle, int status) {
    static_cast<Impl*>(handle->data)->accept(status);
  };
  auto opened = open_listener(context_.loop, request, this, on_connection);
  if (!opened) return std::unexpected(opened.error());
  listener_ = *opened;
  CHECK_EQ(uv_timer_init(context_.loop, &timer_), 0);
  timer_.data = this;
  uv_timer_start(
      &timer_, [](uv_timer_t* timer) { static_cast<Impl*>(timer->data)->housekeep(); },
      kHousekeepingTickMs, kHousekeepingTickMs);
  handles_ = 2;
  return {};
}

bool ClientListener::Impl::has_room() {
  const size_t clients_max = context_.options.clients_max;
  if (clients_max > descriptors_for_) {
    descriptors_for_ = clients_max;
    clients_fit_ = provide_descriptors(clients_max);
  }
  return clients_.size() < std::min(clients_max, clients_fit_);
}

void ClientListener::Impl::accept(int status) {
  if (status != 0) {
    LOG_EVERY_N(WARNING, 1000) << "can't accept a client: " << uv_strerror(status);
    return;
  }
  const uint64_t id = ++last_id_;
  auto made = std::make_unique<Connection>(context_, id);
  Connection& connection = *made;
  const int error = connection.accept(reinterpret_cast<uv_stream_t*>(listener_));
  const bool room = has_room();
  if (error != 0 || !room) {
    if (error == 0) {
      ++context_.stats->connections_rejected;
      connection.refuse("-ERR max number of clients reached\r\n");
    }
    closing_.emplace(&connection, std::move(made));
    return connection.close();
  }
  ++context_.stats->connections_received;
  ClientState state = connection.describe();
  state.created_us = host_.monotonic_us();
  clients_.emplace_hint(clients_.end(), id, std::move(made));
  connection.start(open_session_(connection, std::move(state)));
}

void ClientListener::Impl::resume() {
  // Grows while it is walked if one connection's command makes output for another one.
  for (size_t slot = 0; slot < context_.attention.size(); ++slot) {
    if (Connection* connection = context_.attention.at(slot)) connection->proceed();
  }
}

void ClientListener::Impl::flush() {
  resume();
  const size_t count = context_.attention.size();
  for (size_t slot = 0; slot < count; ++slot) {
    if (Connection* connection = context_.attention.at(slot)) connection->write_replies();
  }
  if (count != 0) context_.attention.drop_front(count);
  ++context_.turn;
}

bool ClientListener::Impl::kill(uint64_t client_id) {
  const auto found = clients_.find(client_id);
  if (found == clients_.end()) return false;
  found->second->kill();
  return true;
}

void ClientListener::Impl::closing(Connection& connection) {
  const auto found = clients_.find(connection.id());
  if (found == clients_.end()) return;
  closing_.emplace(&connection, std::move(found->second));
  clients_.erase(found);
}

void ClientListener::Impl::closed(Connection& connection) {
  closing_.erase(&connection);
  finish_if_stopped();
}

void ClientListener::Impl::housekeep() {
  if (stopping_ && uv_now(context_.loop) >= stop_deadline_ms_) return close_all();
  const size_t count = clients_.size() / kHousekeepingSlices + 1;
  auto next = clients_.upper_bound(housekept_id_);
  for (size_t done = 0; done < count && next != clients_.end(); ++done) {
    Connection& connection = *next->second;
    housekept_id_ = next->first;
    ++next;  // before the connection may go away
    connection.housekeep();
  }
  if (next == clients_.end()) housekept_id_ = 0;
}

void ClientListener::Impl::close_all() {
  if (!clients_.empty()) {
    LOG(WARNING) << clients_.size()
                 << " clients are cut off: their replies took longer than the grace";
  }
  while (!clients_.empty()) clients_.begin()->second->close();
}

void ClientListener::Impl::stop(uint64_t grace_ms, std::function<void()> done) {
  CHECK(handles_ != 0) << "stop() without start()";
  CHECK(!stopping_) << "stop() was called twice";
  stopping_ = true;
  done_ = std::move(done);
  stop_deadline_ms_ = uv_now(context_.loop) + grace_ms;
  if (listener_ != nullptr) {
    close_listener(std::exchange(listener_, nullptr),
                   [](void* data) { static_cast<Impl*>(data)->handle_closed(); });
  }
  for (const auto& [id, connection] : clients_) connection->drain();
  finish_if_stopped();
}

// The timer goes last: until then it watches over the grace.
void ClientListener::Impl::finish_if_stopped() {
  if (!stopping_ || !clients_.empty() || !closing_.empty() || handles_ != 1) return;
  auto* timer = reinterpret_cast<uv_handle_t*>(&timer_);
  if (uv_is_closing(timer) != 0) return;
  uv_close(timer, [](uv_handle_t* handle) { static_cast<Impl*>(handle->data)->handle_closed(); });
}

void ClientListener::Impl::handle_closed() {
  --handles_;
  if (handles_ != 0) return finish_if_stopped();
  // `done` may destroy this.
  const auto done = std::move(done_);
  done();
}

ClientListener::ClientListener(uv_loop_t* loop, ClientOptions options, Stats& stats, Host& host,
                               OpenSession open_session)
    : impl_(
          std::make_unique<Impl>(loop, std::move(options), stats, host, std::move(open_session))) {}
ClientListener::~ClientListener() = default;

std::expected<void, std::string> ClientListener::start() {
  return impl_->start();
}
void ClientListener::stop(uint64_t grace_ms, std::function<void()> done) {
  impl_->stop(grace_ms, std::move(done));
}
void ClientListener::resume() {
  impl_->resume();
}
void ClientListener::flush() {
  impl_->flush();
}
bool ClientListener::has_pending_work() const {
  return !impl_->context().attention.empty();
}
ClientOptions& ClientListener::options() {
  return impl_->context().options;
}
uint16_t ClientListener::port() const {
  return impl_->port();
}
size_t ClientListener::size() const {
  return impl_->clients().size();
}
void ClientListener::for_each(const std::function<void(const ClientState&)>& visit) const {
  for (const auto& [id, connection] : impl_->clients()) visit(connection->state());
}
bool ClientListener::kill(uint64_t client_id) {
  return impl_->kill(client_id);
}

}  // namespace raftkv::server
