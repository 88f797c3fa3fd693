// A network of packets between the nodes of a cluster under test, each in a network namespace of
// its own, which loses, delays, reorders and repeats packets on command. Needs root.
//
//   chaos_router [seed]
//
// Each namespace has one TUN device, and so has the namespace that this program was started in, for
// the clients. The packets of all of them come here, and leave here for their destination. Nothing
// is left behind: namespaces and devices go with the program and the processes within.
// Commands come on stdin, one a line, each answered by one line on stdout; its end ends the
// program.
//
//   node ID           a new namespace; answers "node FD ADDRESS": the namespace is /proc/PID/fd/FD
//                     of this program, and the node's address in it
//   set FROM TO [blocked=1] [delay_ms=N] [jitter_ms=N] [bytes_s=N] [loss_percent=N]
//               [duplicate_percent=N]
//                     the rules of one link, all others of its rules are cleared. A blocked link
//                     loses everything; jitter lets packets overtake each other; a narrow link has
//                     a short queue and loses what does not fit
//   clear             no rules for any link
//   stats             "stats BYTES PACKETS LOST" carried between nodes so far
//
// Only links between nodes have rules: clients see the nodes, not the network between them, fail.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <queue>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "tests/chaos/chaos_rules.h"

namespace {

using raftkv::chaos::die;
using raftkv::chaos::LinkKey;
using raftkv::chaos::Rules;
using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;
using std::chrono::milliseconds;

// Of the range that is set aside for tests of networks (RFC 2544). Its third byte is drawn, so that
// two runs on one machine are unlikely to meet; the last one is the node's id.
constexpr uint32_t kNetwork = (198U << 24) | (18U << 16);
constexpr uint64_t kClients = 254;
constexpr uint64_t kNodeIdMax = 253;
constexpr size_t kPacketBytesMax = 65536;
constexpr size_t kHeldBytesMax = 64 << 20;  // of all delayed packets; more are lost
constexpr int kPacketsATurn = 64;           // from one device, before the others have their turn
constexpr size_t kSourceAt = 12;            // of the address in the IPv4 header, RFC 791
constexpr size_t kTargetAt = 16;

std::string error_text(const char* what) {
  return fmt::format("{}: {}", what, std::strerror(errno));
}

void set_address(ifreq& request, uint32_t address) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(address);
  std::memcpy(&request.ifr_addr, &in, sizeof in);
}

// Brings the device up, in the current namespace; with an address in a /24 unless it is 0.
void bring_up(const char* name, uint32_t address) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die(error_text("socket"));
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (address != 0) {
    set_address(request, address);
    if (ioctl(fd, SIOCSIFADDR, &request) != 0) die(error_text("SIOCSIFADDR"));
    set_address(request, 0xFFFFFF00U);
    if (ioctl(fd, SIOCSIFNETMASK, &request) != 0) die(error_text("SIOCSIFNETMASK"));
  }
  if (ioctl(fd, SIOCGIFFLAGS, &request) != 0) die(error_text("SIOCGIFFLAGS"));
  request.ifr_flags |= IFF_UP | IFF_RUNNING;
  if (ioctl(fd, SIOCSIFFLAGS, &request) != 0) die(error_text("SIOCSIFFLAGS"));
  close(fd);
}

// A TUN device in the current namespace.
int open_device(uint32_t address) {
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) die(error_text("/dev/net/tun"));
  ifreq request{};
  std::strncpy(request.ifr_name, "rkvchaos%d", IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (ioctl(fd, TUNSETIFF, &request) != 0) die(error_text("TUNSETIFF"));
  bring_up(request.ifr_name, address);
  return fd;
}

uint32_t address_at(const std::string& packet, size_t at) {
  uint32_t address = 0;
  std::memcpy(&address, packet.data() + at, sizeof address);
  return ntohl(address);
}

struct LinkState {
  Rules rules;
  Time free_at{};  // when the bytes that were let through so far have passed a narrow link
};

struct Delayed {
  Time at;
  uint64_t number;  // first come, first served
  uint64_t to;
  std::string packet;

  bool operator<(const Delayed& other) const {  // the earliest is the greatest
    return at != other.at ? at > other.at : number > other.number;
  }
};

class Router {
 public:
  explicit Router(uint64_t seed)
      : random_(seed),
        network_(kNetwork + (std::random_device{}() % 256 << 8)),
        commands_([this](const std::string& line) { return command(line); }) {
    own_namespace_ = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (own_namespace_ < 0) die(error_text("/proc/self/ns/net"));
    devices_[kClients] = open_device(network_ + kClients);
  }

  void run() {
    while (true) {
      std::vector<pollfd> polled{{STDIN_FILENO, POLLIN, 0}};
      std::vector<uint64_t> ids{0};
      for (const auto& [id, fd] : devices_) {
        polled.push_back({fd, POLLIN, 0});
        ids.push_back(id);
      }
      if (poll(polled.data(), polled.size(), wait_ms()) < 0 && errno != EINTR)
        die(error_text("poll"));
      deliver_due();
      for (size_t i = 1; i < polled.size(); ++i) {
        if (polled[i].revents != 0) read_from(ids[i], polled[i].fd);
      }
      if (polled[0].revents != 0 && !commands_.read_ready()) return;
    }
  }

