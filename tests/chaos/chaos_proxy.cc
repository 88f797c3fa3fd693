// Carries the peer traffic of a cluster under test, and breaks it on command: one listening port a
// node, and rules for each directed link between two nodes.
//
//   chaos_proxy [seed]
//
// Who dials is read from the hello with which each connection begins (server/peer/handshake.h), so
// all nodes may be given the same addresses. Commands come on stdin, one a line, each answered by
// one line on stdout; the end of stdin ends the program.
//
//   listen TO PORT    a new port on 127.0.0.1 behind which node TO is reached; answers "port N"
//   set FROM TO [blocked=1] [delay_ms=N] [jitter_ms=N] [bytes_s=N] [reset_ms=N]
//                     the rules of one link, all others of its rules are cleared. reset_ms: the
//                     mean time after which its connections are reset, again and again
//   reset FROM TO     resets the connections of a link once
//   clear             no rules for any link
//   stats             "stats BYTES CHUNKS CONNECTIONS" carried so far
//
// A blocked link loses nothing, it holds everything back, as a network does that drops packets
// which the sender repeats: what is still wanted arrives when the link opens again. Nor does it
// tell either side that the other has closed.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/peer/frame.h"
#include "tests/chaos/chaos_rules.h"

namespace {

using raftkv::chaos::die;
using raftkv::chaos::LinkKey;
using raftkv::chaos::Rules;
using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
using std::chrono::milliseconds;

constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kPipeBytesMax = 4 << 20;  // held for one direction before we stop reading
constexpr std::string_view kMagic = "RAFTKVP\n";
// Frame header, magic, protocol version, then the dialler's id.
constexpr size_t kSourceAt = raftkv::server::kFrameHeaderBytes + kMagic.size() + 4;
constexpr size_t kSourceEnd = kSourceAt + 8;

struct LinkState {
  Rules rules;
  Time free_at{};  // when the bytes that were let through so far have passed a slow link
  Time next_reset{};
};

struct Chunk {
  Time at;
  std::string bytes;
};

// One direction of a connection.
struct Pipe {
  int in = -1;
  int out = -1;
  std::deque<Chunk> chunks;
  size_t held = 0;
  size_t written = 0;  // of the first chunk
  bool ended = false;  // the sender has closed
  bool stuck = false;  // the receiver's socket is full
};

struct Connection {
  int dialler = -1;
  int acceptor = -1;
  uint64_t from = 0;  // 0 until the hello is here
  uint64_t to = 0;
  bool connecting = true;
  bool dead = false;
  std::string hello;  // its beginning, as long as `from` is unknown
  Pipe forth;
  Pipe back;
};

struct Listener {
  int fd = -1;
  uint64_t to = 0;
  uint16_t target_port = 0;
};

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int new_socket() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die(fmt::format("socket: {}", std::strerror(errno)));
  return fd;
}

void no_delay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

class Proxy {
 public:
  explicit Proxy(uint64_t seed)
      : commands_([this](const std::string& line) { return command(line); }), random_(seed) {}