 private:
  int wait_ms() const {
    if (delayed_.empty()) return -1;
    const auto left = std::chrono::ceil<milliseconds>(delayed_.top().at - Clock::now()).count();
    return static_cast<int>(std::max<int64_t>(left, 0));
  }

  void deliver_due() {
    const Time now = Clock::now();
    while (!delayed_.empty() && delayed_.top().at <= now) {
      held_ -= delayed_.top().packet.size();
      deliver(delayed_.top().to, delayed_.top().packet);
      delayed_.pop();
    }
  }

  void deliver(uint64_t to, const std::string& packet) {
    // A device that does not take it loses it, as a network may.
    if (write(devices_.at(to), packet.data(), packet.size()) < 0) ++lost_;
  }

  void read_from(uint64_t from, int fd) {
    char buffer[kPacketBytesMax];
    for (int i = 0; i < kPacketsATurn; ++i) {
      const ssize_t count = read(fd, buffer, sizeof buffer);
      if (count < 0) return;
      const std::string packet(buffer, static_cast<size_t>(count));
      // The kernel speaks IPv6 by itself on a new device, to find routers: there are none.
      if (packet.size() < 20 || packet[0] >> 4 != 4) continue;
      if (address_at(packet, kSourceAt) != network_ + from) continue;
      const uint64_t to = address_at(packet, kTargetAt) - network_;
      if (devices_.contains(to)) forward(from, to, packet);
    }
  }

  void forward(uint64_t from, uint64_t to, const std::string& packet) {
    if (from == kClients || to == kClients) return deliver(to, packet);
    bytes_ += packet.size();
    ++packets_;
    LinkState& link = links_[{from, to}];
    if (link.rules.blocked || happens(link.rules.loss_percent)) {
      ++lost_;
      return;
    }
    pass(link, to, packet);
    if (happens(link.rules.duplicate_percent)) pass(link, to, packet);
  }

  bool happens(int64_t percent) {
    return percent > 0 && std::uniform_int_distribution<int64_t>(1, 100)(random_) <= percent;
  }

  void pass(LinkState& link, uint64_t to, const std::string& packet) {
    const Rules& rules = link.rules;
    const Time now = Clock::now();
    Time at = now;
    if (rules.bytes_s > 0) {
      // A fifth of a second of queue: with more, a sender would fill it and wait for seconds.
      at = std::max(at, link.free_at);
      if (at - now > milliseconds(200)) {
        ++lost_;
        return;
      }
      const auto us = static_cast<int64_t>(packet.size()) * 1'000'000 / rules.bytes_s;
      link.free_at = at + std::chrono::microseconds(us);
      at = link.free_at;
    }
    if (rules.delay_ms > 0 || rules.jitter_ms > 0) {
      std::uniform_int_distribution<int64_t> jitter_us(0, rules.jitter_ms * 1000);
      at += milliseconds(rules.delay_ms) + std::chrono::microseconds(jitter_us(random_));
    }
    if (at == now) return deliver(to, packet);
    if (held_ + packet.size() > kHeldBytesMax) {
      ++lost_;
      return;
    }
    held_ += packet.size();
    delayed_.push({at, next_number_++, to, packet});
  }

  std::string command(const std::string& line) {
    std::istringstream words(line);
    std::string verb;
    words >> verb;
    if (verb == "clear") {
      links_.clear();
      return "ok";
    }
    if (verb == "stats") return fmt::format("stats {} {} {}", bytes_, packets_, lost_);
    uint64_t first = 0;
    if (!(words >> first)) return "error: a node's id expected: " + line;
    if (verb == "node") return add_node(first);
    uint64_t second = 0;
    if (verb != "set" || !(words >> second)) return "error: unknown command: " + line;
    LinkState state;
    if (std::string wrong = parse_rules(words, state.rules); !wrong.empty())
      return "error: " + wrong;
    if (state.rules.reset_ms != 0) return "error: packets know no connections to reset";
    links_[{first, second}] = state;
    return "ok";
  }

  std::string add_node(uint64_t id) {
    if (id < 1 || id > kNodeIdMax) return fmt::format("error: ids go from 1 to {}", kNodeIdMax);
    if (devices_.contains(id)) return fmt::format("error: node {} is there", id);
    if (unshare(CLONE_NEWNET) != 0) die(error_text("unshare"));
    const int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (netns < 0) die(error_text("/proc/self/ns/net"));
    bring_up("lo", 0);
    devices_[id] = open_device(network_ + static_cast<uint32_t>(id));
    if (setns(own_namespace_, CLONE_NEWNET) != 0) die(error_text("setns"));
    in_addr address{htonl(network_ + static_cast<uint32_t>(id))};
    return fmt::format("node {} {}", netns, inet_ntoa(address));
  }

  std::mt19937_64 random_;
  uint32_t network_;
  raftkv::chaos::Commands commands_;
  int own_namespace_ = -1;
  std::map<uint64_t, int> devices_;  // by node id, and kClients
  std::map<LinkKey, LinkState> links_;
  std::priority_queue<Delayed> delayed_;
  size_t held_ = 0;
  uint64_t next_number_ = 0;
  uint64_t bytes_ = 0;
  uint64_t packets_ = 0;
  uint64_t lost_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Router(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1).run();
  return 0;
}