  void run() {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) die(fmt::format("epoll_create1: {}", std::strerror(errno)));
    while (!finished_) {
      watch_all();
      epoll_event events[64];
      const int count = epoll_wait(epoll_, events, std::size(events), wait_ms());
      if (count < 0 && errno != EINTR) die(fmt::format("epoll_wait: {}", std::strerror(errno)));
      for (int i = 0; i < count; ++i) handle(events[i].data.fd, events[i].events);
      const Time now = Clock::now();
      reset_due(now);
      for (auto& connection : connections_) pump(*connection, now);
      bury();
    }
  }

 private:
  // What each descriptor is waited for follows from the state, and is told to the kernel only where
  // it has changed.
  void watch_all() {
    watch(STDIN_FILENO, EPOLLIN);
    for (const Listener& listener : listeners_) watch(listener.fd, EPOLLIN);
    for (const auto& c : connections_) {
      uint32_t dialler = 0;
      uint32_t acceptor = 0;
      if (wants_input(*c, c->forth, c->from, c->to)) dialler |= EPOLLIN;
      if (!c->connecting && wants_input(*c, c->back, c->to, c->from)) acceptor |= EPOLLIN;
      if (c->connecting || c->forth.stuck) acceptor |= EPOLLOUT;
      if (c->back.stuck) dialler |= EPOLLOUT;
      watch(c->dialler, dialler);
      watch(c->acceptor, acceptor);
    }
  }

  void watch(int fd, uint32_t events) {
    const auto known = watched_.find(fd);
    if (known != watched_.end() && known->second == events) return;
    // A descriptor without interest is taken out: a closed peer would be reported for ever.
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    const bool was_in = known != watched_.end() && known->second != 0;
    if (events == 0) {
      if (was_in) epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
    } else if (epoll_ctl(epoll_, was_in ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0) {
      die(fmt::format("epoll_ctl: {}", std::strerror(errno)));
    }
    watched_[fd] = events;
  }

  LinkState& link(uint64_t from, uint64_t to) { return links_[{from, to}]; }

  bool wants_input(const Connection&, const Pipe& pipe, uint64_t from, uint64_t to) {
    if (pipe.ended || pipe.held >= kPipeBytesMax) return false;
    // Before the hello nobody knows the link; its beginning is read in any case.
    return from == 0 || to == 0 || !link(from, to).rules.blocked;
  }

  int wait_ms() {
    Time next = Clock::now() + milliseconds(1000);
    for (const auto& [key, state] : links_) {
      if (state.rules.reset_ms > 0) next = std::min(next, state.next_reset);
    }
    for (const auto& c : connections_) {
      if (c->connecting || c->from == 0) continue;
      if (!c->forth.stuck && !c->forth.chunks.empty() && !link(c->from, c->to).rules.blocked) {
        next = std::min(next, c->forth.chunks.front().at);
      }
      if (!c->back.stuck && !c->back.chunks.empty() && !link(c->to, c->from).rules.blocked) {
        next = std::min(next, c->back.chunks.front().at);
      }
    }
    const auto left = std::chrono::ceil<milliseconds>(next - Clock::now()).count();
    return static_cast<int>(std::clamp<int64_t>(left, 0, 1000));
  }

  void handle(int fd, uint32_t events) {
    if (fd == STDIN_FILENO) {
      finished_ = !commands_.read_ready();
      return;
    }
    for (const Listener& listener : listeners_) {
      if (listener.fd == fd) return accept_all(listener);
    }
    for (const auto& c : connections_) {
      if (c->dead) continue;
      if (fd == c->acceptor) {
        if (c->connecting) return connected(*c);
        if (events & EPOLLOUT) c->forth.stuck = false;
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_into(*c, c->back, c->to, c->from);
        return;
      }
      if (fd == c->dialler) {
        if (events & EPOLLOUT) c->back.stuck = false;
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_into(*c, c->forth, c->from, c->to);
        return;
      }
    }
  }

  void accept_all(const Listener& listener) {
    while (true) {
      const int fd = accept4(listener.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      no_delay(fd);
      auto c = std::make_unique<Connection>();
      c->dialler = fd;
      c->to = listener.to;
      c->acceptor = new_socket();
      no_delay(c->acceptor);
      const sockaddr_in address = loopback(listener.target_port);
      const int result =
          connect(c->acceptor, reinterpret_cast<const sockaddr*>(&address), sizeof address);
      // A node that does not run refuses, and so do we.
      if (result != 0 && errno != EINPROGRESS) c->dead = true;
      c->connecting = result != 0;
      c->forth.in = c->back.out = c->dialler;
      c->forth.out = c->back.in = c->acceptor;
      connections_.push_back(std::move(c));
      ++opened_;
    }
  }

  void connected(Connection& c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c.acceptor, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
      c.dead = true;
    } else {
      c.connecting = false;
    }
  }

  void read_into(Connection& c, Pipe& pipe, uint64_t from, uint64_t to) {
    char buffer[kReadBytes];
    const ssize_t count = read(pipe.in, buffer, sizeof buffer);
    if (count < 0) {
      if (errno != EAGAIN && errno != EINTR) c.dead = true;
      return;
    }
    if (count == 0) {
      pipe.ended = true;
      return;
    }
    std::string bytes(buffer, static_cast<size_t>(count));
    bytes_ += bytes.size();
    ++chunks_;
    if (c.from == 0) {
      if (&pipe == &c.back) {
        c.dead = true;  // the acceptor never speaks first
        return;
      }
      c.hello += bytes;
      if (c.hello.size() < kSourceEnd) return;
      if (c.hello.compare(kSourceAt - 4 - kMagic.size(), kMagic.size(), kMagic) != 0) {
        die("a connection does not begin with the hello of the peer protocol");
      }
      std::memcpy(&c.from, c.hello.data() + kSourceAt, sizeof c.from);
      from = c.from;
      bytes = std::move(c.hello);
    }
    queue(pipe, link(from, to), std::move(bytes));
  }

  void queue(Pipe& pipe, LinkState& state, std::string bytes) {
    Time at = Clock::now();
    const Rules& rules = state.rules;
    if (rules.delay_ms > 0 || rules.jitter_ms > 0) {
      std::uniform_int_distribution<int64_t> jitter(0, rules.jitter_ms * 1000);
      at += milliseconds(rules.delay_ms) + std::chrono::microseconds(jitter(random_));
    }
    if (rules.bytes_s > 0) {
      at = std::max(at, state.free_at);
      const auto us = static_cast<int64_t>(bytes.size()) * 1'000'000 / rules.bytes_s;
      state.free_at = at + std::chrono::microseconds(us);
    }
    if (!pipe.chunks.empty()) at = std::max(at, pipe.chunks.back().at);  // a stream keeps its order
    pipe.held += bytes.size();
    pipe.chunks.push_back({at, std::move(bytes)});
  }

  void pump(Connection& c, Time now) {
    if (c.dead || c.connecting) return;
    if (c.from == 0) {
      if (c.forth.ended) c.dead = true;
      return;
    }
    if (!link(c.from, c.to).rules.blocked) pump(c, c.forth, now);
    if (!c.dead && !link(c.to, c.from).rules.blocked) pump(c, c.back, now);
  }

  void pump(Connection& c, Pipe& pipe, Time now) {
    while (!pipe.stuck && !pipe.chunks.empty() && pipe.chunks.front().at <= now) {
      const std::string& bytes = pipe.chunks.front().bytes;
      const ssize_t count =
          send(pipe.out, bytes.data() + pipe.written, bytes.size() - pipe.written, MSG_NOSIGNAL);
      if (count < 0) {
        if (errno == EAGAIN)
          pipe.stuck = true;
        else if (errno != EINTR)
          c.dead = true;
        if (errno == EINTR) continue;
        return;
      }
      pipe.written += static_cast<size_t>(count);
      pipe.held -= static_cast<size_t>(count);
      if (pipe.written == bytes.size()) {
        pipe.chunks.pop_front();
        pipe.written = 0;
      }
    }
    // Members close both directions at once.
    if (pipe.ended && pipe.chunks.empty()) c.dead = true;
  }

  void reset_due(Time now) {
    for (auto& [key, state] : links_) {
      if (state.rules.reset_ms == 0 || state.next_reset > now) continue;
      reset(key);
      plan_reset(state, now);
    }
  }

  void plan_reset(LinkState& state, Time now) {
    std::exponential_distribution<double> pause(1.0 / static_cast<double>(state.rules.reset_ms));
    state.next_reset = now + milliseconds(1 + static_cast<int64_t>(pause(random_)));
  }

  void reset(const LinkKey& key) {
    for (const auto& c : connections_) {
      if (c->from != key.first || c->to != key.second) continue;
      const linger at_once{1, 0};
      setsockopt(c->dialler, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      setsockopt(c->acceptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      c->dead = true;
    }
  }

  void bury() {
    std::erase_if(connections_, [this](const std::unique_ptr<Connection>& c) {
      if (!c->dead) return false;
      for (const int fd : {c->dialler, c->acceptor}) {
        watched_.erase(fd);  // close() takes it out of the epoll set
        close(fd);
      }
      return true;
    });
  }

  std::string command(const std::string& line) {
    std::istringstream words(line);
    std::string verb;
    words >> verb;
    if (verb == "clear") {
      links_.clear();
      return "ok";
    }
    if (verb == "stats") return fmt::format("stats {} {} {}", bytes_, chunks_, opened_);
    uint64_t first = 0;
    uint64_t second = 0;
    if (!(words >> first >> second)) return "error: two numbers expected: " + line;
    if (verb == "listen") return listen_for(first, static_cast<uint16_t>(second));
    if (verb == "reset") {
      reset({first, second});
      return "ok";
    }
    if (verb == "set") return set({first, second}, words);
    return "error: unknown command: " + line;
  }

  std::string listen_for(uint64_t to, uint16_t target_port) {
    const int fd = new_socket();
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      die(fmt::format("listen: {}", std::strerror(errno)));
    }
    listeners_.push_back({fd, to, target_port});
    return fmt::format("port {}", ntohs(address.sin_port));
  }

  std::string set(const LinkKey& key, std::istringstream& words) {
    LinkState state;
    if (std::string wrong = parse_rules(words, state.rules); !wrong.empty())
      return "error: " + wrong;
    if (state.rules.loss_percent != 0 || state.rules.duplicate_percent != 0) {
      return "error: a stream loses and repeats nothing";
    }
    if (state.rules.reset_ms > 0) plan_reset(state, Clock::now());
    links_[key] = state;
    return "ok";
  }

  int epoll_ = -1;
  bool finished_ = false;
  raftkv::chaos::Commands commands_;
  std::mt19937_64 random_;
  std::vector<Listener> listeners_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::map<LinkKey, LinkState> links_;
  std::map<int, uint32_t> watched_;
  uint64_t bytes_ = 0;
  uint64_t chunks_ = 0;
  uint64_t opened_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Proxy(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1).run();
  return 0;
}
